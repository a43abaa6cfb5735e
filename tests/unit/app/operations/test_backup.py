"""Backup and retention, without processes."""

from __future__ import annotations

import gzip
import os
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal.events import Recorded, RunEnded, RunPhase, now
from app.operations import retention
from app.operations.backup import BackupError, backup, restore
from app.settings.base import SettingsError
from app.settings.schema import Settings
from app.storage import archive
from app.storage.locks import database_lock, state_lock
from app.storage.store import SqlStore
from tests.support.runs.kept import a_run
from tests.support.runs.stored import trigger

# Backup


def test_a_backup_taken_while_the_store_is_written_comes_back_whole(
    settings: Settings, store: SqlStore, tmp_path: Path
) -> None:
    done, live = a_run(store, 1), a_run(store, 2, ended=False)
    queued = store.accept("d3", "issues", trigger(3), model="m").run_id
    store.mark_enqueued(store.get_run(queued))
    file = tmp_path / "backup.tar.gz"
    assert backup(settings, file) == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(BackupError, match="already exists"):
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
    with pytest.raises(BackupError, match="cannot be read as a backup"):
        restore(settings, file, replace=True)
    assert store.count_runs() == {("done", "diagnosis"): 1}


def test_one_sqlite_file_serves_one_process_whatever_its_state_folder(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    one = Settings(state_dir=tmp_path / "one", database_url=url)
    two = Settings(state_dir=tmp_path / "two", database_url=url)
    with (
        database_lock(one),
        pytest.raises(SettingsError, match=rf"process {os.getpid()}\) already uses .*shared\.db"),
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
    assert retention.apply_retention(kept, store, now()) == (0, 0)
    later = now() + timedelta(days=11)
    assert retention.apply_retention(kept, store, later) == (1, 0)
    assert store.events(ended) == []
    assert store.get_log(ended, "bash:1") is None
    assert store.get_run(ended).events == len(journal)
    assert len(store.events(live)) == 2
    assert archive.archived_journal(kept, store.database, ended) == journal
    (file,) = (settings.state_dir / "archives").rglob("*.gz")
    with gzip.open(file, "rt") as text:
        assert sum('"log"' in line for line in text) == 1
    assert retention.apply_retention(kept, store, later) == (0, 0)
    assert retention.apply_retention(kept, store, later + timedelta(days=21)) == (0, 1)
    assert not file.exists()
    assert archive.archived_journal(kept, store.database, ended) == []


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
    archived, deleted = retention.apply_retention(small, store, now() + timedelta(seconds=1))
    assert archived == 3
    assert deleted == 1, "three files of 0.5 MB in 1 MB"
    assert archive.size_of_rows(store.database) < 1024 * 1024


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
    assert not archive.archive(store, run_id, settings.state_dir / "archives", now())
    assert len(read(run_id)) == 4
    assert list((settings.state_dir / "archives").rglob("*.gz")) == []
