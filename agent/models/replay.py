"""A model that replays a merged fix through the ordinary tools, so that the gate is measured alone.

It seeks nothing: it declares the reproduction that it was given, applies the source change that was
merged, and submits. It is a function of the conversation, so an interrupted attempt goes on.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from agent.model import Message, Record, ToolCall, ToolSpec, Turn, Usage
from agent.models.offline.model import exchanges_of
from agent.text.control_tokens import restore

ReplayMode = Literal["whole", "narrow", "partial"]
"""How much of a fix is replayed: all of it; all of it, shown by one failing test only; or without
its last change of source, shown by all tests."""

WINDOW = 1_000_000
_UNSEEN = "words of a failure that was not seen yet"
_TRIES = 4
"""Words of a failure that are tried before the attempt is given up."""
_FAILURE = (
    re.compile(r"^E\s+(\S.*)$", re.MULTILINE),
    re.compile(r"^\s*((?:[\w.]*(?:Error|Exception|Failure|Warning))\b.*)$", re.MULTILINE),
    re.compile(r"^\s*((?:Expected|Received|expected|actual)\b.*)$", re.MULTILINE),
    re.compile(r"^\s*(--- FAIL: .*|not ok .*|panicked at .*|FAILED? .*)$", re.MULTILINE),
)
"""How runners print why a test failed, the most telling first."""


class Replay(Record):
    """What is replayed of one fix."""

    mode: ReplayMode
    command: str
    """Runs the tests that show the bug."""
    files: dict[str, str]
    """The tests' files as the fix has them, path to text."""
    source_patch: str
    why: str
    """The fix's own words."""


class ReplayModel:
    """`Model` that makes the calls of a `Replay`."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    @property
    def name(self) -> str:
        """What is replayed, for the journal."""
        return f"replay ({self._replay.mode})"

    @property
    def window(self) -> int:
        """More tokens than a replay needs."""
        return WINDOW

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        """The next call, from the calls so far and what they gave."""
        exchanges = [(call, restore(result)) for call, result in exchanges_of(messages)]
        said = next_call(self._replay, exchanges)
        if isinstance(said, str):
            return Turn(content=said, usage=Usage(), finish_reason="stop")
        name, arguments = said
        call = ToolCall(
            id=f"functions.{name}:{len(exchanges)}",
            name=name,
            arguments=json.dumps(arguments, ensure_ascii=False),
        )
        return Turn(reasoning="As it was merged.", tool_calls=(call,), finish_reason="tool_calls")

    async def close(self) -> None:
        """Nothing to release."""


def next_call(
    replay: Replay, exchanges: Sequence[tuple[ToolCall, str]]
) -> tuple[str, dict[str, object]] | str:
    """The tool and its arguments that come next, or the last words of an attempt that ends."""
    done = [(call.name.removeprefix("functions."), result) for call, result in exchanges]
    declared = [result for name, result in done if name == "reproduction"]
    if not any(result.startswith("accepted") for result in declared):
        return _reproduction(replay, declared)
    applied = [result for name, result in done if name == "bash"]
    if not applied:
        encoded = base64.b64encode(replay.source_patch.encode()).decode()
        command = f"echo {encoded} | base64 -d | git apply --whitespace=nowarn - && echo applied"
        return "bash", {"command": command}
    if "applied" not in applied[-1]:
        return f"The fix does not apply: {applied[-1][:500]}"
    submitted = [result for name, result in done if name == "submit"]
    if not submitted:
        return "submit", _submission(replay)
    return f"The gate does not take the merged fix: {submitted[-1][:3000]}"


def _submission(replay: Replay) -> dict[str, object]:
    title = replay.why.strip().splitlines()[0]
    return {"root_cause": title, "summary": replay.why.strip()[:2000]}


def _reproduction(replay: Replay, refused: Sequence[str]) -> tuple[str, dict[str, object]] | str:
    words = _UNSEEN
    if refused:
        seen = failure_words(refused[0])
        if len(refused) > min(len(seen), _TRIES):
            return f"The reproduction is not accepted: {refused[-1][:3000]}"
        words = seen[len(refused) - 1]
    return "reproduction", {
        "command": replay.command,
        "files": replay.files,
        "expected_failure": words,
    }


def failure_words(output: str) -> list[str]:
    """Lines of an output that say why a test failed, the most telling first, each once."""
    found: Iterable[str] = (
        match.strip()
        for pattern in _FAILURE
        for match in pattern.findall(output)
        if len(match.strip()) > 3
    )
    return list(dict.fromkeys(found))
