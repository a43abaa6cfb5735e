"""What SGLang's two Kimi K2 detectors do, written anew from their behaviour (sglang 0.5.23).

Compared with the originals by tests/integration/agent/models/test_detectors.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SECTION_BEGIN = "<|tool_calls_section_begin|>"
SECTION_END = "<|tool_calls_section_end|>"
CALL_BEGIN = "<|tool_call_begin|>"
CALL_END = "<|tool_call_end|>"
ARGUMENT_BEGIN = "<|tool_call_argument_begin|>"
THINK_BEGIN = "<think>"
THINK_END = "</think>"

_TOKENS = (SECTION_BEGIN, SECTION_END, CALL_BEGIN, CALL_END, ARGUMENT_BEGIN)
_WHOLE_CALL = re.compile(
    re.escape(CALL_BEGIN)
    + r"\s*([^\s<|]+)\s*"
    + re.escape(ARGUMENT_BEGIN)
    + r"\s*(\{.*?\})\s*"
    + re.escape(CALL_END),
    re.DOTALL,
)
_NAMED = re.compile(r"^(?:functions\.)?([\w.\-]+):(\d+)$")
_COUNTER = re.compile(r"^\d+$")

Tools = Sequence[Mapping[str, Any]]
"""The functions of a request's tools: name and parameters."""


@dataclass
class CallPiece:
    """A piece of a tool call: the name comes with the first one only."""

    index: int
    name: str | None
    arguments: str


def tool_name(raw_id: str, arguments: str, tools: Tools, *, only_named: bool = False) -> str | None:
    """The tool that an id stands for, or None: the call is dropped.

    `only_named`: as the older parser of sglang-kt, which infers no names.
    """
    named = _NAMED.match(raw_id)
    if named:
        return named.group(1)
    if only_named:
        return None
    return _inferred(arguments, tools) if not raw_id or _COUNTER.match(raw_id) else None


def _inferred(arguments: str, tools: Tools) -> str | None:
    if not tools:
        return None
    if len(tools) == 1:
        return str(tools[0]["name"])
    try:
        keys = set(json.loads(arguments).keys())
    except (ValueError, AttributeError):
        return None
    best, best_score = None, -1
    for tool in tools:
        known = set((tool.get("parameters") or {}).get("properties") or {})
        score = len(keys & known) - len(keys - known)
        if known and score > best_score:
            best, best_score = str(tool["name"]), score
    return best


def parse_calls(
    text: str, tools: Tools, *, only_named: bool = False
) -> tuple[str, list[CallPiece]]:
    """Content and calls of a whole answer (the path without streaming)."""
    if not tools or SECTION_BEGIN not in text:
        return text, []
    calls: list[CallPiece] = []
    for raw_id, arguments in _WHOLE_CALL.findall(text):
        # Without streaming an empty id cannot match, so only counters are inferred.
        name = tool_name(raw_id, arguments, tools, only_named=only_named)
        if name is not None:
            calls.append(CallPiece(len(calls), name, arguments))
    return text[: text.find(SECTION_BEGIN)], calls


@dataclass
class CallStream:
    """The streaming detector of tool calls."""

    tools: Tools
    only_named: bool = False
    _buffer: str = ""
    _index: int = 0
    _name: str | None = None
    _sent: int = 0
    begun: list[str] = field(default_factory=list)
    """Arguments streamed of each call so far."""

    def feed(self, text: str) -> tuple[str, list[CallPiece]]:
        """Content and call pieces that the next text makes certain."""
        if not self.tools:
            return text, []
        self._buffer += text
        content: list[str] = []
        pieces: list[CallPiece] = []
        while self._step(content, pieces):
            pass
        return "".join(content), pieces

    def finish(self) -> str:
        """Arguments of the last call that the server adds when the generation ends.

        It holds every call's arguments to be `{}` and sends what is missing of that.
        """
        last = self.begun[-1] if self.begun else "{}"
        return "{}"[len(last) :] if "{}".startswith(last) else ""

    def _step(self, content: list[str], pieces: list[CallPiece]) -> bool:
        begin = self._buffer.find(CALL_BEGIN)
        if begin == -1:
            emitted, self._buffer = _hold_back(self._buffer)
            content.append(_stripped(emitted))
            return False
        content.append(_stripped(self._buffer[:begin]))
        self._buffer = self._buffer[begin:]
        argument = self._buffer.find(ARGUMENT_BEGIN)
        following = self._buffer.find(CALL_BEGIN, len(CALL_BEGIN))
        if following != -1 and (argument == -1 or following < argument):
            self._buffer = self._buffer[following:]
            self._reset()
            return True
        return argument != -1 and self._call(argument, pieces)

    def _call(self, argument: int, pieces: list[CallPiece]) -> bool:
        start = argument + len(ARGUMENT_BEGIN)
        end = self._buffer.find(CALL_END)
        arguments = self._buffer[start:end] if end != -1 else self._buffer[start:]
        opening = self._name is None
        if opening:
            raw_id = self._buffer[len(CALL_BEGIN) : argument].strip()
            self._name = tool_name(raw_id, arguments, self.tools, only_named=self.only_named)
            if self._name is None:
                if end == -1:
                    return False
                self._advance(end)
                return True
            self.begun.append("")
        fresh = arguments[self._sent :]
        if fresh or opening:
            pieces.append(CallPiece(self._index, self._name if opening else None, fresh))
            self._sent += len(fresh)
            self.begun[-1] += fresh
        if end == -1:
            return False
        self._advance(end)
        self._index += 1
        return True

    def _advance(self, end: int) -> None:
        self._buffer = self._buffer[end + len(CALL_END) :]
        self._reset()

    def _reset(self) -> None:
        self._name = None
        self._sent = 0


@dataclass
class ReasoningStream:
    """The streaming detector of thinking."""

    inside: bool = False
    """Whether the answer counts as thinking from its first token."""
    ends_at_calls: bool = True
    """Whether a call ends the thinking. Not in sglang-kt, whose `kimi_k2` is Qwen3's parser."""
    _buffer: str = ""
    _opened: bool = False

    def feed(self, text: str) -> tuple[str, str]:
        """Reasoning and other text that the next text makes certain."""
        self._buffer += text
        current = self._buffer
        if any(
            token.startswith(current) and token != current
            for token in (THINK_BEGIN, THINK_END, SECTION_BEGIN)
        ):
            return "", ""
        if not self._opened and THINK_BEGIN in current:
            current = current.replace(THINK_BEGIN, "", 1)
            self._buffer = current
            self._opened = self.inside = True
        if not self.inside:
            self._buffer = ""
            return "", current
        if THINK_END in current:
            reasoning, _, rest = current.partition(THINK_END)
            return self._leave(reasoning, rest)
        if self.ends_at_calls and SECTION_BEGIN in current:
            at = current.find(SECTION_BEGIN)
            return self._leave(current[:at], current[at:])
        tokens = [THINK_END, SECTION_BEGIN, *([] if self._opened else [THINK_BEGIN])]
        held = max(_partial(current, token) for token in tokens)
        self._buffer = current[len(current) - held :]
        return current[: len(current) - held], ""

    def finish(self) -> tuple[str, str]:
        """What was held back for a token that cannot come any more."""
        held, self._buffer = self._buffer, ""
        return (held.removeprefix(THINK_BEGIN), "") if self.inside else ("", held)

    def _leave(self, reasoning: str, rest: str) -> tuple[str, str]:
        self._buffer = ""
        self.inside = False
        return reasoning, rest


def parse_reasoning(text: str, inside: bool = False) -> tuple[str, str]:
    """Reasoning and the rest of a whole answer (the path without streaming)."""
    if not inside and THINK_BEGIN not in text:
        return "", text
    while text.startswith(THINK_BEGIN):
        text = text[len(THINK_BEGIN) :]
    if THINK_END in text:
        reasoning, _, rest = text.partition(THINK_END)
        return reasoning, rest
    at = text.find(SECTION_BEGIN)
    return (text, "") if at == -1 else (text[:at], text[at:])


def _stripped(text: str) -> str:
    for token in _TOKENS:
        text = text.replace(token, "")
    return text


def _hold_back(text: str) -> tuple[str, str]:
    """Text to send now, and the end of it that may become a token. One sign alone is sent."""
    longest = max(len(SECTION_BEGIN), len(CALL_BEGIN)) - 1
    for size in range(min(len(text), longest), 1, -1):
        if any(token.startswith(text[-size:]) for token in (SECTION_BEGIN, CALL_BEGIN)):
            return text[:-size], text[-size:]
    return text, ""


def _partial(text: str, token: str) -> int:
    """Length of the longest end of the text that begins the token."""
    for size in range(min(len(text), len(token) - 1), 0, -1):
        if token.startswith(text[-size:]):
            return size
    return 0
