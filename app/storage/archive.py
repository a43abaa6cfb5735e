"""Journals and logs for readers, wherever they are kept: in the tables, or in an archive."""

from __future__ import annotations

from collections import OrderedDict

from agent.journal.events import Recorded
from app.operations.retention import archived_journal, archived_log
from app.settings.schema import Settings
from app.storage.store import SqlStore

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
        return archived_log(self._settings, self._store.engine, run_id, log_id)

    def _archived(self, run_id: str) -> list[Recorded]:
        journal = self._kept.get(run_id)
        if journal is None:
            journal = archived_journal(self._settings, self._store.engine, run_id)
            if journal:  # else it may be archived later
                self._kept[run_id] = journal
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return journal
