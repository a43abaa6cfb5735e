"""Noticing a run that goes in circles, from the last finished calls."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from agent.journal.state import AttemptState, FinishedCall
from agent.testing.paths import is_source

REPEATS = 3
"""The same call with the same result so many times is repetition."""
THRASHES = 3
"""So many edits that undo an earlier one are thrashing."""
STALE = 25
"""So many calls without a result that was new are a stretch without evidence."""
STRAY = 3
"""So many edits of files that the hypothesis under test does not name, and none of those it does,
do not belong to it."""
UNCLAIMED = 40
"""So many calls, edits among them, outside any hypothesis, are wandering."""

Kind = Literal["repetition", "thrashing", "no new evidence", "outside the hypothesis"]
LOOKING = frozenset({"view", "search", "log", "hypothesis"})


@dataclass(frozen=True, slots=True)
class Drift:
    """What was noticed, in words that the model and a reader can use."""

    kind: Kind
    text: str


def answer_to(earlier: int) -> Literal["nudge", "rollback", "end"]:
    """What drift is answered with after so many earlier answers in this attempt."""
    return "nudge" if earlier == 0 else "rollback" if earlier <= 2 else "end"


def notice(state: AttemptState, since: int = 0) -> Drift | None:
    """The first sign of drift among the calls after call number `since`, or None."""
    steps = state.recent[-max(0, state.calls_used - since) :] if since < state.calls_used else ()
    return (
        _repetition(steps)
        or _thrashing(steps)
        or _stray(state, steps)
        or _stale(steps)
        or _wandering(state, steps)
    )


def _repetition(steps: tuple[FinishedCall, ...]) -> Drift | None:
    if not steps:
        return None
    last = steps[-1]
    same = 0
    for step in reversed(steps):
        if (step.name, step.arguments, step.digest) != (last.name, last.arguments, last.digest):
            if step.changed_tree:
                break
            continue
        same += 1
    if same < REPEATS:
        return None
    return Drift(
        "repetition",
        f"you called {last.name} {same} times with the same arguments and the same result; "
        "it will not change. Look at something else, or change your hypothesis.",
    )


def _thrashing(steps: tuple[FinishedCall, ...]) -> Drift | None:
    edits = [e for e in (_edit(s) for s in steps if s.name == "edit") if e is not None]
    undone = sum(
        1
        for i, (path, old, new) in enumerate(edits)
        if any((path, new, old) == earlier for earlier in edits[:i])
    )
    if undone < THRASHES:
        return None
    return Drift(
        "thrashing",
        f"you made and undid {undone} edits. Refute the hypothesis (that rolls the tree back) "
        "and propose one that explains all you have seen.",
    )


def _edit(step: FinishedCall) -> tuple[str, str, str] | None:
    try:
        values = json.loads(step.arguments)
        return str(values["path"]), str(values["old"]), str(values["new"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _stale(steps: tuple[FinishedCall, ...]) -> Drift | None:
    if len(steps) < STALE:
        return None
    window = steps[-STALE:]
    if any(s.name in ("hypothesis", "reproduction", "submit") and s.status == "ok" for s in window):
        return None
    earlier = {s.digest for s in steps[:-STALE]}
    fresh = {s.digest for s in window} - earlier
    if len(fresh) > STALE // 3:
        return None
    return Drift(
        "no new evidence",
        f"the last {STALE} calls showed next to nothing new. Say with hypothesis what you think "
        "is wrong, and test that.",
    )


def _stray(state: AttemptState, steps: tuple[FinishedCall, ...]) -> Drift | None:
    under_test = state.under_test
    if under_test is None:
        return None
    hypothesis_text = f"{under_test.claim}\n{under_test.prediction}\n{under_test.test}"
    named = {PurePosixPath(path).name for path in _FILE.findall(hypothesis_text)}
    own = [step for step in steps if step.hypothesis == under_test.id and step.changed_tree]
    edited = [edit[0] for edit in (_edit(s) for s in own if s.name == "edit") if edit is not None]
    sources = [path for path in edited if is_source(path) and not path.startswith("/tmp/")]  # noqa: S108 - a path in the sandbox
    if not named or len(sources) < STRAY or any(PurePosixPath(p).name in named for p in sources):
        return None
    return Drift(
        "outside the hypothesis",
        f"{under_test.id} speaks of {', '.join(sorted(named))}, but what you edited is "
        f"{', '.join(dict.fromkeys(sources))}. Test what you claimed, or refute it and propose "
        "what you now think.",
    )


_FILE = re.compile(r"[\w./-]*\w\.[A-Za-z]{1,5}(?![\w.(])")
"""What may be the name of a file in a sentence."""


def _wandering(state: AttemptState, steps: tuple[FinishedCall, ...]) -> Drift | None:
    if state.under_test is not None or len(steps) < UNCLAIMED:
        return None
    window = steps[-UNCLAIMED:]
    if any(s.hypothesis or s.name in ("hypothesis", "submit") for s in window):
        return None
    if not any(s.name == "edit" for s in window):
        return None
    return Drift(
        "outside the hypothesis",
        f"you made {UNCLAIMED} calls, edits among them, with no hypothesis under test. "
        "Propose one, so that what you change can be judged and rolled back.",
    )
