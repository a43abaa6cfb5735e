"""Backup, retention, controls, parking, the fence and traces, without processes."""

from __future__ import annotations

import asyncio
import gzip
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent.errors import LostLease
from agent.events import (
    GateJudged,
    ModelTurned,
    Recorded,
    RunEnded,
    RunPhase,
    SandboxOpened,
    ToolFinished,
    ToolStarted,
    now,
)
from agent.model import Turn, Usage
from app import audit, controls, operate, parking, retention, tracing
from app.backup import BackupError, backup, restore
from app.database_away import is_away, waited_for
from app.fence import READS, fenced
from app.forge import Forge
from app.governed_model import Brake, GovernedModel
from app.locks import database_lock, state_lock
from app.settings import Settings, SettingsError
from app.store import SqlStore
from tests.unit.test_app_store import trigger


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state")


@pytest.fixture
def store(settings: Settings) -> SqlStore:
    return SqlStore(settings.database)


def a_run(store: SqlStore, number: int = 7, ended: bool = True) -> str:
    run_id = store.accept(f"d{number}", "issues", trigger(number), model="m").run_id
    lease = store.claim(run_id, "worker-0")
    lease.set_running(run_id)
    lease.append(run_id, [RunPhase(attempt=0, phase="queued"), finished(1)])
    lease.put_log(run_id, "bash:1", bytes(range(256)) * 50)
    if ended:
        lease.finish(run_id, RunEnded(attempt=0, outcome="diagnosis", diagnosis="\u2603"))
    return run_id


def finished(number: int, status: Any = "ok") -> ToolFinished:
    return ToolFinished(call_id=f"c{number}", name="bash", status=status, output="o" * 500)


# Backup


def test_a_backup_taken_while_the_store_is_written_comes_back_whole(
    settings: Settings, store: SqlStore, tmp_path: Path
) -> None:
    done, live = a_run(store, 1), a_run(store, 2, ended=False)
    queued = store.accept("d3", "issues", trigger(3), model="m").run_id
    store.mark_enqueued(queued)
    file = tmp_path / "backup.tar.gz"
    assert backup(settings, file) == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(BackupError, match="exists already"):
        backup(settings, file)
    before = store.events(done)
    a_run(store, 4)
    store.close()
    with pytest.raises(BackupError, match="--replace"):
        restore(settings, file, replace=False)
    assert restore(settings, file, replace=True) == 3
    again = SqlStore(settings.database)
    assert again.events(done) == before
    assert again.get_log(done, "bash:1") == bytes(range(256)) * 50
    # What was not over is told to the engine again, whatever that knows.
    assert {run.id for run in again.unqueued()} == {live, queued}
    assert (settings.state_dir / "patchwright.db.before-restore").exists()


def test_a_restore_is_refused_while_the_service_runs_and_for_what_is_no_backup(
    settings: Settings, store: SqlStore, tmp_path: Path
) -> None:
    a_run(store)
    file = tmp_path / "backup.tar.gz"
    backup(settings, file)
    with state_lock(settings.state_dir), pytest.raises(SettingsError, match="another Patchwright"):
        restore(settings, file, replace=True)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BackupError, match="no backup"):
        restore(settings, file, replace=True)
    assert store.count_runs() == {("done", "diagnosis"): 1}


def test_one_sqlite_file_serves_one_process_whatever_its_state_folder(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    one = Settings(state_dir=tmp_path / "one", database_url=url)
    two = Settings(state_dir=tmp_path / "two", database_url=url)
    with (
        database_lock(one),
        pytest.raises(SettingsError, match=rf"process {os.getpid()}\) works on .*shared\.db"),
        database_lock(two),
    ):
        pass
    with database_lock(two):
        pass


# Retention


def test_old_journals_become_files_and_files_are_deleted_in_time(
    settings: Settings, store: SqlStore
) -> None:
    kept = settings.model_copy(update={"keep_journals_days": 10, "keep_archives_days": 20})
    ended, live = a_run(store, 1), a_run(store, 2, ended=False)
    journal = store.events(ended)
    assert retention.tidy(kept, store, now()) == (0, 0)
    later = now() + timedelta(days=11)
    assert retention.tidy(kept, store, later) == (1, 0)
    assert store.events(ended) == []
    assert store.get_log(ended, "bash:1") is None
    assert store.get_run(ended).events == len(journal)
    assert len(store.events(live)) == 2
    assert retention.archived_journal(kept, store.engine, ended) == journal
    (file,) = (settings.state_dir / "archives").rglob("*.gz")
    with gzip.open(file, "rt") as text:
        assert sum('"log"' in line for line in text) == 1
    assert retention.tidy(kept, store, later) == (0, 0)
    assert retention.tidy(kept, store, later + timedelta(days=21)) == (0, 1)
    assert not file.exists()
    assert retention.archived_journal(kept, store.engine, ended) == []


def test_a_large_database_sends_its_oldest_runs_to_files_early(
    settings: Settings, store: SqlStore
) -> None:
    for number in range(1, 4):
        run_id = a_run(store, number, ended=False)
        store_bytes = os.urandom(400_000)
        lease = store.claim(run_id, "w")
        lease.put_log(run_id, "big", store_bytes)
        lease.finish(run_id, RunEnded(attempt=0, outcome="failed"))
    small = settings.model_copy(update={"keep_journals_mb": 1, "keep_archives_mb": 1})
    archived, deleted = retention.tidy(small, store, now() + timedelta(seconds=1))
    assert archived == 3
    assert deleted == 1, "three files of 0.5 MB in 1 MB"
    assert retention.size_of_rows(store.engine) < 1024 * 1024


def test_a_run_that_came_to_life_meanwhile_is_not_archived(
    settings: Settings, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = a_run(store)
    read = store.events

    def and_then(wanted: str) -> list[Recorded]:
        found = read(wanted)
        view = store.claim(wanted, "other")
        view.append(wanted, [RunPhase(attempt=0, phase="again")])
        return found

    monkeypatch.setattr(store, "events", and_then)
    assert not retention.archive(store, run_id, settings.state_dir / "archives", now())
    assert len(read(run_id)) == 4
    assert list((settings.state_dir / "archives").rglob("*.gz")) == []


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
    assert controls.progress(recorded(*once)) == controls.progress(recorded(*again))
    assert controls.progress(recorded(*again, finished(3))) > controls.progress(recorded(*again))


def test_three_deaths_at_one_place_park_a_run_and_deaths_elsewhere_do_not(store: SqlStore) -> None:
    run_id = a_run(store, ended=False)

    def die() -> str:
        before = store.get_run(run_id)
        store.claim(run_id, "worker-0")
        return parking.examine(store, before)

    assert [die(), die()] == ["", ""]
    store.claim(run_id, "worker-0").append(run_id, [])
    lease = store.claim(run_id, "worker-0")
    started = ToolStarted(call_id="c9", name="run_tests", arguments="{}")
    lease.append(run_id, [finished(2), started])  # it went on: counted anew
    assert [die(), die()] == ["", ""]
    reason = die()
    assert "died 3 times" in reason
    assert "`run_tests`" in reason
    assert audit.entries(store.engine, subject=run_id)[0].action == "park"


def test_a_run_that_was_given_back_was_no_death(store: SqlStore) -> None:
    run_id = a_run(store, ended=False)
    for _ in range(5):
        lease = store.claim(run_id, "worker-0")
        lease.give_back(run_id)
        assert parking.examine(store, store.get_run(run_id)) == ""
    stale = store.claim(run_id, "worker-0")
    store.claim(run_id, "worker-1")
    stale.give_back(run_id)  # not its any more
    assert store.get_run(run_id).owner == "worker-1"


def test_operators_cancel_pause_and_retry(settings: Settings, store: SqlStore) -> None:
    queued = store.accept("d1", "issues", trigger(1), model="m").run_id
    assert "over" in operate.cancel(store, queued)
    assert store.get_run(queued).outcome == "stopped"
    with pytest.raises(operate.NotPossible, match="over already"):
        operate.cancel(store, queued)
    running = a_run(store, 2, ended=False)
    operate.pause(store, running)
    assert controls.paused(store.engine, running)
    operate.cancel(store, running)
    assert store.stop_requested(running)
    assert not controls.paused(store.engine, running), "a paused run must see its stop"
    with pytest.raises(operate.NotPossible, match="already"):
        operate.retry(settings, store, running)
    again = operate.retry(settings, store, queued)
    assert (again.status, again.trigger) == ("queued", store.get_run(queued).trigger)
    assert [e.action for e in audit.entries(store.engine)] == ["retry", "cancel", "pause", "cancel"]
    assert all("@" in entry.actor for entry in audit.entries(store.engine))


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

    return GovernedModel(Quick(), store.engine, run_id, limit, waiting, Brake(), 1, 0.02)


async def test_a_paused_run_takes_no_turn_until_it_is_resumed(store: SqlStore) -> None:
    run_id, told = a_run(store, ended=False), list[str]()
    model = governed(store, run_id, told)
    controls.set_paused(store.engine, run_id, True)
    turn = asyncio.create_task(model.turn([], []))
    done, _ = await asyncio.wait({turn}, timeout=0.3)
    assert not done
    assert told == ["An operator paused the run."]
    controls.set_paused(store.engine, run_id, False)
    await asyncio.wait_for(turn, 5)


async def test_the_installations_budget_holds_over_all_runs(store: SqlStore) -> None:
    told: list[str] = []
    first, second = (governed(store, f"r{n}", told, limit=150) for n in (1, 2))
    await first.turn([], [])
    await second.turn([], [])
    assert controls.used_today(store.engine) == 200
    waiting = asyncio.create_task(first.turn([], []))
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    waiting.cancel()
    assert not done
    assert "150 tokens of today" in told[0]
    assert controls.used_today(store.engine, now() + timedelta(days=1)) == 0


async def test_the_brake_waits_for_calls_and_lets_no_turn_begin(store: SqlStore) -> None:
    model = governed(store, "r1", [])
    await model.turn([], [])  # its tool calls are being done now
    started = time.monotonic()
    assert not await asyncio.to_thread(model.brake.press, 0.2)
    assert time.monotonic() - started >= 0.2
    turn = asyncio.create_task(model.turn([], []))  # the call has ended
    assert await asyncio.to_thread(model.brake.press, 5)
    done, _ = await asyncio.wait({turn}, timeout=0.2)
    turn.cancel()
    assert not done


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

    monkeypatch.setattr("app.database_away.LOOK_EVERY_S", 0.01)
    tries = 0

    async def act() -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OperationalError("q", {}, sqlite3.OperationalError("database is locked"))
        return tries

    assert await waited_for("a step", act) == 3
    mistake = OperationalError("q", {}, sqlite3.OperationalError("no such table: runs"))
    assert not is_away(mistake)
    assert not is_away(ValueError())


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
                tracing.entry("r1", Recorded(seq=3, at=now(), event=call))
                tracing.entry("r1", Recorded(seq=4, at=now(), event=GateJudged(verdict="proven")))
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
        tracing.entry("r1", Recorded(seq=3, at=now(), event=finished(1)))


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

    from app.assembly import github_app
    from app.forge_app import integration

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
