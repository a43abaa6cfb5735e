"""The durable engine's records go with the runs and asks that they were of, on both databases."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent.journal.events import now
from app.github.webhook_events import Reviewed
from app.operations import retention
from app.queue.client import workflow_client
from app.server.workflow_engine import running_engine
from app.storage.inbox import Inbox
from tests.support.github.payloads import SOURCE
from tests.support.long import few
from tests.support.runs.lifecycle import ended, start, until
from tests.support.runs.world import RunWorld


@pytest.fixture(params=few(["postgresql", "sqlite"], 1))
def database(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    return str(request.getfixturevalue("postgresql_database"))


def records(world: RunWorld) -> dict[str, str]:
    """The engine's workflows with their states; nothing is left of any others."""
    engine = sa.create_engine(world.settings.engine_database)
    schema = "dbos" if engine.dialect.name == "postgresql" else None
    with engine.connect() as connection:
        flows, *parts = (
            sa.Table(name, sa.MetaData(), schema=schema, autoload_with=connection)
            for name in (
                "workflow_status",
                "workflow_input",
                "workflow_output",
                "operation_outputs",
            )
        )
        query = sa.select(flows.c.workflow_uuid, flows.c.status)
        found = {row.workflow_uuid: row.status for row in connection.execute(query)}
        for part in parts:
            of = set(connection.execute(sa.select(part.c.workflow_uuid)).scalars())
            assert of <= found.keys()
    engine.dispose()
    return found


@pytest.mark.slow
def test_the_engines_records_of_what_is_over_go_and_no_others(
    database: str, tmp_path: Path
) -> None:
    world = RunWorld(tmp_path, database_url=database)
    inbox, later = Inbox(world.store.database), now() + timedelta(days=31)
    assert retention.apply_retention(world.settings, world.store, later) == (0, 0), (
        "no engine's tables yet"
    )

    def keep_event(event_id: str, pull: int = 99) -> None:
        assert inbox.keep(event_id, "pull_request_review", Reviewed(**SOURCE, pull_number=pull))

    done = start(world)
    keep_event("a1")
    with running_engine(world.services()):
        ended(world, done)
        until(lambda: set(records(world).values()) == {"SUCCESS"})
    assert inbox.answer_of("a1")
    with workflow_client(world.settings, world.store) as client:
        waits = start(world, "d2", number=8)
        client.enqueue(waits)
        keep_event("a2")
        client.enqueue_event("a2")
        # In the turn of a later one, which the engine came to first.
        inbox.mark_answered("a2", "done")
    assert set(records(world)) == {done, waits, "ask-a1", "ask-a2"}
    assert world.store.get_run(done).pull_number
    retention.apply_retention(world.settings, world.store, now() + timedelta(days=29))
    assert set(records(world)) == {done, waits, "ask-a1", "ask-a2"}
    retention.apply_retention(world.settings, world.store, later)
    assert set(records(world)) == {done, waits, "ask-a2"}, "its pull request is open"
    inbox.close(done, "merged")
    retention.apply_retention(world.settings, world.store, later)
    assert set(records(world)) == {waits, "ask-a2"}
    assert inbox.get("a2")
    # What was left goes on.
    with running_engine(world.services()):
        assert ended(world, waits).outcome == "proven"
        until(lambda: records(world)["ask-a2"] == "SUCCESS")
