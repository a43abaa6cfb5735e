"""Files that the operator writes besides the settings: TOML, checked, and secrets beside them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.settings.base import PREFIX, SettingsError


class Table(BaseModel):
    """A table of such a file; strict, so that a misspelt name is reported and not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnyTable = TypeVar("AnyTable", bound=Table)


def load_file(kind: type[AnyTable], setting: str, path: Path | None) -> AnyTable:
    """The file as it is now; without one, an empty one. Raises `SettingsError`.

    `setting` is the name of the setting that names it, in capital letters.
    """
    if path is None:
        return kind()
    try:
        return kind.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise SettingsError(f"{PREFIX}{setting}: {path} cannot be read: {reason}.") from None
    except ValidationError as error:
        lines = "; ".join(_explained(error))
        raise SettingsError(f"{PREFIX}{setting}: {path}: {lines}.") from None


def _explained(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        said = re.sub(r"^Value error, ", "", problem["msg"])
        yield f"{where}: {said}" if where else said


def read_secret(path: Path) -> str:
    """A secret from its file. Raises `SettingsError`."""
    try:
        found = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(f"{path} cannot be read ({reason}). Correct the path.") from None
    if not found:
        raise SettingsError(f"{path} is empty. Put the secret into it.")
    return found
