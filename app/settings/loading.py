"""Reads the settings; every mistake is reported with the name of its variable."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from app.settings.base import CONFIG_VARIABLE, PREFIX, SettingsError
from app.settings.credentials import CredentialsError, load_identity
from app.settings.schema import Settings

SecretName = Literal[
    "github_private_key",
    "github_webhook_secret",
    "github_client_secret",
    "model_api_key",
    "operator_token",
    "metrics_token",
    "database_url",
]
SECRETS: tuple[SecretName, ...] = get_args(SecretName)
SET_UP: tuple[SecretName, ...] = SECRETS[:3]
"""Secrets that set-up writes."""


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting, for people."""

    name: str
    variable: str
    value: str
    """The value in effect; secrets are masked."""
    is_default: bool
    description: str


def load(**overrides: Any) -> Settings:
    """Read the settings. Raises `SettingsError` with one line per wrong setting."""
    config = os.environ.get(CONFIG_VARIABLE)
    if config and not Path(config).is_file():
        raise SettingsError(f"{CONFIG_VARIABLE}: there is no file {config}. Correct the path.")
    if misspelt := list(_misspelt_variables(os.environ)):
        raise SettingsError("\n".join(misspelt))
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain_error(error))) from None
    except ValueError as error:  # an unreadable TOML file
        raise SettingsError(f"{config or 'settings'}: {error}") from None
    settings = with_stored_app(settings)
    for name in SECRETS:
        # Before set-up, the files that it will write are not there yet.
        path: Path | None = getattr(settings, f"{name}_file")
        if name in SET_UP and not settings.github_app_id and path is not None:
            if path.exists():
                settings.secret(name)
            continue
        settings.secret(name)
    for profile in settings.model_servers:
        settings.model_key(profile)
    if settings.github_ca_file is not None and not settings.github_ca_file.is_file():
        raise SettingsError(
            f"{PREFIX}GITHUB_CA_FILE: there is no file {settings.github_ca_file}. Correct the path."
        )
    return settings


def with_stored_app(settings: Settings) -> Settings:
    """The settings with the App that set-up left in the state folder, unless they name one.

    Raises `SettingsError` when that file is damaged or the App belongs to another GitHub.
    """
    if settings.github_app_id:
        return settings
    try:
        app = load_identity(settings.state_dir)
    except CredentialsError as error:
        raise SettingsError(str(error)) from None
    if app is None:
        return settings
    if app.api_url != settings.github_api_url:
        raise SettingsError(
            f"{PREFIX}GITHUB_API_URL: the App in {settings.state_dir} was created at "
            f"{app.api_url}, not at {settings.github_api_url}. Correct the URL, or use a separate "
            f"folder for the other GitHub with {PREFIX}STATE_DIR."
        )
    update: dict[str, object] = {
        "github_app_id": app.id,
        "github_app_slug": app.slug,
        "github_private_key_file": app.private_key_file,
        "github_webhook_secret_file": app.webhook_secret_file,
    }
    if app.client_id and not settings.github_client_id:
        update["github_client_id"] = app.client_id
        update["github_client_secret_file"] = app.client_secret_file
    return settings.model_copy(update=update)


def lines(settings: Settings) -> list[SettingLine]:
    """Every setting with its value in effect and its description."""
    return [
        SettingLine(
            name=name,
            variable=f"{PREFIX}{name.upper()}",
            value=_display_value(getattr(settings, name)),
            is_default=name not in settings.model_fields_set,
            description=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def _display_value(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value)
    if isinstance(value, dict):
        shown = {
            k: v.model_dump(mode="json") if isinstance(v, BaseModel) else v
            for k, v in value.items()
        }
        return json.dumps(shown) if shown else ""
    return str(value)


def _explain_error(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_url=False):
        message = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            yield f"{message}."
            continue
        name = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
            yield f"{name}: there is no such setting. {_nearest(name)}".rstrip()
        else:
            inside = ".".join(str(part) for part in problem["loc"][1:])
            where = f"{PREFIX}{name.upper()}{f' ({inside})' if inside else ''}"
            yield f"{where}: {message}. Correct or remove it."


def _misspelt_variables(environ: os._Environ[str]) -> Iterator[str]:
    """Variables that look like a setting but are none: a typo would otherwise go unnoticed."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {CONFIG_VARIABLE}
    for variable in environ:
        if variable.startswith(PREFIX) and variable.upper() not in known:
            hint = _nearest(variable.removeprefix(PREFIX))
            if hint:
                yield f"{variable}: there is no such setting. {hint}"


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), Settings.model_fields, n=1, cutoff=0.8)
    return f"Did you mean {PREFIX}{close[0].upper()}?" if close else ""
