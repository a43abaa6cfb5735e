"""What SGLang's two Kimi K3 detectors do, written anew from their behaviour (sglang 0.5.23).

K3 writes its answer in channels: `<|open|>think<|sep|>…<|close|>think<|sep|>`, then `response`,
then `tools` with one `call` each and one `argument` a key. Compared with the originals by
tests/integration/agent/models/test_detectors.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.doubles.sglang.detectors import CallPiece

OPEN, CLOSE, SEP = "<|open|>", "<|close|>", "<|sep|>"
END_OF_MESSAGE = "<|end_of_msg|>"
THINK_OPEN, THINK_CLOSE = f"{OPEN}think{SEP}", f"{CLOSE}think{SEP}"
RESPONSE_OPEN, RESPONSE_CLOSE = f"{OPEN}response{SEP}", f"{CLOSE}response{SEP}"
TOOLS_OPEN, TOOLS_CLOSE = f"{OPEN}tools{SEP}", f"{CLOSE}tools{SEP}"
MESSAGE_CLOSE = f"{CLOSE}message{SEP}"

_WRAPPERS = (RESPONSE_OPEN, RESPONSE_CLOSE, MESSAGE_CLOSE)
_CUT_ENDS = (
    OPEN,
    CLOSE,
    *(
        marker.removesuffix(SEP)
        for marker in (
            *(THINK_CLOSE, RESPONSE_OPEN, RESPONSE_CLOSE),
            *(TOOLS_OPEN, TOOLS_CLOSE, MESSAGE_CLOSE),
        )
    ),
)
"""How text may end where the most tokens were reached within a marker."""


def _element(name: str) -> re.Pattern[str]:
    head = rf"<\|open\|>{name}\s+((?:(?!<\|sep\|>).)*?)<\|sep\|>"
    return re.compile(rf"{head}(.*?)<\|close\|>{name}<\|sep\|>", re.DOTALL)


_CALL, _ARGUMENT = _element("call"), _element("argument")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')


def tag(name: str, **attributes: str) -> str:
    """The marker that opens a channel or an element."""
    escaped = (
        f' {key}="{value.replace("&", "&amp;").replace(chr(34), "&quot;")}"'
        for key, value in attributes.items()
    )
    return f"{OPEN}{name}{''.join(escaped)}{SEP}"


def written(calls: Sequence[tuple[str, str]]) -> str:
    """The tools channel with these calls: names, and arguments as JSON.

    Arguments that are no JSON object stand in one `json` element, as Moonshot's encoder has it.
    """
    return f"{TOOLS_OPEN}{''.join(_call(i, *c) for i, c in enumerate(calls, 1))}{TOOLS_CLOSE}"


def _call(number: int, name: str, arguments: str) -> str:
    try:
        values = json.loads(arguments or "{}")
    except ValueError:
        values = None
    if isinstance(values, dict):
        body = "".join(
            f"{tag('argument', key=key, type=_type(value))}"
            f"{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            f"{CLOSE}argument{SEP}"
            for key, value in values.items()
        )
    else:
        body = f"{tag('json', type='object')}{arguments}{CLOSE}json{SEP}"
    return f"{tag('call', tool=name, index=str(number))}{body}{CLOSE}call{SEP}"


def _type(value: object) -> str:
    kinds = {bool: "boolean", type(None): "null", str: "string", dict: "object", list: "array"}
    return kinds.get(type(value), "number")


def parse_calls(text: str) -> tuple[str, list[CallPiece]]:
    """Content and calls of a whole answer (the path without streaming)."""
    before, opened, section = text.partition(TOOLS_OPEN)
    if not opened:
        return _unwrapped(text), []
    return _unwrapped(before), _calls(section.partition(TOOLS_CLOSE)[0])


def _calls(section: str) -> list[CallPiece]:
    found: list[CallPiece] = []
    for head, body in _CALL.findall(section):
        name = _attributes(head).get("tool", "")
        if name:
            arguments = dict(_argument(*parts) for parts in _ARGUMENT.findall(body))
            text = json.dumps(arguments, ensure_ascii=False)
            found.append(CallPiece(len(found), name, text))
    return found


def _argument(head: str, text: str) -> tuple[str, object]:
    attributes = _attributes(head)
    key = attributes.get("key", "")
    if attributes.get("type", "string") == "string":
        return key, text
    try:
        return key, json.loads(text)
    except json.JSONDecodeError:
        return key, text


def _attributes(head: str) -> dict[str, str]:
    return {
        key: value.replace("&quot;", '"').replace("&amp;", "&")
        for key, value in _ATTRIBUTE.findall(head)
    }


def _unwrapped(text: str) -> str:
    """The response channel's text, or all of it without the channel's markers."""
    _, opened, inner = text.partition(RESPONSE_OPEN)
    text = inner.partition(RESPONSE_CLOSE)[0] if opened else text.replace(RESPONSE_CLOSE, "")
    return _without_cut_end(text.replace(MESSAGE_CLOSE, ""))


def _without_cut_end(text: str) -> str:
    cut = next((end for end in _CUT_ENDS if text.endswith(end)), "")
    return text[: len(text) - len(cut)]


@dataclass
class CallStream:
    """The streaming detector of tool calls: a call comes whole, when it is closed."""

    begun: list[str] = field(default_factory=list)
    """Arguments of each call so far."""
    _buffer: str = ""
    _sent: int = 0

    def feed(self, text: str) -> tuple[str, list[CallPiece]]:
        """Content and calls that the next text makes certain."""
        self._buffer += text
        opened = self._buffer.find(TOOLS_OPEN)
        if opened == -1:
            held = _partial(self._buffer, (TOOLS_OPEN, *_WRAPPERS))
            return self._content(len(self._buffer) - held), []
        content = self._content(opened)
        fresh = _calls(self._buffer[opened + len(TOOLS_OPEN) :])[len(self.begun) :]
        self.begun += [piece.arguments for piece in fresh]
        return content, fresh

    def finish(self) -> str:
        """Content that was held back for a marker that cannot come any more."""
        if TOOLS_OPEN in self._buffer:
            return ""
        return _without_cut_end(self._content(len(self._buffer)))

    def _content(self, end: int) -> str:
        text, self._sent = self._buffer[self._sent : end], max(self._sent, end)
        return _stripped(text)


@dataclass
class ReasoningStream:
    """The streaming detector of thinking."""

    inside: bool = False
    """Whether the answer counts as thinking from its first token."""
    _buffer: str = ""
    _opened: bool = False
    _left: bool = False
    _told: str = ""
    """Thinking streamed so far: it was the response after all, if that closes unopened."""
    _skipped: bool = False
    _in_tools: bool = False

    def feed(self, text: str) -> tuple[str, str]:
        """Reasoning and other text that the next text makes certain."""
        self._buffer += text
        if not self.inside and not self._left:
            if THINK_OPEN in self._buffer:
                self._open()
                self.inside = True
            elif THINK_OPEN.startswith(self._buffer):
                return "", ""
            else:
                self._left = True
        return self._thinking() if self.inside else ("", self._drain())

    def finish(self) -> tuple[str, str]:
        """What was held back for a marker that cannot come any more."""
        held, self._buffer = self._buffer, ""
        if not self.inside:
            return "", held
        return held.removeprefix(THINK_OPEN), ""

    def _open(self) -> None:
        self._buffer = self._buffer.partition(THINK_OPEN)[2]
        self._opened = True

    def _thinking(self) -> tuple[str, str]:
        if not self._opened and THINK_OPEN in self._buffer:
            self._open()
        text = self._buffer
        close, channel = text.find(THINK_CLOSE), _next_channel(text)
        tools = text.find(TOOLS_OPEN)
        if _skipped(text, 0, close, channel):
            self._skipped = True
            told = self._told
            self._leave()
            return "", told + self._drain()
        if close != -1 and not -1 < tools < close:
            self._buffer = text[close + len(THINK_CLOSE) :]
            self._leave()
            return text[:close], self._drain()
        if channel != -1:
            self._buffer = text[channel:]
            self._in_tools = text.startswith(TOOLS_OPEN, channel)
            self._leave()
            return _without_cut_end(text[:channel]), self._drain()
        markers = [THINK_CLOSE, TOOLS_OPEN, *_WRAPPERS, *([] if self._opened else [THINK_OPEN])]
        certain = _without_cut_end(text[: len(text) - _partial(text, markers)])
        self._buffer = text[len(certain) :]
        self._told += certain
        return certain, ""

    def _leave(self) -> None:
        self.inside, self._left, self._told = False, True, ""

    def _drain(self) -> str:
        """What follows the thinking: the response unwrapped, the tools channel as it is."""
        text = self._buffer
        late = (THINK_CLOSE,) if self._skipped else ()
        tools = text.find(TOOLS_OPEN)
        if self._in_tools or tools != -1:
            certain = text[: len(text) - _partial(text, late)]
            self._buffer = text[len(certain) :]
            if not self._in_tools:
                certain = _stripped(certain[:tools]) + certain[tools:]
                self._in_tools = True
        else:
            certain = text[: len(text) - _partial(text, (*_WRAPPERS, TOOLS_OPEN, *late))]
            self._buffer = text[len(certain) :]
            certain = _stripped(certain)
        return certain.replace(THINK_CLOSE, "") if self._skipped else certain


def parse_reasoning(text: str, inside: bool = False) -> tuple[str, str]:
    """Reasoning and the rest of a whole answer (the path without streaming)."""
    if not inside and THINK_OPEN not in text and THINK_CLOSE not in text:
        return "", _cleaned(text)
    opened = text.find(THINK_OPEN)
    start = opened + len(THINK_OPEN) if opened != -1 else 0
    close, tools = text.find(THINK_CLOSE, start), text.find(TOOLS_OPEN, start)
    channel = _next_channel(text, start)
    if _skipped(text, start, close, channel):
        return "", _cleaned(text[start:].replace(THINK_CLOSE, ""))
    if -1 < tools < close:
        return _without_cut_end(text[start:tools]), _cleaned(text[tools:])
    if close != -1:
        return text[start:close], _cleaned(text[close + len(THINK_CLOSE) :])
    if channel != -1:
        return _without_cut_end(text[start:channel]), _cleaned(text[channel:])
    return _without_cut_end(text[start:]), ""


def _next_channel(text: str, start: int = 0) -> int:
    found = [at for marker in (RESPONSE_OPEN, TOOLS_OPEN) if (at := text.find(marker, start)) != -1]
    return min(found, default=-1)


def _skipped(text: str, start: int, close: int, channel: int) -> bool:
    """Whether the response ends before any sign that the thinking did: it was all response."""
    end = text.find(RESPONSE_CLOSE, start)
    return end != -1 and all(at == -1 or end < at for at in (close, channel))


def _cleaned(text: str) -> str:
    before, opened, tools = text.partition(TOOLS_OPEN)
    return _unwrapped(before) + opened + tools


def _stripped(text: str) -> str:
    for marker in _WRAPPERS:
        text = text.replace(marker, "")
    return text


def _partial(text: str, markers: Sequence[str]) -> int:
    """Length of the longest end of the text that begins one of the markers."""
    longest = max((len(marker) for marker in markers), default=1) - 1
    for size in range(min(len(text), longest), 0, -1):
        end = text[-size:]
        if any(marker.startswith(end) and marker != end for marker in markers):
            return size
    return 0
