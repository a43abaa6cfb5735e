"""The reference pages of settings and of `.github/patchwright.yml`, as Markdown.

They are made from the classes, without this machine's values: `make reference` writes them into
`docs/`, and a test checks that the pages there are up to date.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.settings.alerts import AlertSettings
from app.settings.base import CONFIG_VARIABLE, PREFIX
from app.settings.costs import CostSettings
from app.settings.github import GithubSettings
from app.settings.llm import ModelSettings
from app.settings.notifications import NotificationSettings
from app.settings.operations import OperationSettings
from app.settings.repositories import RepositorySettings
from app.settings.sandboxes import KubernetesSettings, SandboxSettings, SetupSettings
from app.settings.schema import Settings
from app.settings.tools import ToolSettings

MADE = "<!-- Made by `make reference`; change the program instead of this page. -->"

HEADINGS: dict[type, str] = {
    Settings: "Service",
    ModelSettings: "Model and budget",
    SandboxSettings: "Sandboxes",
    RepositorySettings: "Size of repositories",
    GithubSettings: "GitHub, triggers and limits",
    SetupSettings: "Preparing sandboxes",
    KubernetesSettings: "Sandboxes as pods",
    OperationSettings: "Operation",
    CostSettings: "Prices and budgets in money",
    AlertSettings: "Alerts",
    NotificationSettings: "Notifications",
    ToolSettings: "Tools of the operator",
}
"""Headings over the settings of each class; others have the first sentence of their docstring."""

_COMPUTED_DEFAULTS = {"state_dir": "`~/.local/state/patchwright`, or below `XDG_STATE_HOME`"}
"""Defaults that are worked out on the machine, in words."""

_TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_JSON_TYPES = {
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "array": "list",
    "object": "JSON",
}


def sections() -> Iterator[tuple[str, list[str]]]:
    """Headings, each with the names of the settings below it."""
    for owner in Settings.__mro__:
        own = inspect.get_annotations(owner)
        names = [name for name in Settings.model_fields if name in own]
        if names:
            yield HEADINGS.get(owner) or (owner.__doc__ or owner.__name__).split(".")[0], names


def settings_page() -> str:
    """Every setting of the program: variable, default, kind and description."""
    return "\n".join(_settings_lines())


def _settings_lines() -> Iterator[str]:
    yield MADE
    yield "# Settings"
    yield ""
    yield (
        "Each setting is an environment variable. Settings can also be kept in one file that "
        f"`{CONFIG_VARIABLE}` names: TOML, with lower-case names and without "
        f"`{PREFIX}` (`port = 8080`), or, with any other ending, lines like `{PREFIX}PORT=8080`. "
        "The environment overrides the file. `patchwright settings` shows the values in effect on "
        "a machine, with secrets masked; a wrong value or a misspelt name is an error that says "
        "how to correct it."
    )
    yield ""
    yield (
        "Separate the items of a list by commas (in TOML use lists, and tables for JSON). A secret "
        "can be kept in a separate file (`…_FILE`), which is read at each use, so that a key can "
        "be changed without a restart."
    )
    for heading, names in sections():
        yield ""
        yield f"## {heading}"
        yield ""
        yield "| setting | default | kind | meaning |"
        yield "|---|---|---|---|"
        for name in names:
            field = Settings.model_fields[name]
            yield (
                f"| `{PREFIX}{name.upper()}` | {_default(name, field)} | {_kind(field)} "
                f"| {_cell(field.description or '')} |"
            )
    yield ""


def _default(name: str, field: FieldInfo) -> str:
    if name in _COMPUTED_DEFAULTS:
        return _COMPUTED_DEFAULTS[name]
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is None or value in ("", (), {}):
        return "empty"
    if isinstance(value, SecretStr):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{', '.join(map(str, value))}`"
    return f"`{value:g}`" if isinstance(value, float) and value < 1e6 else f"`{value}`"


def _kind(field: FieldInfo) -> str:
    bounds = [text for part in field.metadata if (text := _bound(part))]
    return ", ".join([_type(field.annotation), *bounds])


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(part) for part in get_args(annotation) if part is not type(None))
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in get_args(annotation))
    if origin is tuple:
        return "list"
    if origin is dict:
        return "JSON"
    if annotation is SecretStr:
        return "secret"
    if annotation is Path:
        return "path"
    return _TYPES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bound(part: object) -> str:
    match part:
        case annotated_types.Ge(ge=least):
            return f"at least {least:,}"
        case annotated_types.Gt(gt=least):
            return f"above {least:,}"
        case annotated_types.Le(le=most):
            return f"at most {most:,}"
        case annotated_types.Lt(lt=most):
            return f"below {most:,}"
        case annotated_types.MinLen(min_length=least):
            return f"at least {least} character{'' if least == 1 else 's'}"
        case _:
            return ""


def repository_file_page(schema: Mapping[str, Any]) -> str:
    """Everything that `.github/patchwright.yml` may contain, from its JSON Schema."""
    return "\n".join(_repository_file_lines(schema))


def _repository_file_lines(schema: Mapping[str, Any]) -> Iterator[str]:
    yield MADE
    yield "# `.github/patchwright.yml`"
    yield ""
    yield (
        "This file configures how Patchwright works in a repository. Every name has a default, so "
        "the file may be short or missing. It is read from the default branch only, so a pull "
        "request cannot change the rules that it is judged by. The operator's "
        "[settings](settings.md) set the limits. Defaults for a whole organisation are at the same "
        "path in its `.github` repository; the repository's own file overrides them, name by name. "
        "Only `enabled: false` there holds whatever a repository says "
        "([off for a whole organisation](operating.md#off-for-a-whole-organisation))."
    )
    yield ""
    yield (
        "If a name or value is wrong, the whole file but for `enabled: false` is ignored, and one "
        "comment on the issue names the line. Editors can check and complete the file with "
        "[patchwright.schema.json](patchwright.schema.json), which "
        "`patchwright settings --repo-schema` also prints."
    )
    yield ""
    sections: list[tuple[str, Mapping[str, Any]]] = []
    yield from _HEAD
    for name, described in schema["properties"].items():
        if "$ref" in described:
            sections.append((name, schema["$defs"][described["$ref"].rsplit("/", 1)[-1]]))
        else:
            yield _row(name, described)
    for name, section in sections:
        yield ""
        yield f"## `{name}`"
        yield ""
        yield section["description"]
        yield ""
        yield from _HEAD
        for inner, described in section["properties"].items():
            if "$ref" in described:
                within = schema["$defs"][described["$ref"].rsplit("/", 1)[-1]]
                sections.insert(sections.index((name, section)) + 1, (f"{name}.{inner}", within))
            else:
                yield _row(f"{name}.{inner}", described)
    yield ""


_HEAD = ("| name | default | kind | meaning |", "|---|---|---|---|")


def _row(name: str, described: Mapping[str, Any]) -> str:
    default = described.get("default")
    shown = "empty" if default in (None, "", []) else f"`{json.dumps(default)}`"
    return f"| `{name}` | {shown} | {_json_kind(described)} | {_cell(described['description'])} |"


def _json_kind(described: Mapping[str, Any]) -> str:
    if "anyOf" in described:
        return " or ".join(_json_kind(p) for p in described["anyOf"] if p.get("type") != "null")
    if "enum" in described:
        return " or ".join(f"`{word}`" for word in described["enum"])
    parts = [_JSON_TYPES[described["type"]]]
    for key, words in (
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
    ):
        if key in described:
            parts.append(f"{words} {described[key]:,}")
    return ", ".join(parts)


def _cell(text: str) -> str:
    """Text in a table's cell: one line, no column of its own, no HTML outside of code."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    for number in range(0, len(parts), 2):
        parts[number] = parts[number].replace("&", "&amp;").replace("<", "&lt;")
    return "`".join(parts)
