"""Assembly of one answer from the bytes of a server-sent event stream: no I/O, no clock."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.errors import ModelError
from agent.model import FinishReason, Record, Usage
from agent.models.repetition import ENOUGH, drifts, repeats
from agent.text.surrogates import join_surrogates

LONGEST_EVENT = 16 * 2**20
"""Bytes of one event before the stream counts as broken."""

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_FINISHES: Mapping[str, FinishReason] = {
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "stop": "stop",
    "length": "length",
    "abort": "abort",
    "content_filter": "abort",
}


class StreamBroken(ModelError):
    """The stream ended early or is none of the protocol's."""


class StreamError(ModelError):
    """The server reported an error inside the stream."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.error = error
        super().__init__(str(error.get("message") or error))


class EndlessRepetition(ModelError):
    """The model writes the same piece of text over and over."""


class AnsweredCall(Record):
    """A tool call as it came; any field may be empty."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class Answer(Record):
    """What the server said, before anything is fixed."""

    reasoning: str = ""
    content: str = ""
    calls: tuple[AnsweredCall, ...] = ()
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    cache_reported: bool = False
    usage_reported: bool = False


@dataclass(slots=True)
class _Text:
    """Text that grows in pieces, watched for repetition."""

    prose: bool = False
    """Whether it is written for readers, so that it must not say nearly the same without end."""
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    checked: int = 0

    def add(self, piece: str) -> None:
        self.pieces.append(piece)
        self.length += len(piece)
        # A look every quarter of what counts as endless keeps the cost linear.
        if self.length - self.checked >= ENOUGH // 4:
            self.checked = self.length
            if repeats(self.whole()) or (self.prose and drifts(self.whole())):
                raise EndlessRepetition("The model repeated itself without end and was cut off.")

    def whole(self) -> str:
        text = "".join(self.pieces)
        self.pieces = [text]
        return text


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: _Text = field(default_factory=_Text)


class Assembly:
    """One answer in the making: `feed` bytes as they come, then `finish`."""

    def __init__(self) -> None:
        self.events = 0
        """Events so far that carried a part of the answer: to tell progress from a stall."""
        self.done = False
        """The server said that nothing more comes."""
        self._buffer = bytearray()
        self._data: list[bytes] = []
        self._data_size = 0
        self._reasoning = _Text(prose=True)
        self._content = _Text(prose=True)
        self._calls: dict[int, _Call] = {}
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self._cache_reported = False

    def feed(self, data: bytes) -> None:
        """Take in the next bytes, cut anywhere.

        Raises `StreamBroken`, `StreamError` or `EndlessRepetition`.
        """
        self._buffer += data
        start = 0
        # A carriage return at the very end may be half of a line end: wait for what follows.
        for end in _LINE_END.finditer(self._buffer):
            self._line(bytes(self._buffer[start : end.start()]))
            start = end.end()
        del self._buffer[:start]
        if len(self._buffer) + self._data_size > LONGEST_EVENT:
            raise StreamBroken("The server sent an event of more than 16 MB.")

    def finish(self) -> Answer:
        """The answer, when the bytes have ended. Raises as `feed` does."""
        if self._buffer:
            self._line(bytes(self._buffer.rstrip(b"\r")))
            self._buffer.clear()
        self._dispatch()
        if self._finish is None and not self.done:
            raise StreamBroken("The stream ended before the turn did.")
        return Answer(
            reasoning=join_surrogates(self._reasoning.whole()),
            content=join_surrogates(self._content.whole()),
            calls=tuple(
                AnsweredCall(
                    id=join_surrogates(c.id),
                    name=join_surrogates(c.name),
                    arguments=join_surrogates(c.arguments.whole()),
                )
                for _, c in sorted(self._calls.items())
            ),
            finish_reason=self._finish or ("tool_calls" if self._calls else "stop"),
            usage=self._usage or Usage(),
            cache_reported=self._cache_reported,
            usage_reported=self._usage is not None,
        )

    def take(self, completion: object) -> None:
        """Take in a whole chunk or completion, decoded."""
        if not isinstance(completion, Mapping):
            raise StreamBroken("The server sent an event that is not an object.")
        error = completion.get("error")
        if error:
            raise StreamError(error if isinstance(error, Mapping) else {"message": str(error)})
        self._take_usage(completion.get("usage"))
        choices = completion.get("choices")
        if not isinstance(choices, list):
            return
        for choice in choices[:1]:
            if isinstance(choice, Mapping):
                self._take_choice(choice)

    def _line(self, line: bytes) -> None:
        if not line:
            self._dispatch()
        elif line.startswith(b"data:") and not self.done:
            value = line[5:].removeprefix(b" ")
            self._data.append(value)
            self._data_size += len(value)

    def _dispatch(self) -> None:
        if not self._data:
            return
        data = b"\n".join(self._data)
        self._data.clear()
        self._data_size = 0
        if data.strip() == b"[DONE]":
            self.done = True
            return
        try:
            decoded = json.loads(data.decode("utf-8", "replace"))
        except (ValueError, RecursionError) as error:
            raise StreamBroken("The server sent an event that is not JSON.") from error
        self.take(decoded)

    def _take_choice(self, choice: Mapping[str, Any]) -> None:
        delta = choice.get("delta", choice.get("message"))
        if isinstance(delta, Mapping):
            self._take_delta(delta)
        # Moonshot's own API reports the usage here.
        self._take_usage(choice.get("usage"))
        finish = choice.get("finish_reason")
        if isinstance(finish, str):
            self.events += 1
            self._finish = _FINISHES.get(finish, "stop")

    def _take_delta(self, delta: Mapping[str, Any]) -> None:
        # Some servers send both names with the same text.
        reasoning = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
        content = _text(delta.get("content"))
        if reasoning:
            self._reasoning.add(reasoning)
        if content:
            self._content.add(content)
        calls = delta.get("tool_calls")
        pieces = calls if isinstance(calls, list) else []
        for position, piece in enumerate(pieces):
            if isinstance(piece, Mapping):
                self._take_call(piece, position)
        self.events += bool(reasoning or content or pieces)

    def _take_call(self, piece: Mapping[str, Any], position: int) -> None:
        index = piece.get("index")
        call = self._calls.setdefault(index if type(index) is int else position, _Call())
        function = piece.get("function")
        parts = function if isinstance(function, Mapping) else {}
        call.id = call.id or _text(piece.get("id"))
        call.name = call.name or _text(parts.get("name"))
        arguments = parts.get("arguments")
        if isinstance(arguments, Mapping):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if _text(arguments):
            call.arguments.add(_text(arguments))

    def _take_usage(self, usage: object) -> None:
        if not isinstance(usage, Mapping):
            return
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
        if cached is None:
            cached = usage.get("cached_tokens")
        self._cache_reported = cached is not None
        self._usage = Usage(
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            cached_tokens=_count(cached),
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0
