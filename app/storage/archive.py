"""Journals and logs for readers, whether they are in the tables or in an archive."""

from __future__ import annotations

import base64
import gzip
import json
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from agent.journal.events import EVENT, Recorded
from app.settings.schema import Settings
from app.storage import tables
from app.storage.atomic_file import atomic_file
from app.storage.run_rows import ended_before
from app.storage.store import SqlStore
from app.storage.tables import archives, from_micros, to_micros

KEPT = 4
"""Journals of archived runs that stay in this process: a page is read in several pieces."""


class Journals:
    """What is read of runs; blocks."""

    def __init__(self, settings: Settings, store: SqlStore) -> None:
        self._settings = settings
        self._store = store
        self._kept: OrderedDict[str, list[Recorded]] = OrderedDict()

    def events(self, run_id: str, after: int = -1, limit: int | None = None) -> list[Recorded]:
        """The events after that place, in order."""
        found = self._store.events(run_id, after, limit)
        if found:
            return found
        return [entry for entry in self._archived(run_id) if entry.seq > after][:limit]

    def log(self, run_id: str, log_id: str) -> bytes | None:
        """A kept log; None: there is none."""
        data = self._store.get_log(run_id, log_id)
        if data is not None:
            return data
        return archived_log(self._settings, self._store.database, run_id, log_id)

    def _archived(self, run_id: str) -> list[Recorded]:
        journal = self._kept.get(run_id)
        if journal is None:
            journal = archived_journal(self._settings, self._store.database, run_id)
            if journal:  # else it may be archived later
                self._kept[run_id] = journal
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return journal


def archivable_runs(database: sa.Engine, before: datetime, limit: int) -> list[str]:
    """Runs that were over before this moment and are still in the tables, oldest first."""
    runs = tables.runs
    kept = sa.select(archives.c.run_id).where(archives.c.run_id == runs.c.id).exists()
    query = (
        sa.select(runs.c.id)
        .where(ended_before(before), sa.not_(kept))
        .order_by(runs.c.updated_at)
        .limit(limit)
    )
    with database.execution_options(read_only=True).connect() as connection:
        return list(connection.execute(query).scalars())


def archive(store: SqlStore, run_id: str, folder: Path, moment: datetime) -> bool:
    """Move a run's journal and logs into a file; False if the run was revived meanwhile."""
    run = store.get_run(run_id)
    path = folder / f"{run.created_at:%Y-%m}" / f"{run_id}.jsonl.gz"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with atomic_file(path) as partial, partial.open("wb") as raw:
        with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
            file.write(_line({"run": run.model_dump(mode="json")}))
            for entry in store.events(run_id):
                body = json.loads(EVENT.dump_json(entry.event))
                file.write(_line({"seq": entry.seq, "at": to_micros(entry.at), "event": body}))
            for log_id, packed in _logs(store.database, run_id):
                data = base64.b64encode(zlib.decompress(packed)).decode()
                file.write(_line({"log": log_id, "base64": data}))
        raw.flush()
        os.fsync(raw.fileno())
    with store.database.begin() as connection:
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


def archived_journal(settings: Settings, database: sa.Engine, run_id: str) -> list[Recorded]:
    """The journal of an archived run; empty when there is none or it was deleted in time."""
    return [
        Recorded(
            seq=line["seq"],
            at=from_micros(line["at"]),
            event=EVENT.validate_python(line["event"], strict=False),
        )
        for line in _archived(settings, database, run_id)
        if "seq" in line
    ]


def archived_log(settings: Settings, database: sa.Engine, run_id: str, log_id: str) -> bytes | None:
    """A log of an archived run."""
    lines = _archived(settings, database, run_id)
    found = (line["base64"] for line in lines if line.get("log") == log_id)
    data = next(found, None)
    return None if data is None else base64.b64decode(data)


def _archived(settings: Settings, database: sa.Engine, run_id: str) -> Iterator[dict[str, Any]]:
    """The lines of a run's archive; none when there is no archive."""
    query = sa.select(archives.c.file).where(
        archives.c.run_id == run_id, archives.c.deleted_at.is_(None)
    )
    with database.execution_options(read_only=True).connect() as connection:
        name = connection.execute(query).scalar_one_or_none()
    if name is None:
        return
    with gzip.open(settings.state_dir / "archives" / name, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def size_of_rows(database: sa.Engine) -> int:
    """Bytes that the database's own tables use, without what deletions left free."""
    with database.execution_options(read_only=True).connect() as connection:
        if database.dialect.name == "sqlite":
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


def _logs(database: sa.Engine, run_id: str) -> list[tuple[str, bytes]]:
    query = sa.select(tables.logs.c.log_id, tables.logs.c.data).where(
        tables.logs.c.run_id == run_id
    )
    with database.execution_options(read_only=True).connect() as connection:
        return [(row.log_id, row.data) for row in connection.execute(query)]


def _line(record: dict[str, object]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"
