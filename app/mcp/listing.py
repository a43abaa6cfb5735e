"""Which of the tools that a server lists may be used, and what the model is told of them.

The list is the server's word: names, descriptions and schemas are bounded, cleaned, and refused
where they are not what they should be.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.model import ExternalTool
from agent.prompting import external_description
from agent.text.control_tokens import neutralise
from agent.text.visible import visible
from app.mcp.config import Server

LONGEST_DESCRIPTION = 1000
LONGEST_OF_FIELD = 300
LONGEST_SCHEMA = 8000
"""Characters of a tool's description, of one of its arguments', and of its schema as JSON."""
DEEPEST_SCHEMA = 8
LONGEST_NAME = 64
"""Most servers of models take no longer ones."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
"""https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-names"""
_NUMBERS = ("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength")
_CHOICES = ("anyOf", "oneOf", "allOf")
_NAMED = ("properties", "$defs", "definitions")
_WITHIN = ("items", "additionalProperties")
_VALUES = ("enum", "const", "default")
_KEPT = frozenset(
    (*_NUMBERS, *_CHOICES, *_NAMED, *_WITHIN, *_VALUES, "type", "required", "description", "$ref")
)
"""Keywords of JSON Schema that stay. `pattern` and `format` go: servers of models may run them."""


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as its server lists it; all of it is untrusted."""

    name: str
    description: str
    schema: Mapping[str, Any]
    reads_only: bool
    """Whether the server says so (`readOnlyHint`)."""


@dataclass(frozen=True, slots=True)
class CheckedTool:
    """What becomes of a tool."""

    name: str
    """Its server's name for it, visible."""
    tool: ExternalTool | None = None
    """None: it may not be used."""
    why_not: str = ""


def check_all(server: Server, listed: Sequence[ListedTool]) -> tuple[CheckedTool, ...]:
    """All tools that a server lists, and those that it should have and does not, in order."""
    times = Counter(_full_name(server, tool.name) for tool in listed)
    found = []
    for tool in listed:
        try:
            if times[_full_name(server, tool.name)] > 1:
                raise ValueError("the server lists several tools of this name")
            checked = CheckedTool(tool.name, tool=_check(server, tool))
        except ValueError as problem:
            checked = CheckedTool(visible(tool.name[:128], kept=""), why_not=str(problem))
        found.append(checked)
    there = {tool.name for tool in listed}
    lost = (name for name in (*server.tools, *server.writes) if name not in there)
    return (*found, *(CheckedTool(n, why_not="the server has no such tool") for n in lost))


def why_not(server: Server, name: str, *, reads_only: bool) -> str:
    """Why a tool may not be used, by the operator's file; empty: it may."""
    if name in server.writes:
        return ""
    if name not in server.tools:
        said = "; it says that it only reads" if reads_only else ""
        return f"not allowed: it is in neither tools nor writes{said}"
    if not reads_only:
        return (
            "the server does not say that it only reads; put it into writes if it may change things"
        )
    return ""


def _full_name(server: Server, name: str) -> str:
    return f"{server.name}__{name.replace('.', '_')}"


def _check(server: Server, listed: ListedTool) -> ExternalTool:
    """The tool as runs may use it. Raises `ValueError` where they may not."""
    if reason := why_not(server, listed.name, reads_only=listed.reads_only):
        raise ValueError(reason)
    if not _NAME.fullmatch(listed.name):
        raise ValueError("its name is none: letters, digits, `_`, `-` and `.` may be in it")
    name = _full_name(server, listed.name)
    if len(name) > LONGEST_NAME:
        raise ValueError(f"{name} has more than {LONGEST_NAME} characters: shorten the server's")
    schema = checked_schema(listed.schema)
    writes = listed.name in server.writes
    said = _one_line(listed.description, LONGEST_DESCRIPTION)
    return ExternalTool(
        name=name,
        description=external_description(server.name, said, writes=writes),
        parameters=schema,
        server=server.name,
        own_name=listed.name,
        writes=writes,
    )


def checked_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a tool's JSON Schema. Raises `ValueError` where it is not usable."""
    if schema.get("type") != "object":
        raise ValueError("its schema does not describe an object")
    kept = _kept(schema, 0)
    kept.setdefault("properties", {})
    if len(json.dumps(kept)) > LONGEST_SCHEMA:
        raise ValueError(f"its schema has more than {LONGEST_SCHEMA} characters")
    return kept


def _kept(schema: Any, depth: int) -> dict[str, Any]:
    if isinstance(schema, bool):
        return {} if schema else {"enum": []}
    if not isinstance(schema, Mapping):
        raise ValueError("a part of its schema is none")
    if depth > DEEPEST_SCHEMA:
        raise ValueError("its schema is nested too deeply")
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _KEPT:
            kept[keyword] = _kept_value(keyword, value, depth)
    return kept


def _kept_value(keyword: str, value: Any, depth: int) -> Any:
    match keyword:
        case "description":
            return _one_line(str(value), LONGEST_OF_FIELD)
        case _ if keyword in _NAMED:
            if not isinstance(value, Mapping) or not all(_NAME.fullmatch(str(n)) for n in value):
                raise ValueError("an argument's name in its schema is none")
            return {name: _kept(part, depth + 1) for name, part in value.items()}
        case _ if keyword in _WITHIN:
            return value if isinstance(value, bool) else _kept(value, depth + 1)
        case _ if keyword in _CHOICES:
            if not isinstance(value, list):
                raise ValueError(f"{keyword} in its schema is no list")
            return [_kept(part, depth + 1) for part in value]
        case "$ref":
            if not re.fullmatch(r"#/(\$defs|definitions)/[A-Za-z0-9_.-]{1,128}", str(value)):
                raise ValueError("its schema refers to something outside itself")
            return value
        case "type":
            names = value if isinstance(value, list) else [value]
            if not all(name in _TYPES for name in names):
                raise ValueError("a type in its schema is none")
            return value
        case "required":
            if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
                raise ValueError("required in its schema is no list of names")
            return [visible(name[:128], kept="") for name in value]
        case _ if keyword in _NUMBERS:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{keyword} in its schema is no number")
            return value
        case _:
            return _plain(value, depth)


_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def _plain(value: Any, depth: int) -> Any:
    """A value in a schema (of `enum`, `default`, …), with its texts cleaned."""
    if depth > DEEPEST_SCHEMA:
        raise ValueError("its schema is nested too deeply")
    if isinstance(value, str):
        return _one_line(value, LONGEST_OF_FIELD)
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {_one_line(str(n), 128): _plain(item, depth + 1) for n, item in value.items()}
    return value


def _one_line(text: str, longest: int) -> str:
    line = " ".join(visible(text[: 4 * longest]).split())
    return neutralise(line if len(line) <= longest else f"{line[:longest]}…")
