"""A model that replays a merged fix through the ordinary tools, so that the gate is measured alone.

It seeks nothing: it declares the reproduction that it was given, applies the source change that was
merged, and submits. It answers what the gate asks back: existing tests that the fix edits are named
as contested, and stand beside their former selves where the gate finds them not contradicted; hunks
that no test needs belong, as they were merged. It is a function of the conversation, so an
interrupted attempt continues.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence

from agent.model import Message, Record, ToolCall, ToolSpec, Turn, Usage
from agent.models.offline.model import exchanges_of
from agent.models.replay_mode import ReplayMode
from agent.text.control_tokens import restore

WINDOW = 1_000_000
_UNSEEN = "words of a failure that was not seen yet"
_ASKED = "Without these hunks the reproduction and all tests still pass: "
_TRIES = 4
"""Words of a failure that are tried before the attempt is given up."""
_FAILURE = (
    re.compile(r"^E\s+(\S.*)$", re.MULTILINE),
    re.compile(r"^[^\S\n]*((?:[\w.]*(?:Error|Exception|Failure|Warning))\b.*)$", re.MULTILINE),
    re.compile(r"^[^\S\n]*((?:Expected|Received|expected|actual)\b.*)$", re.MULTILINE),
    re.compile(r"^[^\S\n]*(--- FAIL: .*|not ok .*|panicked at .*|FAILED? .*)$", re.MULTILINE),
    re.compile(r"^[^\S\n]*[✕✗×●] (.*?)(?: \(?[\d.]+ ?m?s\)?)?$", re.MULTILINE),
)
"""How runners print why a test failed, the most telling first."""


class Beside(Record):
    """How an edited test can stand beside its former self."""

    path: str
    test: str
    merged: str
    """Its text as it was merged."""
    both: str
    """Its former text, and below it the merged one under another name."""
    name: str
    """The test of that name, in full."""


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
    contested: tuple[str, ...] = ()
    """Existing tests that the files edit."""
    beside: tuple[Beside, ...] = ()


class _Plan(Record):
    """What is declared and submitted next, after what the gate said so far."""

    command: str
    files: dict[str, str]
    contested: tuple[str, ...]
    hunks: tuple[str, ...] = ()


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

    @property
    def preserves_thinking(self) -> bool:
        """It thinks nothing."""
        return False

    @property
    def sees_images(self) -> bool:
        """It looks at nothing."""
        return False

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        """The next call, from the calls so far and what they gave."""
        exchanges = [(call, restore(result)) for call, result in exchanges_of(messages)]
        step = next_call(self._replay, exchanges)
        if isinstance(step, str):
            return Turn(content=step, usage=Usage(), finish_reason="stop")
        name, arguments = step
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
    plan = _first_plan(replay)
    begins = 0
    """From where on exchanges follow the plan's reproduction."""
    for at, (name, result) in enumerate(done):
        if name != "submit":
            continue
        after = _after(replay, plan, result)
        if after is None:
            return f"The gate does not take the merged fix: {result[:3000]}"
        if after.files != plan.files:
            begins = at + 1
        elif at == len(done) - 1:
            return "submit", _submission(replay, after)
        plan = after
    since = done[begins:]
    declared = [result for name, result in since if name == "reproduction"]
    shell = [result for name, result in since if name == "bash"]
    if begins and not shell:
        return "bash", _applying(replay, "-R")
    if not any(result.startswith("accepted") for result in declared):
        return _reproduction(plan, declared)
    if len(shell) == (1 if begins else 0):
        return "bash", _applying(replay)
    if "applied" not in shell[-1]:
        return f"The fix does not apply: {shell[-1][:500]}"
    return "submit", _submission(replay, plan)


def _first_plan(replay: Replay) -> _Plan:
    return _Plan(command=replay.command, files=replay.files, contested=replay.contested)


def _after(replay: Replay, plan: _Plan, answer: str) -> _Plan | None:
    """The plan that answers the gate; None where nothing is left to answer."""
    if _ASKED in answer and not plan.hunks:
        named = answer.partition(_ASKED)[2].partition(". Add a test")[0]
        return plan.model_copy(update={"hunks": tuple(named.strip().split(", "))})
    held = [test for test in plan.contested if f"{test} is contested" in answer]
    if not held:
        return None
    contested = tuple(test for test in plan.contested if test not in held)
    files, command = dict(plan.files), plan.command
    for beside in replay.beside:
        if beside.test in held:
            files[beside.path] = files[beside.path].replace(beside.merged, beside.both, 1)
            command = re.sub(rf"{re.escape(beside.test)}(?![\w:])", beside.name, command)
    return plan.model_copy(update={"contested": contested, "files": files, "command": command})


def _applying(replay: Replay, option: str = "") -> dict[str, object]:
    encoded = base64.b64encode(replay.source_patch.encode()).decode()
    applying = f"git apply --whitespace=nowarn {option}".rstrip()
    return {"command": f"echo {encoded} | base64 -d | {applying} - && echo applied"}


def _submission(replay: Replay, plan: _Plan) -> dict[str, object]:
    title = replay.why.strip().splitlines()[0]
    given: dict[str, object] = {"root_cause": title, "summary": replay.why.strip()[:2000]}
    if plan.contested:
        given["contested"] = [
            {"test": t, "reason": f"The fix says: {title}"} for t in plan.contested
        ]
    if plan.hunks:
        given["hunks"] = [
            {"hunk": h, "reason": f"Merged as a part of: {title}"} for h in plan.hunks
        ]
    return given


def _reproduction(plan: _Plan, refused: Sequence[str]) -> tuple[str, dict[str, object]] | str:
    words = _UNSEEN
    if refused:
        seen = failure_words(refused[0])
        if len(refused) > min(len(seen), _TRIES):
            return f"The reproduction is not accepted: {refused[-1][:3000]}"
        words = seen[len(refused) - 1]
    return "reproduction", {
        "command": plan.command,
        "files": plan.files,
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
