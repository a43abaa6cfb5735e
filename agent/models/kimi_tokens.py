"""Kimi K2's raw tool-call tokens, for servers that let them through as text.

`<|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:N<|tool_call_argument_begin|>{json}`
`<|tool_call_end|><|tool_calls_section_end|>`. A server with the parser switched on hides all of it;
without, or where its parser fails, it is in the content or in the reasoning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent.model import Record, ToolSpec

SECTION_BEGIN = "<|tool_calls_section_begin|>"
SECTION_END = "<|tool_calls_section_end|>"
CALL_BEGIN = "<|tool_call_begin|>"
CALL_END = "<|tool_call_end|>"
ARGUMENT_BEGIN = "<|tool_call_argument_begin|>"
THINK_BEGIN = "<think>"
THINK_END = "</think>"

_ID = re.compile(r"(?:functions\.)?(?P<name>[\w.\-]+):\d+")
_STRAY = re.compile(
    r"<\|(?:tool_calls_section_(?:begin|end)|tool_call_(?:begin|end|argument_begin)"
    r"|im_(?:end|user|assistant|system|middle|start))\|>"
)
_MOST_NESTED = 8
_DECODER = json.JSONDecoder()


class RawCall(Record):
    """A call as the model wrote it."""

    id: str
    """What stood where the id belongs: `functions.NAME:N`, a bare number or nothing."""
    name: str
    """Empty where it cannot be told."""
    arguments: str


class Leak(Record):
    """Text with its leaked tokens taken out."""

    text: str
    calls: tuple[RawCall, ...] = ()


def has_tokens(text: str) -> bool:
    """Whether any of the control tokens is in the text."""
    return _STRAY.search(text) is not None


def parse(text: str, tools: Sequence[ToolSpec]) -> Leak:
    """The calls that are in the text, and the text without them and without stray tokens.

    A call that another one begins before its arguments is thrown away, as the server does. Text
    that ends within the arguments gives them as far as they go.
    """
    calls: list[RawCall] = []
    kept: list[str] = []
    at = 0
    while (begin := text.find(CALL_BEGIN, at)) != -1:
        kept.append(text[at:begin])
        head = begin + len(CALL_BEGIN)
        argument = text.find(ARGUMENT_BEGIN, head)
        following = text.find(CALL_BEGIN, head)
        if argument == -1 or (following != -1 and following < argument):
            at = following if following != -1 else len(text)
            continue
        arguments, at = _arguments(text, argument + len(ARGUMENT_BEGIN))
        raw_id = text[head:argument].strip()
        name = name_in(raw_id) or infer_name(arguments, tools)
        calls.append(RawCall(id=raw_id, name=name, arguments=arguments))
    kept.append(text[at:])
    return Leak(text=without("".join(kept), _STRAY), calls=tuple(calls))


def without(text: str, tokens: re.Pattern[str]) -> str:
    """The text without these tokens, each of which begins with `<|`."""
    # What is left around a token that was taken out may make another one. Nobody nests them so
    # but to keep us at it, as each time costs the length of the text.
    for _ in range(_MOST_NESTED):
        if tokens.search(text) is None:
            return text
        text = tokens.sub("", text)
    return text.replace("<|", "< |")


def _arguments(text: str, start: int) -> tuple[str, int]:
    """The arguments that begin at `start`, and where the text goes on after them.

    Reads a whole JSON object first, so that a token within a string does not cut the call.
    """
    begin = start
    while begin < len(text) and text[begin].isspace():
        begin += 1
    try:
        _, end = _DECODER.raw_decode(text, begin)
    except (ValueError, RecursionError):
        end = -1
    if end != -1:
        after = end
        while after < len(text) and text[after].isspace():
            after += 1
        if after == len(text):
            return text[begin:end], after
        if text.startswith(CALL_END, after):
            return text[begin:end], after + len(CALL_END)
    stops = [
        (found, len(token) if token == CALL_END else 0)
        for token in (CALL_END, CALL_BEGIN, SECTION_END)
        if (found := text.find(token, start)) != -1
    ]
    stop, width = min(stops, default=(len(text), 0))
    return text[start:stop].strip(), stop + width


def name_in(raw_id: str) -> str:
    """The tool's name in `functions.NAME:N` or `NAME:N`; empty if there is none."""
    match = _ID.fullmatch(raw_id)
    return match["name"] if match else ""


def infer_name(arguments: str, tools: Sequence[ToolSpec]) -> str:
    """The tool whose parameters fit the argument keys best; empty if none does.

    The rule of SGLang's detector: keys that fit less keys that do not, the first of equals.
    """
    if len(tools) == 1:
        return tools[0].name
    try:
        keys = set(json.loads(arguments))
    except (ValueError, TypeError, RecursionError):
        return ""
    best, best_score = "", 0
    for tool in tools:
        properties = _properties(tool.parameters)
        score = len(keys & properties) - len(keys - properties)
        if properties and score > best_score:
            best, best_score = tool.name, score
    return best


def _properties(schema: Mapping[str, Any]) -> set[str]:
    properties = schema.get("properties")
    return set(properties) if isinstance(properties, Mapping) else set()


def split_thinking(content: str) -> tuple[str, str] | None:
    """Reasoning and content, where a server left the thinking tags in the content; else None."""
    head = content.lstrip()
    opened = head.startswith(THINK_BEGIN)
    if not opened and THINK_END not in content:
        return None
    body = head[len(THINK_BEGIN) :] if opened else content
    reasoning, closed, rest = body.partition(THINK_END)
    if closed:
        return reasoning, rest
    # The model may go from thinking straight to the tool section.
    begin = min((i for t in (SECTION_BEGIN, CALL_BEGIN) if (i := body.find(t)) != -1), default=-1)
    return (body, "") if begin == -1 else (body[:begin], body[begin:])
