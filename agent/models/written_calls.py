"""Tool calls that a model wrote into its text, for servers that do not parse them.

Known forms: `<tool_call>{…}</tool_call>` (Qwen, Hermes), the same with `<function=NAME>` and
`<parameter=NAME>` inside (Qwen3-Coder), a fenced block of JSON, and JSON that begins a line, alone
or after Mistral's or Llama's mark. It is a call only if it names a tool that there is and its
arguments are an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.model import Record, ToolSpec

_BLOCK = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_FENCE = re.compile(
    r"^[ \t]*```[\w-]*[ \t]*\n(.*?)(?:^[ \t]*```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_LINE = re.compile(r"^[ \t]*(?:\[TOOL_CALLS\]|<\|python_tag\|>)?[ \t]*(?=[\[{])", re.MULTILINE)
_FUNCTION = re.compile(r"\s*<function=([\w.-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_DECODER = json.JSONDecoder(strict=False)
"""Takes line breaks inside strings, which models write and JSON forbids."""
_KEYS = frozenset({"name", "arguments", "parameters", "id", "type", "function"})


class WrittenCall(Record):
    """One call, with the arguments as JSON."""

    name: str
    arguments: str


class Written(Record):
    """The calls of a text, and the text without them."""

    calls: tuple[WrittenCall, ...]
    text: str


def written_calls(text: str, tools: Sequence[ToolSpec]) -> Written:
    """The first calls in a text that follow one another with nothing between them.

    What comes after other words may rest on a result that the model imagined: it is dropped.
    """
    if not tools or not any(tool.name in text for tool in tools):
        return Written(calls=(), text=text)
    specs = {tool.name: tool for tool in tools}
    calls: list[WrittenCall] = []
    first = end = -1
    for start, stop, found in _places(text, specs):
        if calls and text[end:start].strip():
            break
        calls += [call for call in found if call not in calls]
        first, end = (start if first == -1 else first), stop
    if not calls:
        return Written(calls=(), text=text)
    return Written(calls=tuple(calls), text=text[:first].rstrip())


def _places(
    text: str, specs: Mapping[str, ToolSpec]
) -> Iterator[tuple[int, int, list[WrittenCall]]]:
    """Where calls are, in order: start, end and what they are."""
    at = 0
    while at < len(text):
        matches = [m for m in (p.search(text, at) for p in (_BLOCK, _FENCE, _LINE)) if m]
        if not matches:
            return
        match = min(matches, key=lambda m: m.start())
        if match.re is _LINE:
            found, stop = _json_at(text, match.end(), specs)
        else:
            inner, stop = match[1], match.end()
            found = _in_tags(inner, specs) if match.re is _BLOCK else []
            found = found or _json_at(inner.strip(), 0, specs)[0]
        if found:
            yield match.start(), stop, found
            at = stop
        else:
            at = max(match.end(), match.start() + 1)


def _json_at(text: str, at: int, specs: Mapping[str, ToolSpec]) -> tuple[list[WrittenCall], int]:
    try:
        value, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return [], at
    values = value if isinstance(value, list) else [value]
    calls = [_call_of(entry, specs) for entry in values]
    return ([call for call in calls if call is not None] if all(calls) else []), end


def _call_of(value: object, specs: Mapping[str, ToolSpec]) -> WrittenCall | None:
    if not isinstance(value, dict) or not value.keys() <= _KEYS:
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        return _call_of(inner, specs)
    name = value.get("name", inner)
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        # Where the whole object was written as the protocol has it.
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    known = name.removeprefix("functions.")
    if known not in specs:
        return None
    return WrittenCall(name=known, arguments=json.dumps(arguments, ensure_ascii=False))


def _in_tags(text: str, specs: Mapping[str, ToolSpec]) -> list[WrittenCall]:
    match = _FUNCTION.match(text)
    if match is None or match[1] not in specs:
        return []
    types = _types(specs[match[1]].parameters)
    arguments = {
        name: value if types.get(name) == "string" else _plain(value)
        for name, value in _PARAMETER.findall(match[2])
    }
    return [WrittenCall(name=match[1], arguments=json.dumps(arguments, ensure_ascii=False))]


def _types(schema: Mapping[str, Any]) -> dict[str, object]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {k: v.get("type") for k, v in properties.items() if isinstance(v, Mapping)}


def _plain(value: str) -> object:
    try:
        parsed: object = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return parsed
