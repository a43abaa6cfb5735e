"""Controls, parking, and the model under the operators' hand, without processes."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from agent.journal.events import (
    Event,
    ModelTurned,
    ModelWaiting,
    Recorded,
    RunPhase,
    SandboxOpened,
    ToolStarted,
    now,
)
from agent.model import Turn, Usage
from app.llm.metered import GovernedModel, ShutdownGate
from app.operations import run_control
from app.runs import crash_limit, journal_progress
from app.settings.schema import Settings
from app.storage import audit, controls
from app.storage.store import SqlStore
from tests.support.runs.kept import a_run, finished
from tests.support.runs.stored import trigger

# Controls and parking


def recorded(*events: Any) -> list[Recorded]:
    return [Recorded(seq=i, at=now(), event=event) for i, event in enumerate(events)]


def test_what_a_restart_writes_is_no_progress() -> None:
    once = [RunPhase(attempt=0, phase="queued"), SandboxOpened(sandbox_id="a"), finished(1)]
    again = [
        *once,
        SandboxOpened(sandbox_id="b", reason="rebuilt"),
        RunPhase(attempt=0, phase="queued"),
        finished(2, "interrupted"),
        ModelTurned(),
        ToolStarted(call_id="c3", name="bash", arguments="{}"),
    ]
    assert journal_progress.progress(recorded(*once)) == journal_progress.progress(recorded(*again))
    assert journal_progress.progress(recorded(*again, finished(3))) > journal_progress.progress(
        recorded(*again)
    )


def test_three_deaths_at_one_place_park_a_run_and_deaths_elsewhere_do_not(store: SqlStore) -> None:
    run_id = a_run(store, ended=False)

    def die() -> str:
        before = store.get_run(run_id)
        store.claim(run_id, "worker-0")
        return crash_limit.why_parked(store, before)

    assert [die(), die()] == ["", ""]
    store.claim(run_id, "worker-0").append(run_id, [])
    lease = store.claim(run_id, "worker-0")
    started = ToolStarted(call_id="c9", name="run_tests", arguments="{}")
    lease.append(run_id, [finished(2), started])  # it went on: counted anew
    assert [die(), die()] == ["", ""]
    reason = die()
    assert "died at least 3 times" in reason
    assert "`run_tests`" in reason
    assert audit.entries(store.database, subject=run_id)[0].action == "park"


@pytest.mark.parametrize("alone_at_last", [True, False])
def test_a_run_is_blamed_less_for_deaths_of_a_worker_that_had_others_in_hand(
    store: SqlStore, alone_at_last: bool
) -> None:
    run_id, other = a_run(store, ended=False), a_run(store, 8, ended=False)

    def die() -> str:
        before = store.get_run(run_id)
        store.claim(run_id, "worker-0")
        return crash_limit.why_parked(store, before)

    assert [die() for _ in range(4)] == [""] * 4
    if alone_at_last:
        store.claim(other, "worker-1")
    else:
        assert die() == ""
    assert "was parked" in die()


@pytest.mark.parametrize(
    "last",
    [
        RunPhase(attempt=0, phase=journal_progress.WAITING),
        ModelWaiting(reason="away", retry_in_s=1),
    ],
    ids=str,
)
def test_deaths_while_a_run_only_waits_are_not_of_its_doing(store: SqlStore, last: Event) -> None:
    run_id = a_run(store, ended=False)
    store.claim(run_id, "worker-0").append(run_id, [last])
    for _ in range(controls.DEATHS + 1):
        before = store.get_run(run_id)
        store.claim(run_id, "worker-0")
        assert crash_limit.why_parked(store, before) == ""


def test_a_requeued_run_does_not_count_as_a_death(store: SqlStore) -> None:
    run_id = a_run(store, ended=False)
    for _ in range(5):
        lease = store.claim(run_id, "worker-0")
        lease.release(run_id)
        assert crash_limit.why_parked(store, store.get_run(run_id)) == ""
    stale = store.claim(run_id, "worker-0")
    store.claim(run_id, "worker-1")
    stale.release(run_id)  # not its any more
    assert store.get_run(run_id).owner == "worker-1"


def test_operators_cancel_pause_and_retry(settings: Settings, store: SqlStore) -> None:
    queued = store.accept("d1", "issues", trigger(1), model="m").run_id
    assert "before it started" in run_control.cancel(store, queued)
    assert store.get_run(queued).outcome == "stopped"
    with pytest.raises(run_control.NotPossible, match="already over"):
        run_control.cancel(store, queued)
    running = a_run(store, 2, ended=False)
    run_control.pause(store, running)
    assert controls.is_paused(store.database, running)
    run_control.cancel(store, running)
    assert store.stop_reason(running)
    assert not controls.is_paused(store.database, running), "a paused run must see its stop"
    with pytest.raises(run_control.NotPossible, match="already"):
        run_control.retry(settings, store, running)
    again = run_control.retry(settings, store, queued)
    assert (again.status, again.trigger) == ("queued", store.get_run(queued).trigger)
    assert [e.action for e in audit.entries(store.database)] == [
        "retry",
        "cancel",
        "pause",
        "cancel",
    ]
    assert all("@" in entry.actor for entry in audit.entries(store.database))


# The model under the operators' hand


class Quick:
    name, window = "quick", 1000

    async def turn(self, messages: Any, tools: Any) -> Turn:
        return Turn(usage=Usage(prompt_tokens=60, completion_tokens=40))

    async def close(self) -> None:
        pass


def governed(store: SqlStore, run_id: str, told: list[str], limit: int = 0) -> GovernedModel:
    async def waiting(reason: str, _seconds: float) -> None:
        told.append(reason)

    return GovernedModel(Quick(), store.database, run_id, limit, waiting, ShutdownGate(), 1, 0.02)


async def test_a_paused_run_takes_no_turn_until_it_is_resumed(store: SqlStore) -> None:
    run_id, told = a_run(store, ended=False), list[str]()
    model = governed(store, run_id, told)
    controls.set_paused(store.database, run_id, True)
    turn = asyncio.create_task(model.turn([], []))
    done, _ = await asyncio.wait({turn}, timeout=0.3)
    assert not done
    assert told == ["An operator paused the run."]
    controls.set_paused(store.database, run_id, False)
    await asyncio.wait_for(turn, 5)


async def test_the_installations_budget_holds_over_all_runs(store: SqlStore) -> None:
    told: list[str] = []
    first, second = (governed(store, f"r{n}", told, limit=150) for n in (1, 2))
    await first.turn([], [])
    await second.turn([], [])
    assert controls.used_today(store.database) == 200
    waiting = asyncio.create_task(first.turn([], []))
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    waiting.cancel()
    assert not done
    assert "today's 150 tokens" in told[0]
    assert controls.used_today(store.database, now() + timedelta(days=1)) == 0


async def test_the_shutdown_gate_waits_for_calls_and_lets_no_turn_begin(store: SqlStore) -> None:
    model = governed(store, "r1", [])
    await model.turn([], [])  # its tool calls are being done now
    started = time.monotonic()
    assert not await asyncio.to_thread(model.shutdown_gate.close, 0.2)
    assert time.monotonic() - started >= 0.2
    turn = asyncio.create_task(model.turn([], []))  # the call has ended
    assert await asyncio.to_thread(model.shutdown_gate.close, 5)
    done, _ = await asyncio.wait({turn}, timeout=0.2)
    turn.cancel()
    assert not done
