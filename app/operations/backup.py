"""`patchwright backup` and `restore` of the SQLite databases while the service uses them.

The engine's file is copied first and the journal's after it. So the engine knows of no step whose
journal is missing; what it does not know of any more it is told again at the next start.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from app.settings.schema import Settings
from app.storage.locks import database_lock, state_lock

ENGINE, STORE, ABOUT = "engine.db", "patchwright.db", "backup.json"
PAGES = 2000
"""Pages copied before checking again whether somebody else wants to write."""


class BackupError(Exception):
    """The backup or restore failed; the message says why."""


def backup(settings: Settings, target: Path) -> int:
    """Write a backup file; the service may be at work. Returns its size in bytes.

    Raises `BackupError`.
    """
    store, engine = _files(settings)
    if not store.exists():
        raise BackupError(f"There is no database {store}.")
    if target.exists():
        raise BackupError(f"{target} already exists; choose another file.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as name:
        folder = Path(name)
        parts = []
        for source, part in ((engine, ENGINE), (store, STORE)):
            if source.exists():
                copy(source, folder / part)
                parts.append(part)
        about = {"made_at": datetime.now(UTC).isoformat(), "parts": parts}
        (folder / ABOUT).write_text(json.dumps(about))
        partial = folder / "half.tar.gz"
        with tarfile.open(partial, "w:gz", compresslevel=3) as tar:
            for part in (ABOUT, *parts):
                tar.add(folder / part, part)
        partial.chmod(0o600)
        partial.replace(target)
    return target.stat().st_size


def restore(settings: Settings, source: Path, *, replace: bool) -> int:
    """Put a backup in place; returns how many runs it holds. The service must not run.

    Databases that are there are kept beside it as `….before-restore`. Raises `BackupError`, and
    `SettingsError` when the service runs.
    """
    store, engine = _files(settings)
    with state_lock(settings.state_dir), database_lock(settings):
        if store.exists() and not replace:
            raise BackupError(f"{store} already exists; add --replace to replace it.")
        with tempfile.TemporaryDirectory(dir=settings.state_dir, prefix=".restore-") as name:
            folder = Path(name)
            _unpack(source, folder)
            runs = _check(folder / STORE)
            for part, place in ((STORE, store), (ENGINE, engine)):
                for suffix in ("-wal", "-shm"):
                    Path(f"{place}{suffix}").unlink(missing_ok=True)
                if place.exists():
                    place.replace(f"{place}.before-restore")
                if (folder / part).exists():
                    (folder / part).replace(place)
    return runs


def copy(source: Path, target: Path) -> None:
    """A copy of an SQLite file as it is at one moment, by SQLite's online backup."""
    uri = f"file:{source}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=60)) as old:
        with closing(sqlite3.connect(target)) as new:
            old.backup(new, pages=PAGES)
        with closing(sqlite3.connect(target)) as new:
            # Restored files begin without a log beside them.
            new.execute("PRAGMA journal_mode=DELETE")


def _unpack(source: Path, folder: Path) -> None:
    try:
        with tarfile.open(source, "r:gz") as tar:
            for member in tar:
                # Copied, not extracted: Python 3.11.2 of Debian 12 has no filter for that.
                if member.name in (ENGINE, STORE, ABOUT) and (data := tar.extractfile(member)):
                    with data, (folder / member.name).open("xb") as file:
                        shutil.copyfileobj(data, file)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise BackupError(f"{source} cannot be read as a backup: {error}") from None
    if not (folder / STORE).exists():
        raise BackupError(f"{source} is not a backup: it contains no {STORE}.")


def _check(store: Path) -> int:
    """Make sure that the database is whole, and let live runs be told to the engine again."""
    try:
        with closing(sqlite3.connect(store)) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if verdict != "ok":
                raise BackupError(f"The backup is damaged: {verdict}")
            connection.execute("UPDATE runs SET enqueued_at = NULL WHERE status = 'queued'")
            connection.execute(
                "UPDATE runs SET enqueued_at = NULL, status = 'queued' WHERE status = 'running'"
            )
            connection.commit()
            return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.DatabaseError as error:
        raise BackupError(f"The backup is damaged: {error}") from None


def _files(settings: Settings) -> tuple[Path, Path]:
    url = make_url(settings.database)
    if url.get_backend_name() != "sqlite" or not url.database:
        raise BackupError(
            "This command works with SQLite only. For PostgreSQL use pg_dump and pg_restore; "
            "everything is in one database."
        )
    return Path(url.database), Path(make_url(settings.engine_database).database or "")
