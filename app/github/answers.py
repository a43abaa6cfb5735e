"""Whether GitHub's answers have the shape that they must have.

A proxy's page, an empty object or a list may come with status 200. PyGithub makes objects without
content of them, which must not be believed: a repository's rules would vanish, for one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

ODD = (AttributeError, KeyError, IndexError, TypeError, ValueError, AssertionError)
"""What reading an answer of another shape raises."""
_KINDS = ("file", "dir", "symlink", "submodule")


class OddAnswer(ValueError):
    """The answer is none that GitHub gives."""


def check_answer(answer: object) -> None:
    """Raise `OddAnswer` where a record, or one in a tuple, lacks what its type promises."""
    if isinstance(answer, tuple):
        for each in answer:
            check_answer(each)
    elif dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        try:
            _adapter(type(answer)).validate_python(dataclasses.asdict(answer))
        except ValidationError as error:
            raise OddAnswer(f"{error.error_count()} fields are missing or odd") from None


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def content_kind(data: object) -> str:
    """Of an answer about a path's content: what is there. Raises `OddAnswer`."""
    entries = data if isinstance(data, list) else [data]
    for entry in entries:
        if not isinstance(entry, Mapping) or entry.get("type") not in _KINDS:
            raise OddAnswer("no content of a path")
    if isinstance(data, list) and data:
        return "dir"
    if isinstance(data, Mapping) and isinstance(data.get("encoding", ""), str):
        return str(data["type"])
    raise OddAnswer("no content of a path")
