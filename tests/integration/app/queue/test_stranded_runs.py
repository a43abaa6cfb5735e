"""No run stands still for ever, or is done twice, whatever happens between database and engine."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.exc import OperationalError

from agent.journal.events import RunEnded
from app.github.errors import RateLimited
from app.queue import outbox
from app.runs.active_run import ActiveRun
from app.runs.results import Ended, NothingToDo, StepJson
from app.server.workflow_engine import running_engine
from app.storage import tables
from app.storage.inbox import Inbox
from app.storage.outage import is_unavailable
from app.storage.records import Run
from app.storage.store import SqlStore
from sandbox.errors import EngineUnavailable
from tests.support.github.payloads import STOP
from tests.support.runs.lifecycle import check_journal, ended, held, start, until
from tests.support.runs.requeued import Interrupted, claims, ended_at_last, waits_for
from tests.support.runs.world import RunWorld


def away() -> OperationalError:
    error = OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))
    assert is_unavailable(error)
    return error


def once(monkeypatch: pytest.MonkeyPatch, method: str) -> list[int]:
    """The store's method finds the database away the first time; gives how often it was asked."""
    real, asked = getattr(SqlStore, method), []

    def at_first_away(self: SqlStore, *words: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            raise away()
        return real(self, *words)

    monkeypatch.setattr(SqlStore, method, at_first_away)
    return asked


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stranded runs are looked for at each look into the outbox, and need not be old."""
    monkeypatch.setattr(outbox, "POLL_EVERY_S", 0.0)
    monkeypatch.setattr(outbox, "GRACE", timedelta(0))
    monkeypatch.setattr("app.storage.outage.RETRY_EVERY_S", 0.05)


def status(run_id: str) -> str:
    return "".join(str(found.status) for found in DBOS.list_workflows(workflow_ids=[run_id]))


@pytest.mark.long
def test_an_active_run_is_not_started_again_from_a_stale_list(tmp_path: Path) -> None:
    world = RunWorld(tmp_path, repository_concurrency=2)
    world.hold(6)
    run_id = start(world)
    with running_engine(world.services()) as workflow_engine:
        until(lambda: held(world, run_id, 6))
        workflow_engine.enqueue(run_id)
        other = start(world, "d2", 8)  # what the old list had begun, would begin before it
        workflow_engine.enqueue(other)
        until(lambda: held(world, other, 6))
        world.let_go()
        assert ended(world, run_id).outcome == "proven"
        ended(world, other)
    assert claims(world, run_id) == 1


def test_a_late_note_does_not_hide_the_next_round(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    run_id = start(world)
    told = world.store.get_run(run_id)
    lease = world.store.claim(run_id, "w")
    lease.set_running(run_id)
    lease.set_pull(run_id, 5)
    Inbox(world.store.database).wake(run_id)
    assert lease.finish(run_id, RunEnded(attempt=0, outcome="proven"))
    world.store.mark_enqueued(told)
    assert [run.id for run in world.store.unqueued()] == [run_id]


@pytest.mark.parametrize("method", ["requeue_later", "requeue"])
def test_a_database_that_is_away_at_the_hand_back_strands_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    world = RunWorld(tmp_path, fixes=False)
    world.sandboxes = Interrupted([EngineUnavailable("No engine answers.")] * 4)
    asked = once(monkeypatch, method)
    run_id = start(world)
    with running_engine(world.services()) as workflow_engine:
        assert ended_at_last(world, run_id, workflow_engine).outcome == "diagnosis"
    assert len(asked) > 1


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_whose_workflow_was_cancelled_is_taken_up_again(tmp_path: Path, state: str) -> None:
    """A process died, or slept, in the middle of a hand-back."""
    world = RunWorld(tmp_path, fixes=False)
    world.hold(4)
    run_id = start(world)
    with running_engine(world.services()):
        until(lambda: held(world, run_id, 4))
    with running_engine(world.services()) as workflow_engine:
        until(lambda: world.store.get_run(run_id).owner != "")
        DBOS.cancel_workflow(run_id)
        until(lambda: status(run_id) == "CANCELLED")
        with world.store.database.begin() as connection:
            connection.execute(sa.update(tables.runs).values(status=state, owner="somebody"))
        world.let_go()
        assert ended_at_last(world, run_id, workflow_engine).outcome == "diagnosis"
    check_journal(world, run_id)


def test_a_run_that_the_engine_holds_for_failed_is_done_from_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = RunWorld(tmp_path, fixes=False)
    run_id = start(world)
    monkeypatch.setattr(
        "app.server.workflow_engine.run_round", _broken
    )  # as an older version may have been
    with running_engine(world.services()):
        until(
            lambda: bool(DBOS.list_workflows(workflow_ids=[run_id])) and status(run_id) == "ERROR"
        )
    monkeypatch.undo()
    monkeypatch.setattr(outbox, "POLL_EVERY_S", 0.0)
    monkeypatch.setattr(outbox, "GRACE", timedelta(0))
    with running_engine(world.services()) as workflow_engine:
        assert ended_at_last(world, run_id, workflow_engine).outcome == "diagnosis"


async def _broken(*_words: object) -> None:
    raise RuntimeError("a fault of the program")


def test_a_run_that_was_never_known_to_the_engine_is_told_again(tmp_path: Path) -> None:
    world = RunWorld(tmp_path, fixes=False)
    run_id = start(world)
    world.store.mark_enqueued(world.store.get_run(run_id))  # and then its database was lost
    with running_engine(world.services()) as workflow_engine:
        assert ended_at_last(world, run_id, workflow_engine).outcome == "diagnosis"


def test_an_event_that_the_engine_forgot_is_answered(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    with world.forge.world() as forge:
        forge["set"]["role"] = "write"
    world.hold(4)
    run_id = start(world)
    services = world.services()
    services.inbox.keep("a1", "issue_comment", STOP)
    services.inbox.mark_enqueued("a1")
    with running_engine(services) as workflow_engine:
        assert ended_at_last(world, run_id, workflow_engine).outcome == "stopped"
    assert services.inbox.open_events() == []


def test_a_fault_of_the_program_ends_the_run_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ActiveRun.finish
    finished: list[Ended | NothingToDo] = []

    async def breaks_once(self: ActiveRun, result: Ended | NothingToDo) -> StepJson:
        finished.append(result)
        if len(finished) == 1:
            raise ZeroDivisionError
        return await real(self, result)

    monkeypatch.setattr(ActiveRun, "finish", breaks_once)
    world = RunWorld(tmp_path)
    run_id = start(world)
    with running_engine(world.services()):
        run = ended(world, run_id)
        until(lambda: status(run_id) == "SUCCESS")
    assert run.outcome == "proven"  # its pull request stands, whatever broke after it
    assert run.pull_request
    assert "internal error" in finished[-1].reason


@pytest.mark.long
def test_a_lease_that_is_lost_at_the_very_end_records_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ActiveRun.finish
    stolen: list[SqlStore] = []

    async def loses_the_lease(self: ActiveRun, result: Ended | NothingToDo) -> StepJson:
        if not stolen:
            stolen.append(self.services.store.claim(self.record.id, "thief"))
        return await real(self, result)

    monkeypatch.setattr(ActiveRun, "finish", loses_the_lease)
    world = RunWorld(tmp_path, repository_concurrency=2)
    run_id = start(world)
    with running_engine(world.services()) as workflow_engine:
        until(lambda: bool(stolen))
        other = start(world, "d2", 8)
        workflow_engine.enqueue(other)
        ended(world, other)
        assert status(run_id) == "PENDING"
    assert world.store.get_run(run_id).status == "running"


def test_a_stop_ends_a_run_whose_needs_stay_away(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)

    async def prepare(*_: object, **__: object) -> None:
        raise EngineUnavailable("No engine answers.")

    run_id = start(world)
    with running_engine(world.services(patience_s=(600.0, 600.0), prepare=prepare)):
        until(lambda: waits_for(world, run_id))
        world.store.request_stop(run_id)
        run = ended(world, run_id)
    assert run.outcome == "stopped"


def test_a_stop_ends_a_set_up_that_is_under_way(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    at: list[str] = []

    async def prepare(*_: object, **__: object) -> None:
        at.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            at.append("ended")

    run_id = start(world)
    with running_engine(world.services(prepare=prepare)):
        until(lambda: at == ["begun"])
        world.store.request_stop(run_id)
        run = ended(world, run_id)
    assert run.outcome == "stopped"
    assert at == ["begun", "ended"]


def test_a_limit_of_github_gives_the_place_to_others_until_it_ends(tmp_path: Path) -> None:
    world = RunWorld(tmp_path, fixes=False)
    world.settings = world.settings.model_copy(update={"concurrency": 1, "worker_concurrency": 1})
    limited: list[Run] = []
    real = world.forge.issue

    async def issue(number: int) -> Any:
        if number == 7 and not limited:
            limited.append(world.store.get_run(run_id))
            raise RateLimited("GitHub's limit is used up.", 3600)
        return await real(number)

    world.forge.issue = issue  # type: ignore[method-assign]
    run_id = start(world)
    other = start(world, "d2", 8)
    with running_engine(world.services()) as workflow_engine:
        assert ended(world, other).outcome == "diagnosis"
        workflow_engine.flush_outbox()
        assert world.store.get_run(run_id).status == "queued"
        assert world.store.unqueued() == [], "it is held"
        world.store.request_stop(run_id)
        run = ended_at_last(world, run_id, workflow_engine)
    assert limited
    assert run.outcome == "stopped"
