"""Finished runs grow old: their journals become compressed files, and those are deleted in time.

A run's row stays: the list of runs and the links in pull requests keep working. An archive is JSON
lines in gzip: the run, its events in order, its logs. It is whole and on disk before the rows go.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from agent.journal.events import EVENT, Recorded, now
from app.operations.pruning import over, prune
from app.settings.schema import Settings
from app.storage import tables
from app.storage.store import SqlStore
from app.storage.tables import from_micros, to_micros
from app.tables_operations import archives
from app.telemetry import logs

EVERY_S = 3600.0
AT_ONCE = 50
"""Runs archived between two looks at the size of the database."""
MB = 1024 * 1024

_log = logs.get(__name__)


async def keep_house(settings: Settings, store: SqlStore) -> None:
    """Archive and delete what is due, again and again, beside the service."""
    while True:
        try:
            await asyncio.to_thread(tidy, settings, store, now())
        except Exception:  # noqa: BLE001  a database away, a disk full: it is tried again
            _log.warning("old journals and records could not be tidied up", exc_info=True)
        await asyncio.sleep(EVERY_S)


def tidy(settings: Settings, store: SqlStore, moment: datetime) -> tuple[int, int]:
    """Archive, delete and prune what is due at this moment; gives how many journals of each."""
    try:
        return _archive_due(settings, store, moment)
    finally:  # also when the disk is full
        prune(settings, store.engine, moment)


def _archive_due(settings: Settings, store: SqlStore, moment: datetime) -> tuple[int, int]:
    folder = settings.state_dir / "archives"
    archived = 0
    if settings.keep_journals_days:
        before = moment - timedelta(days=settings.keep_journals_days)
        while due := finished(store.engine, before, AT_ONCE):
            archived += sum(archive(store, run_id, folder, moment) for run_id in due)
    limit = settings.keep_journals_mb * MB
    while limit and size_of_rows(store.engine) > limit:
        due = finished(store.engine, moment, AT_ONCE)
        archived += sum(archive(store, run_id, folder, moment) for run_id in due)
        if not due:
            break
    deleted = _delete_archives(settings, store.engine, moment)
    if archived or deleted:
        _log.info("old journals", archived=archived, deleted=deleted)
    return archived, deleted


def finished(engine: sa.Engine, before: datetime, limit: int) -> list[str]:
    """Runs that were over before this moment and are still in the tables, oldest first."""
    runs = tables.runs
    kept = sa.select(archives.c.run_id).where(archives.c.run_id == runs.c.id).exists()
    query = (
        sa.select(runs.c.id)
        .where(over(before), sa.not_(kept))
        .order_by(runs.c.updated_at)
        .limit(limit)
    )
    with engine.execution_options(read_only=True).connect() as connection:
        return list(connection.execute(query).scalars())


def archive(store: SqlStore, run_id: str, folder: Path, moment: datetime) -> bool:
    """Move a run's journal and logs into a file; False when it came to life again meanwhile."""
    run = store.get_run(run_id)
    path = folder / f"{run.created_at:%Y-%m}" / f"{run_id}.jsonl.gz"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    with half.open("wb") as raw:
        with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
            file.write(_line({"run": run.model_dump(mode="json")}))
            for entry in store.events(run_id):
                body = json.loads(EVENT.dump_json(entry.event))
                file.write(_line({"seq": entry.seq, "at": to_micros(entry.at), "event": body}))
            for log_id, packed in _logs(store.engine, run_id):
                data = base64.b64encode(zlib.decompress(packed)).decode()
                file.write(_line({"log": log_id, "base64": data}))
        raw.flush()
        os.fsync(raw.fileno())
    half.replace(path)
    with store.engine.begin() as connection:
        # Locks the row: no other round can begin between the look and the deletion.
        still = connection.execute(
            sa.update(tables.runs)
            .where(
                tables.runs.c.id == run_id,
                tables.runs.c.status == "done",
                tables.runs.c.next_seq == run.events,
                tables.runs.c.round == run.round,
            )
            .values(updated_at=tables.runs.c.updated_at)
        )
        if still.rowcount == 0:
            path.unlink()
            return False
        connection.execute(
            sa.insert(archives).values(
                run_id=run_id,
                file=str(path.relative_to(folder)),
                size=path.stat().st_size,
                archived_at=to_micros(moment),
            )
        )
        for table in (tables.events, tables.logs, tables.hints):
            connection.execute(sa.delete(table).where(table.c.run_id == run_id))
    return True


def archived_journal(settings: Settings, engine: sa.Engine, run_id: str) -> list[Recorded]:
    """The journal of an archived run; empty when there is none or it was deleted in time."""
    return [
        Recorded(
            seq=line["seq"],
            at=from_micros(line["at"]),
            event=EVENT.validate_python(line["event"], strict=False),
        )
        for line in _archived(settings, engine, run_id)
        if "seq" in line
    ]


def archived_log(settings: Settings, engine: sa.Engine, run_id: str, log_id: str) -> bytes | None:
    """A log of an archived run."""
    lines = _archived(settings, engine, run_id)
    found = (line["base64"] for line in lines if line.get("log") == log_id)
    data = next(found, None)
    return None if data is None else base64.b64decode(data)


def _archived(settings: Settings, engine: sa.Engine, run_id: str) -> Iterator[dict[str, Any]]:
    """The lines of a run's archive; none when there is no archive."""
    query = sa.select(archives.c.file).where(
        archives.c.run_id == run_id, archives.c.deleted_at.is_(None)
    )
    with engine.execution_options(read_only=True).connect() as connection:
        name = connection.execute(query).scalar_one_or_none()
    if name is None:
        return
    with gzip.open(settings.state_dir / "archives" / name, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def size_of_rows(engine: sa.Engine) -> int:
    """Bytes that the database's own tables use, without what deletions left free."""
    with engine.execution_options(read_only=True).connect() as connection:
        if engine.dialect.name == "sqlite":
            words = ("page_count", "freelist_count", "page_size")
            count, free, page = (
                connection.exec_driver_sql(f"PRAGMA {word}").scalar_one() for word in words
            )
            return int((count - free) * page)
        # PostgreSQL gives freed space back to the table and not to the disk: so rows are measured.
        sums = [
            sa.select(sa.func.coalesce(sa.func.sum(sa.func.octet_length(column)), 0))
            for column in (tables.events.c.body, tables.logs.c.data)
        ]
        return sum(int(connection.execute(query).scalar_one()) for query in sums)


def _delete_archives(settings: Settings, engine: sa.Engine, moment: datetime) -> int:
    query = (
        sa.select(archives.c.run_id, archives.c.file, archives.c.size, archives.c.archived_at)
        .where(archives.c.deleted_at.is_(None))
        .order_by(archives.c.archived_at, archives.c.run_id)
    )
    with engine.execution_options(read_only=True).connect() as connection:
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
        with engine.begin() as connection:
            connection.execute(
                sa.update(archives)
                .where(archives.c.run_id.in_(gone))
                .values(deleted_at=to_micros(moment))
            )
    return len(gone)


def _logs(engine: sa.Engine, run_id: str) -> list[tuple[str, bytes]]:
    query = sa.select(tables.logs.c.log_id, tables.logs.c.data).where(
        tables.logs.c.run_id == run_id
    )
    with engine.execution_options(read_only=True).connect() as connection:
        return [(row.log_id, row.data) for row in connection.execute(query)]


def _line(record: dict[str, object]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"
