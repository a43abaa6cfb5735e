"""How far a run has come according to its journal, and whether it was only waiting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from agent.journal.events import (
    AttemptEnded,
    AttemptStarted,
    CommitTried,
    GateJudged,
    ModelWaiting,
    Recorded,
    RunPhase,
    SandboxOpened,
    ToolFinished,
)

WAITING = "waiting"
"""Phase of a run that waits for something unavailable."""


def progress(journal: Iterable[Recorded]) -> int:
    """How much of a run is complete, not counting what a restart itself adds to the journal.

    So two deaths with the same number were deaths in the same call, verdict, phase or try of a
    commit.
    """
    done = 0
    phases: set[str] = set()
    for entry in journal:
        match entry.event:
            case ToolFinished(status=status):
                done += status != "interrupted"
            case AttemptStarted() | AttemptEnded() | GateJudged() | CommitTried():
                done += 1
            case RunPhase(phase=phase) if phase != WAITING:
                phases.add(phase)
    return done + len(phases)


def waits_since(journal: Sequence[Recorded]) -> datetime:
    """Since when a run has only waited for something outside; now, if it is not waiting."""
    since = datetime.now(UTC)
    for entry in reversed(journal):
        match entry.event:
            case RunPhase(phase="waiting"):
                since = entry.at
            case RunPhase() | ModelWaiting() | SandboxOpened():
                continue  # another try
            case _:
                break
    return since


def only_waited(journal: Sequence[Recorded]) -> bool:
    """Whether the last thing a run did was to wait for something outside."""
    match journal[-1].event if journal else None:
        case ModelWaiting() | RunPhase(phase="waiting"):
            return True
    return False
