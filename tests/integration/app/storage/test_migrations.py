"""The schema from the first version to this one, on both databases, with everything in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from agent.journal.events import RunEnded
from app.storage import tables
from app.storage.database import connection as storage_connection
from app.storage.database.migrate import NewerSchema, head, migrate, version
from app.storage.inbox import Inbox
from app.storage.records import Run
from app.storage.store import SqlStore
from tests.support.postgresql import fresh_database

FIRST = json.loads((Path(__file__).parents[3] / "data" / "first_version.json").read_text())
"""What the first version's code wrote: its statements for both databases, and a journal."""
RUNS = 1000


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty database, not migrated."""
    if request.param == "sqlite":
        made = storage_connection.sqlite_database(f"sqlite:///{tmp_path / 'patchwright.db'}")
    else:
        made = sa.create_engine(fresh_database(request.getfixturevalue("postgresql")))
    yield made
    made.dispose()


def url_of(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def of_first_version(engine: sa.Engine, runs: int) -> None:
    """The first version's tables with runs: most are over, the last 20 are not."""
    moment = 1_764_000_000_000_000
    rows, journals, logs = [], [], []
    for number in range(1, runs + 1):
        run_id, live = f"run{number:08d}", number > runs - 20
        rows.append(
            {
                "id": run_id,
                "repository": "octo/calc",
                "issue_number": number,
                "title": f"Bug {number} \u2603",
                "installation_id": 5,
                "delivery_id": f"d{number}",
                "trigger": FIRST["trigger"].replace(
                    '"issue_number":1,', f'"issue_number":{number},'
                ),
                "triggered_by": "ann",
                "model": "offline",
                "status": "running" if live else "done",
                "outcome": "" if live else "proven",
                "pull_request": "" if live else f"https://github.test/octo/calc/pull/{number}",
                "created_at": moment + number,
                "updated_at": moment + number,
                "enqueued_at": moment,
                "live_key": f"octo/calc#{number}" if live else None,
                "owner": "worker-0",
                "epoch": 1,
                "next_seq": len(FIRST["events"]),
                "stop_requested": False,
            }
        )
        journals += [
            {"run_id": run_id, "seq": seq, "at": moment, "body": body}
            for seq, body in enumerate(FIRST["events"])
        ]
        logs.append({"run_id": run_id, "log_id": "bash:0", "data": bytes(range(256))})
    with engine.begin() as connection:
        for statement in FIRST[engine.dialect.name]:
            connection.exec_driver_sql(statement)
        for name, content in (("runs", rows), ("events", journals), ("logs", logs)):
            columns = [sa.column(column) for column in content[0]]
            connection.execute(sa.insert(sa.table(name, *columns)), content)
        connection.execute(
            sa.text(
                "INSERT INTO hints (run_id, author, text, at) VALUES ('run00000001', 'a', 'b', 1)"
            )
        )


def all_runs(store: SqlStore) -> list[Run]:
    found: list[Run] = []
    cursor = ""
    while True:
        page = store.list_runs(cursor=cursor, limit=200)
        found += page.runs
        cursor = page.next
        if not cursor:
            return found


def test_a_database_of_the_first_version_with_1000_runs_goes_up_whole(engine: sa.Engine) -> None:
    of_first_version(engine, RUNS)
    store = SqlStore(url_of(engine))
    with engine.connect() as connection:
        assert version(connection) == head()
    runs = all_runs(store)
    assert [run.issue_number for run in runs] == list(range(RUNS, 0, -1))
    assert {(run.round, run.closed, run.trigger.by) for run in runs} == {(1, "", "label")}
    for run in runs[::97]:
        entries = store.events(run.id)
        assert [e.seq for e in entries] == list(range(len(FIRST["events"])))
        assert isinstance(entries[-1].event, RunEnded)
    with engine.connect() as connection:
        count = connection.execute(sa.text("SELECT count(*) FROM events")).scalar_one()
        assert count == RUNS * len(FIRST["events"])
        kept = connection.execute(sa.text("SELECT data FROM logs WHERE run_id='run00000500'"))
        assert bytes(kept.scalar_one()) == bytes(range(256))
    # What is new works on what is old: the pull request is known again, the live runs go on.
    assert Inbox(store.database).run_of_pull(9, 12) == "run00000012"
    assert {run.repository_id for run in runs} == {9}
    assert len(store.live()) == 20
    live = Inbox(store.database).live_run
    assert live(9, RUNS) == f"run{RUNS:08d}", "a label on its issue finds it"
    lease = store.claim(f"run{RUNS:08d}", "worker-1")
    assert lease.holds(f"run{RUNS:08d}")
    assert [h.text for h in store.hints("run00000001")] == ["b"]
    store.add_hint("run00000001", "c", "once", key="k")
    store.add_hint("run00000001", "c", "once", key="k")
    assert len(store.hints("run00000001")) == 2
    store.close()


@pytest.mark.parametrize("old", [False, True])
def test_old_and_fresh_databases_have_the_tables_that_the_code_means(
    engine: sa.Engine, old: bool
) -> None:
    assert tables.workers.name in tables.metadata.tables
    if old:
        of_first_version(engine, 21)
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        difference: list[Any] = compare_metadata(context, tables.metadata)
    assert difference == []


def test_several_processes_that_start_at_once_migrate_once(engine: sa.Engine) -> None:
    of_first_version(engine, 30)
    errors: list[Exception] = []

    def start() -> None:
        try:
            SqlStore(url_of(engine)).close()
        except Exception as error:  # noqa: BLE001  a thread cannot raise
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    with engine.connect() as connection:
        assert version(connection) == head()


def test_an_interrupted_upgrade_leaves_the_old_shape(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_first_version(engine, 30)
    with monkeypatch.context() as broken:
        # Alembic loads revisions from their files; so the fault is put under them.
        def fail(*_: object, **__: object) -> None:
            raise OSError("the disk is full")

        broken.setattr("alembic.op.create_table", fail)
        with pytest.raises(OSError, match="disk is full"):
            migrate(engine)
    with engine.connect() as connection:
        assert version(connection) == ""
        assert "round" not in {c["name"] for c in sa.inspect(connection).get_columns("runs")}
    migrate(engine)
    with engine.connect() as connection:
        assert version(connection) == head()


def test_a_database_of_a_later_version_is_refused(engine: sa.Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerSchema, match=r"schema 9999.*later version"):
        migrate(engine)
