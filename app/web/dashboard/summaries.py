"""What the head of a run's page shows: gathered from the journal once, then only carried on.

A journal of thousands of events is read in windows; what is kept of it is small and stays in this
process, so that a page that is open again costs only the events that came since.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict

from app.journal_view.cards import card_values
from app.journal_view.summary import RunSummary, fold_into
from app.settings.schema import Settings
from app.storage.archive import Journals
from app.storage.records import Run

WINDOW = 500
"""Events read at once."""
KEPT_RUNS = 64
"""RunSummaries kept in this process."""


class RunSummaries:
    """The heads of the runs that were looked at lately; safe from several threads."""

    def __init__(self, journals: Journals) -> None:
        self._journals = journals
        self._lock = threading.Lock()
        self._heads: OrderedDict[str, RunSummary] = OrderedDict()

    def of(self, run_id: str) -> RunSummary:
        """The run's head now: a copy, which the caller may keep."""
        with self._lock:
            head = self._heads.pop(run_id, None) or RunSummary()
            self._heads[run_id] = head
            while len(self._heads) > KEPT_RUNS:
                self._heads.popitem(last=False)
            while more := self._journals.events(run_id, after=head.seq, limit=WINDOW):
                for recorded in more:
                    fold_into(head, recorded)
                if len(more) < WINDOW:
                    break
            return _copied(head)


_COPIED = (
    "nodes",
    "points",
    "snapshots",
    "calls",
    "places",
    "stages",
    "before",
    "after",
    "costs",
)


def _copied(head: RunSummary) -> RunSummary:
    kept = copy.copy(head)
    for name in _COPIED:
        setattr(kept, name, copy.copy(getattr(head, name)))
    return kept


def summary_values(
    settings: Settings, run: Run, head: RunSummary, budget_cost: float = 0.0
) -> dict[str, object]:
    """What the templates print of a run's head. `budget_cost` is what it may cost; 0: no limit."""
    return card_values(
        head,
        where=f"/runs/{run.id}",
        run_id=run.id,
        budget_calls=settings.budget_calls,
        budget_tokens=settings.budget_tokens,
        budget_cost=budget_cost,
    ) | {
        "run": run,
        "took": _duration(run, head),
        "issue_url": f"{settings.github_web_url}/{run.repository}/issues/{run.issue_number}",
    }


def _duration(run: Run, head: RunSummary) -> str:
    # A run's own last change may be the merge of its pull request.
    seconds = ((head.ended_at or run.updated_at) - run.created_at).total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def snapshot_names(head: RunSummary) -> dict[str, str]:
    """The base and the snapshots, each with its name for people."""
    return {"": "the base"} | {s.key: s.name for s in head.snapshots.values()}
