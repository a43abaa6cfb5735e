"""Runs begun, awaited and looked at."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.journal.events import RunEnded, ToolFinished, ToolStarted
from app.storage.records import Run
from tests.support.runs.stored import trigger
from tests.support.runs.world import RunWorld

WAIT_S = 180.0


def start(world: RunWorld, delivery: str = "d1", number: int = 7) -> str:
    return world.store.accept(delivery, "issues", trigger(number), model="seeded").run_id


def until(what: Callable[[], bool], seconds: float = WAIT_S) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def held(world: RunWorld, run_id: str, results: int) -> bool:
    """Whether all is written down that comes before the turn at which the world holds its runs."""
    events = world.store.events(run_id)
    return sum(isinstance(r.event, ToolFinished) for r in events) == results


def ended(world: RunWorld, run_id: str) -> Run:
    until(lambda: world.store.get_run(run_id).status == "done")
    return world.store.get_run(run_id)


def check_journal(world: RunWorld, run_id: str) -> None:
    """No gaps; one end; no call that had a result was run again."""
    events = world.store.events(run_id)
    assert [r.seq for r in events] == list(range(len(events)))
    assert sum(isinstance(r.event, RunEnded) for r in events) == 1
    finished: set[str] = set()
    for recorded in events:
        match recorded.event:
            case ToolStarted(call_id=call):
                assert call not in finished
            case ToolFinished(call_id=call):
                assert call not in finished
                finished.add(call)
    assert finished
