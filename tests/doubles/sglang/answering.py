"""From the model's raw text to what the server streams of it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tests.doubles.sglang import detectors as k2
from tests.doubles.sglang import k3_detectors as k3
from tests.doubles.sglang.detectors import CallPiece

Markup = Literal["kimi_k2", "kimi_k3", ""]
"""Name of a parser; empty: none."""


@dataclass(frozen=True)
class Said:
    """What one step of the generation makes certain."""

    reasoning: str = ""
    content: str = ""
    calls: tuple[CallPiece, ...] = ()


class Parsing:
    """The two parsers in a row, each of which may be switched off or be another model's."""

    def __init__(
        self,
        calls: Markup,
        reasoning: Markup,
        functions: Sequence[Mapping[str, Any]],
        *,
        only_named: bool = False,
        ends_at_calls: bool = True,
    ) -> None:
        # Every answer begins inside the thinking.
        thinking: Mapping[Markup, type[k2.ReasoningStream] | type[k3.ReasoningStream]] = {
            "kimi_k2": k2.ReasoningStream,
            "kimi_k3": k3.ReasoningStream,
        }
        self.thinking = thinking[reasoning](inside=True) if reasoning else None
        if isinstance(self.thinking, k2.ReasoningStream):
            self.thinking.ends_at_calls = ends_at_calls
        self._calls: k2.CallStream | k3.CallStream | None = None
        if calls and functions:
            known = k2.CallStream(functions, only_named)
            self._calls = known if calls == "kimi_k2" else k3.CallStream()

    @property
    def has_calls(self) -> bool:
        """Whether a call was begun."""
        return self._calls is not None and bool(self._calls.begun)

    def feed(self, text: str, *, last: bool) -> Said:
        """What the server streams for the next piece of raw text."""
        said = self.parse(text, last=last)
        missing = self._calls.finish() if self._calls and last else ""
        if self._calls is None or not missing:
            return said
        if isinstance(self._calls, k3.CallStream):
            return replace(said, content=said.content + missing)
        added = CallPiece(len(self._calls.begun) - 1, None, missing)
        return replace(said, calls=(*said.calls, added))

    def parse(self, text: str, *, last: bool) -> Said:
        """What the two parsers make of the next piece, and whether it is the last one."""
        reasoning, rest = "", text
        if self.thinking:
            reasoning, rest = self.thinking.feed(text)
            if last:
                held_reasoning, held = self.thinking.finish()
                reasoning, rest = reasoning + held_reasoning, rest + held
        if self._calls is None:
            return Said(reasoning, rest)
        content, pieces = self._calls.feed(rest)
        return Said(reasoning, content, tuple(pieces))


def parse_whole(
    text: str, calls: Markup, reasoning: Markup, functions: Sequence[Mapping[str, Any]]
) -> tuple[str, str, list[CallPiece]]:
    """Reasoning, content and calls of a whole answer (the path without streaming)."""
    thought, rest = "", text
    if reasoning:
        parse = k2.parse_reasoning if reasoning == "kimi_k2" else k3.parse_reasoning
        thought, rest = parse(text, True)
    if not calls or not functions:
        return thought, rest, []
    content, found = k2.parse_calls(rest, functions) if calls == "kimi_k2" else k3.parse_calls(rest)
    return thought, content, found


def cut(text: str, longest: int, seed: str) -> list[str]:
    """The text in pieces as a tokenizer might give them: special tokens whole, others not."""
    rng = random.Random(seed)
    pieces: list[str] = []
    at = 0
    while at < len(text):
        special = _special_at(text, at)
        size = len(special) if special else rng.randint(1, longest)
        following = text.find("<", at + 1, at + size) if not special else -1
        end = following if following != -1 else at + size
        pieces.append(text[at:end])
        at = end
    return pieces or [""]


def _special_at(text: str, at: int) -> str:
    if text.startswith("<|", at) and (end := text.find("|>", at)) != -1:
        return text[at : end + 2]
    return next((t for t in ("<think>", "</think>") if text.startswith(t, at)), "")
