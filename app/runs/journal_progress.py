"""How far a run's journal says it has come, and whether it only waited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from agent.journal.events import (
    AttemptEnded,
    AttemptStarted,
    GateJudged,
    ModelWaiting,
    Recorded,
    RunPhase,
    SandboxOpened,
    ToolFinished,
)

WAITING = "waiting"
"""Phase of a run for which something outside is away."""


def progress(journal: Iterable[Recorded]) -> int:
    """How much of a run is complete: what a restart adds to the journal by itself is not counted.

    So two deaths with the same number were deaths in the same call, verdict or phase.
    """
    done = 0
    phases: set[str] = set()
    for entry in journal:
        match entry.event:
            case ToolFinished(status=status):
                done += status != "interrupted"
            case AttemptStarted() | AttemptEnded() | GateJudged():
                done += 1
            case RunPhase(phase=phase) if phase != WAITING:
                phases.add(phase)
    return done + len(phases)


def waits_since(journal: Sequence[Recorded]) -> datetime:
    """Since when a run has done nothing but wait for something outside; now, if it does not."""
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
    """Whether all that a run did last was to wait for something outside."""
    match journal[-1].event if journal else None:
        case ModelWaiting() | RunPhase(phase="waiting"):
            return True
    return False
