"""A step that waits: what a stop ends, and how long an outage is believed to be one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal.events import ModelWaiting, Recorded, RunPhase, ToolFinished, now
from app.github.errors import ForgeAway
from app.runs import journal_progress
from app.runs.failures import Requeued
from app.runs.results import Failed, Published
from app.runs.step_retry import LONGEST_OUTAGE, with_retries
from tests.support.runs.lifecycle import start
from tests.support.runs.world import RunWorld

WAITING = RunPhase(attempt=0, phase=journal_progress.WAITING, detail="GitHub cannot be reached.")
PUBLISHED = Published("proven", 1, pull="7")
DONE = ToolFinished(call_id="c1", name="bash", status="ok", output="")


async def waited(
    world: RunWorld, run_id: str, *, heeds_stop: bool, fails: int = 1
) -> tuple[Published | Failed, int]:
    """What came of a step that finds GitHub away so often, and how often it was tried."""
    store = world.store.claim(run_id, "w")
    tried: list[int] = []

    async def act() -> Published:
        tried.append(1)
        if len(tried) <= fails:
            raise ForgeAway("GitHub cannot be reached.")
        return PUBLISHED

    async def tell(why: str) -> None:
        raise AssertionError(why)

    services = world.services(patience_s=(0.0, 0.0))
    result = await with_retries(services, store, run_id, "s", act, tell, heeds_stop=heeds_stop)
    return result, len(tried)


@pytest.mark.parametrize(
    ("heeds_stop", "result"),
    [(False, PUBLISHED), (True, Failed("A person stopped the run.", stopped=True))],
)
async def test_a_stop_ends_work_and_no_report(
    tmp_path: Path, heeds_stop: bool, result: Published | Failed
) -> None:
    world = RunWorld(tmp_path)
    run_id = start(world)
    world.store.request_stop(run_id)
    found, tries = await waited(world, run_id, heeds_stop=heeds_stop)
    assert found == result
    assert tries == (1 if heeds_stop else 2)


async def test_an_outage_is_believed_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = RunWorld(tmp_path)
    run_id = start(world)
    world.store.claim(run_id, "w").append(run_id, [WAITING])
    with pytest.raises(Requeued):
        await waited(world, run_id, heeds_stop=False, fails=9)
    monkeypatch.setattr("app.runs.step_retry.LONGEST_OUTAGE", timedelta(0))
    result, tries = await waited(world, run_id, heeds_stop=False, fails=9)
    assert result == Failed("GitHub cannot be reached.")
    assert tries == 1
    assert timedelta(days=1) == LONGEST_OUTAGE


def test_waiting_begins_anew_once_the_run_got_on() -> None:
    begun = now() - timedelta(hours=5)
    debugging = RunPhase(attempt=0, phase="debugging")
    away = ModelWaiting(reason="away", retry_in_s=1)
    events = [WAITING, DONE, debugging, WAITING, debugging, away, WAITING]
    journal = [
        Recorded(seq=n, at=begun + timedelta(hours=n / 2), event=event)
        for n, event in enumerate(events)
    ]
    assert journal_progress.waits_since(journal) == journal[3].at
    assert journal_progress.waits_since(journal[:2]) > begun + timedelta(hours=4)
