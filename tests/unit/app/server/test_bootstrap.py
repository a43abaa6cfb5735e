"""The fence, a database that is away, traces and keys, without processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent.errors import LostLease
from agent.journal.events import GateJudged, Recorded, now
from app.github.fenced import READS, fenced
from app.github.forge import Forge
from app.server.sweeps import sweep_sandboxes
from app.settings.schema import Settings
from app.storage.outage import is_unavailable, retry_while_unavailable
from app.storage.store import SqlStore
from app.telemetry import tracing
from tests.support.runs.kept import a_run, finished

# The fence


class Forgery:
    """A forge whose every method says its name."""

    def __getattr__(self, name: str) -> Any:
        async def act(*_: object, **__: object) -> str:
            return name

        return act


async def test_a_worker_that_lost_its_run_can_read_but_not_act() -> None:
    mine = True
    forge: Any = fenced(Forgery(), "r1", lambda: mine)  # type: ignore[arg-type]
    names = {name for name in vars(Forge) if not name.startswith("_")} - {"name"}
    for name in names:
        assert await getattr(forge, name)() == name
    mine = False
    refused = set()
    for name in names:
        try:
            await getattr(forge, name)()
        except LostLease:
            refused.add(name)
    assert refused == names - READS
    assert {"git_token", "open_pull", "put_comment", "put_check", "reply"} <= refused


# The database


async def test_a_database_that_is_away_is_waited_for_and_a_mistake_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sqlite3

    from sqlalchemy.exc import OperationalError

    monkeypatch.setattr("app.storage.outage.RETRY_EVERY_S", 0.01)
    tries = 0

    async def act() -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OperationalError("q", {}, sqlite3.OperationalError("database is locked"))
        return tries

    assert await retry_while_unavailable("a step", act) == 3
    mistake = OperationalError("q", {}, sqlite3.OperationalError("no such table: runs"))
    assert not is_unavailable(mistake)
    assert not is_unavailable(ValueError())


async def test_a_pool_whose_connections_are_all_in_use_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.storage.outage.RETRY_EVERY_S", 0.01)
    engine = sa.create_engine(
        "sqlite://", poolclass=sa.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01
    )
    held = [engine.connect()]
    tries = 0

    async def act() -> int:
        nonlocal tries
        tries += 1
        if tries == 3:
            held.pop().close()
        with engine.connect() as connection:
            return int(connection.execute(sa.select(tries)).scalar_one())

    assert await retry_while_unavailable("a step", act) == 3


# Trees


async def test_trees_of_runs_that_ended_elsewhere_are_swept_also_while_the_engine_is_away(
    settings: Settings, store: SqlStore
) -> None:
    live, over = a_run(store, 1, ended=False), a_run(store, 2)
    away = settings.model_copy(update={"docker_url": "unix:///nowhere.sock"})
    await sweep_sandboxes(away, store)  # no run was on this machine yet
    trees = settings.state_dir / "trees"
    trees.mkdir()
    for run_id in (live, over):
        for name in (f"{run_id}-{'a' * 40}.tar", f"{run_id}-{'b' * 40}.part"):
            (trees / name).touch()
    (trees / "notes-of-somebody.txt").touch()
    await sweep_sandboxes(away, store)
    left = {file.name for file in trees.iterdir()}
    assert left == {f"{live}-{'a' * 40}.tar", f"{live}-{'b' * 40}.part", "notes-of-somebody.txt"}


# Traces


def test_delivery_run_turn_and_call_are_one_trace() -> None:
    exporter = InMemorySpanExporter()
    with tracing.exporting("", "test", exporter):
        with tracing.delivery("r1", "d1", "issues"):
            pass
        for epoch in (1, 2):
            with tracing.run("r1", 1, epoch, "worker-0"):
                with tracing.turn("r1", "m"):
                    pass
                call = finished(epoch).model_copy(update={"duration_ms": 1500})
                tracing.trace_event("r1", Recorded(seq=3, at=now(), event=call))
                tracing.trace_event(
                    "r1", Recorded(seq=4, at=now(), event=GateJudged(verdict="proven"))
                )
    spans = {
        (s.name, (s.attributes or {}).get("run.epoch")): s for s in exporter.get_finished_spans()
    }
    assert len({s.context.trace_id for s in exporter.get_finished_spans()}) == 1
    delivery = spans["delivery", None]
    assert delivery.parent is None
    for epoch in (1, 2):
        run = spans["run", epoch]
        assert run.parent and run.parent.span_id == delivery.context.span_id
    turns = [s for s in exporter.get_finished_spans() if s.name == "turn"]
    calls = [s for s in exporter.get_finished_spans() if s.name == "tool call"]
    assert [t.parent.span_id for t in turns if t.parent] == [
        spans["run", 1].context.span_id,
        spans["run", 2].context.span_id,
    ]
    assert [c.parent.span_id for c in calls if c.parent] == [t.context.span_id for t in turns]
    assert all((c.end_time or 0) - (c.start_time or 0) == 1_500_000_000 for c in calls)
    text = "".join(s.to_json() for s in exporter.get_finished_spans())
    assert "ooo" not in text, "no output of tools in traces"


def test_without_an_endpoint_nothing_is_traced() -> None:
    with tracing.exporting("", "test"), tracing.delivery("r1", "d1", "issues"):
        with tracing.turn("r1", "m"):
            pass
        tracing.trace_event("r1", Recorded(seq=3, at=now(), event=finished(1)))


# Keys


def test_keys_are_read_again_at_each_use(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("old\n")
    settings = Settings(state_dir=tmp_path, github_webhook_secret_file=secret)
    assert settings.secret("github_webhook_secret") == "old"
    secret.write_text("new\n")
    assert settings.secret("github_webhook_secret") == "new"


def test_a_changed_private_key_signs_without_a_restart(tmp_path: Path) -> None:
    import jwt
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    from app.github.app import integration
    from app.server.bootstrap import github_app

    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
    file = tmp_path / "app.pem"
    settings = Settings(state_dir=tmp_path, github_app_id=7, github_private_key_file=file)
    speaker = None
    for key in keys:
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        speaker = speaker or integration(github_app(settings))
        claims = jwt.decode(speaker.auth.token, key.public_key(), algorithms=["RS256"])
        assert claims["iss"] == "7"
