"""What vLLM's one parser for Kimi K2 does, written anew from its behaviour (vllm 0.33).

One machine for thinking and calls: it begins inside the thinking, and what follows the calls is
dropped. Compared with the original by tests/integration/agent/models/test_detectors.py.
"""

from __future__ import annotations

import re
from typing import Literal

from tests.doubles.sglang.answering import Said
from tests.doubles.sglang.detectors import (
    ARGUMENT_BEGIN,
    CALL_BEGIN,
    CALL_END,
    SECTION_BEGIN,
    SECTION_END,
    THINK_BEGIN,
    THINK_END,
    CallPiece,
)

_TOKENS = (
    *(THINK_BEGIN, THINK_END, SECTION_BEGIN, SECTION_END),
    *(CALL_BEGIN, CALL_END, ARGUMENT_BEGIN),
)
_SPLIT = re.compile("(" + "|".join(map(re.escape, _TOKENS)) + ")")
_ID = re.compile(r"(.+:\d+)")
State = Literal["thinking", "content", "preamble", "head", "arguments", "between"]
_NEXT: dict[tuple[State, str], State] = {
    ("thinking", THINK_BEGIN): "thinking",
    ("thinking", THINK_END): "content",
    ("thinking", SECTION_BEGIN): "preamble",
    ("content", THINK_END): "content",
    ("content", SECTION_BEGIN): "preamble",
    ("preamble", CALL_BEGIN): "head",
    ("preamble", SECTION_END): "preamble",
    ("head", ARGUMENT_BEGIN): "arguments",
    ("arguments", CALL_END): "between",
    ("arguments", SECTION_END): "preamble",
    ("between", CALL_BEGIN): "head",
    ("between", SECTION_END): "preamble",
}


class VllmParsing:
    """Takes pieces as a tokenizer gives them: special tokens are never cut."""

    def __init__(self) -> None:
        self._state: State = "thinking"
        self._head = ""
        self._known = False
        self._calls = 0
        self._spaces = ""
        """White space at the end of the thinking, which is dropped, or before any content, which
        is dropped where a call follows."""
        self._spoke = False
        self._reasoning, self._content = "", ""
        self._pieces: list[CallPiece] = []

    @property
    def has_calls(self) -> bool:
        """Whether a call was begun."""
        return self._calls > 0

    def feed(self, text: str, *, last: bool) -> Said:
        """What the server streams for the next piece of raw text."""
        self._reasoning, self._content, self._pieces = "", "", []
        for part in filter(None, _SPLIT.split(text)):
            following = _NEXT.get((self._state, part))
            if following is not None:
                self._enter(following)
            else:
                self._take(part)
        if last:
            self._finish()
        return Said(self._reasoning, self._content, tuple(self._pieces))

    def _take(self, part: str) -> None:
        match self._state:
            case "thinking":
                whole = self._spaces + part
                kept = whole.rstrip()
                self._spaces = whole[len(kept) :]
                self._reasoning += kept
            case "content":
                self._spaces += part
                if self._spoke or part.strip():
                    self._content += self._spaces
                    self._spaces, self._spoke = "", True
            case "head":
                self._head += part
            case "arguments" if self._known:
                self._pieces.append(CallPiece(self._calls - 1, None, part))

    def _enter(self, state: State) -> None:
        if self._state == "head":
            self._begin_call()
        if self._state == "thinking" and state != "thinking":
            self._spaces = ""
        if state == "head":
            self._head = self._spaces = ""
        self._state = state

    def _begin_call(self) -> None:
        found = _ID.match(self._head.strip())
        name = found[1].strip().split(":")[0].removeprefix("functions.") if found else ""
        self._known = bool(name)
        if name:
            self._pieces.append(CallPiece(self._calls, name, ""))
            self._calls += 1

    def _finish(self) -> None:
        if self._state == "head":
            self._begin_call()
            if not self._known and self._head:
                self._pieces.append(CallPiece(self._calls, self._head, ""))
        if self._state != "thinking":
            self._content += self._spaces
