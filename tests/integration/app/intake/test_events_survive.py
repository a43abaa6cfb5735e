"""What a person said is done, also when GitHub or the database is away meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from agent.journal.events import ReproductionDeclared
from app.intake import handlers
from app.runs.results import StepJson
from app.storage.outage import retry_while_unavailable
from app.storage.store import SqlStore
from tests.support.github import payloads
from tests.support.github.payloads import STOP
from tests.support.runs.lifecycle import start
from tests.support.runs.stored import trigger
from tests.support.runs.world import RunWorld


async def step(name: str, act: Callable[[], Awaitable[StepJson]]) -> StepJson:
    """As the engine does it, without a memory."""
    return await retry_while_unavailable(name, act)


@pytest.fixture
def world(tmp_path: Path) -> RunWorld:
    made = RunWorld(tmp_path)
    with made.forge.world() as forge:
        forge["set"]["role"] = "write"
    return made


@pytest.mark.parametrize("away", [1, 3, 9], ids=lambda n: f"{n} calls")
def test_a_stop_outlasts_an_outage_of_github(world: RunWorld, away: int) -> None:
    run_id = start(world)
    services = world.services()
    services.inbox.keep("a1", "issue_comment", STOP)
    with world.forge.world() as forge:
        forge["set"]["away"] = away
    asyncio.run(handlers.handle_event(services, "a1", step))
    assert world.store.stop_reason(run_id)
    assert services.inbox.open_events() == []


def test_a_search_takes_hints_until_its_reproduction_is_written(world: RunWorld) -> None:
    asked = trigger().model_copy(update={"by": "command", "goal": "culprit"})
    run_id = world.store.accept("d1", "issue_comment", asked, model="seeded").run_id

    def answered(event_id: str, comment: int) -> list[str]:
        services = world.services()
        said = payloads.comment("/patchwright hint the cart").model_copy(
            update={"comment_id": comment}
        )
        services.inbox.keep(event_id, "issue_comment", said)
        asyncio.run(handlers.handle_event(services, event_id, step))
        with world.forge.world() as forge:
            return list(forge["comments"].values())

    assert answered("a1", 1) == []
    assert [hint.text for hint in world.store.hints(run_id)] == ["the cart"]
    shown = ReproductionDeclared(command="false", expected_failure="", observed="", accepted=True)
    world.store.append(run_id, [shown])
    (said,) = answered("a2", 2)
    assert "reads no hints" in said
    assert len(world.store.hints(run_id)) == 1


def test_a_stop_outlasts_an_outage_of_the_database(
    world: RunWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.outage.RETRY_EVERY_S", 0.01)
    real, asked = SqlStore.request_stop, []

    def away_at_first(self: SqlStore, run_id: str) -> None:
        asked.append(run_id)
        if len(asked) < 3:
            raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))
        real(self, run_id)

    monkeypatch.setattr(SqlStore, "request_stop", away_at_first)
    run_id = start(world)
    services = world.services()
    services.inbox.keep("a1", "issue_comment", STOP)
    asyncio.run(handlers.handle_event(services, "a1", step))
    assert asked == [run_id] * 3
    assert world.store.stop_reason(run_id)
    assert services.inbox.open_events() == []
