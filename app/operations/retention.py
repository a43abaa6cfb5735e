"""Moves journals of old finished runs to compressed files, and deletes those in time.

A run's row stays: the list of runs and the links in pull requests keep working. An archive is JSON
lines in gzip: the run, its events in order, its logs. It is whole and on disk before the rows go.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import sqlalchemy as sa

from agent.journal.events import now
from app.operations.pruning import prune
from app.settings.schema import Settings
from app.storage.archive import archivable_runs, archive, size_of_rows
from app.storage.store import SqlStore
from app.storage.tables import archives, to_micros
from app.telemetry import logs

EVERY_S = 3600.0
AT_ONCE = 50
"""Runs archived between two looks at the size of the database."""
MB = 1024 * 1024

_log = logs.get(__name__)


async def run_maintenance(settings: Settings, store: SqlStore) -> None:
    """Archive and delete what is due, periodically, beside the service."""
    while True:
        try:
            await asyncio.to_thread(apply_retention, settings, store, now())
        except Exception:  # noqa: BLE001  a database away, a disk full: it is tried again
            _log.warning("old journals and records could not be tidied up", exc_info=True)
        await asyncio.sleep(EVERY_S)


def apply_retention(settings: Settings, store: SqlStore, moment: datetime) -> tuple[int, int]:
    """Archive, delete and prune what is due at this moment; returns how many journals of each."""
    try:
        return _archive_due(settings, store, moment)
    finally:  # also when the disk is full
        prune(settings, store.database, moment)


def _archive_due(settings: Settings, store: SqlStore, moment: datetime) -> tuple[int, int]:
    folder = settings.state_dir / "archives"
    archived = 0
    if settings.keep_journals_days:
        before = moment - timedelta(days=settings.keep_journals_days)
        while due := archivable_runs(store.database, before, AT_ONCE):
            archived += sum(archive(store, run_id, folder, moment) for run_id in due)
    limit = settings.keep_journals_mb * MB
    while limit and size_of_rows(store.database) > limit:
        due = archivable_runs(store.database, moment, AT_ONCE)
        archived += sum(archive(store, run_id, folder, moment) for run_id in due)
        if not due:
            break
    deleted = _delete_archives(settings, store.database, moment)
    if archived or deleted:
        _log.info("old journals", archived=archived, deleted=deleted)
    return archived, deleted


def _delete_archives(settings: Settings, database: sa.Engine, moment: datetime) -> int:
    query = (
        sa.select(archives.c.run_id, archives.c.file, archives.c.size, archives.c.archived_at)
        .where(archives.c.deleted_at.is_(None))
        .order_by(archives.c.archived_at, archives.c.run_id)
    )
    with database.execution_options(read_only=True).connect() as connection:
        rows = connection.execute(query).all()
    days, limit = settings.keep_archives_days, settings.keep_archives_mb * MB
    before = to_micros(moment - timedelta(days=days)) if days else 0
    total, gone = sum(row.size for row in rows), []
    for row in rows:
        if row.archived_at < before or (limit and total > limit):
            (settings.state_dir / "archives" / row.file).unlink(missing_ok=True)
            total -= row.size
            gone.append(row.run_id)
    if gone:
        with database.begin() as connection:
            connection.execute(
                sa.update(archives)
                .where(archives.c.run_id.in_(gone))
                .values(deleted_at=to_micros(moment))
            )
    return len(gone)
