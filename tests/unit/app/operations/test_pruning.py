"""What goes in time, and what must not; on PostgreSQL as well."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from agent.journal.events import RunEnded, now
from app.github.records import ListedRepository
from app.github.written_comments import CommentPlace
from app.operations import pruning
from app.settings.schema import Settings
from app.storage import audit, controls
from app.storage.alerts import Alerts, EditLimits, Occurrence
from app.storage.inbox import Inbox
from app.storage.kept_comments import KeptComments
from app.storage.nights.store import Nights
from app.storage.store import SqlStore
from app.storage.tables import asks, deliveries, handled, nights, notices, runs, usage
from app.storage.tables import controls as control_rows
from tests.support.github.payloads import comment
from tests.support.runs.stored import start, store, trigger, url
from tests.support.settings import settings

__all__ = ["settings", "store", "url"]


def kept(store: SqlStore, column: sa.Column[str]) -> list[str]:
    with store.database.connect() as connection:
        return sorted(connection.execute(sa.select(column)).scalars())


def over(store: SqlStore, delivery: str, number: int, pull: int = 0) -> str:
    """A run that is done, with a mark and a pause that are left of it."""
    run_id = start(store, delivery, number)
    lease = store.claim(run_id, "w")
    lease.set_running(run_id)
    if pull:
        lease.set_pull(run_id, pull)
    lease.finish(run_id, RunEnded(attempt=0, outcome="proven"))
    Inbox(store.database).mark_handled(run_id, 2, ["line:5"])
    controls.set_paused(store.database, run_id, False)
    return run_id


def test_what_is_over_for_long_goes_and_what_is_open_stays(
    settings: Settings, store: SqlStore
) -> None:
    inbox = Inbox(store.database)
    merged, without = over(store, "d1", 1, pull=21), over(store, "d2", 2)
    waits_for_review = over(store, "d3", 3, pull=23)
    live = start(store, "d4", 4)
    controls.set_paused(store.database, live, True)
    inbox.close(merged, "merged")
    assert inbox.keep("a1", "issue_comment", comment())
    assert inbox.keep("a2", "issue_comment", comment())
    inbox.mark_answered("a1", "done")
    for days in (400, 300, 0):
        controls.add_usage(store.database, 5, now() - timedelta(days=days))
    audit.record(store.database, "ann", "cancel", merged)
    comments = KeptComments(store.database)
    comments.confirm(CommentPlace(1, 1, "<!-- patchwright:status -->"), 7)
    assert pruning.prune(settings, store.database, now() + timedelta(days=29)) == 1, "a day's usage"
    assert pruning.prune(settings, store.database, now() + timedelta(days=31)) == 11 + 7
    assert kept(store, notices.c.id) == [], "a notice of each begin and each end"
    assert kept(store, runs.c.id) == sorted([merged, without, waits_for_review, live])
    assert kept(store, handled.c.run_id) == [waits_for_review]
    assert kept(store, control_rows.c.run_id) == sorted([waits_for_review, live])
    assert controls.is_paused(store.database, live)
    assert (kept(store, asks.c.id), kept(store, deliveries.c.id)) == (["a2"], ["a2"])
    assert len(kept(store, usage.c.day)) == 2
    assert [entry.action for entry in audit.entries(store.database, 9, "")] == ["cancel"]
    # A delivery that comes all the same begins nothing.
    again = store.accept("d1", "issues", trigger(1), model="m")
    assert (again.run_id, again.how) == (merged, "duplicate")
    assert not inbox.keep("a2", "issue_comment", comment())


def test_alerts_without_an_issue_go_first(settings: Settings, store: SqlStore) -> None:
    known = Alerts(store.database)
    for number, repository in enumerate(("acme/shop", "acme/shop", "")):
        came = Occurrence(f"f{number}", repository, f"T{number}", "{}")
        known.take("sentry", f"{number}", [came], EditLimits(1, 9, 15))
    [first] = [each.id for each in known.newest(limit=9) if each.state == "waiting"]
    known.opened(first, 3)
    for days, left in ((29, 3), (31, 1), (179, 1), (181, 0)):
        pruning.prune(settings, store.database, now() + timedelta(days=days))
        assert len(known.newest(limit=9)) == left


def test_nights_go_after_a_year(settings: Settings, store: SqlStore) -> None:
    known, due = Nights(store.database), now() + timedelta(hours=1)
    for number in (1, 2):
        place = ListedRepository(number, f"acme/{number}", 5, "main", True, False, "x")
        known.set_schedule(place, "x", "{}", due)
    known.begin_due(due, lambda _, after: after + timedelta(days=1), lambda _, at: f"{at:%Y-%m-%d}")
    over, begun = known.newest(limit=9)
    known.fail(over.id, "GitHub did not answer.")
    for days, left in ((365, [over.id, begun.id]), (367, [begun.id])):
        pruning.prune(settings, store.database, now() + timedelta(days=days))
        assert sorted(kept(store, nights.c.id)) == sorted(left)


def test_what_is_counted_of_a_check_goes_with_the_check(
    settings: Settings, store: SqlStore
) -> None:
    inbox = Inbox(store.database)
    for check in ("answered", "open"):
        assert inbox.keep(check, "check", comment())
        controls.count_death(store.database, check, "", 0)
    inbox.mark_answered("answered", "done")
    pruning.prune(settings, store.database, now() + timedelta(days=29))
    assert kept(store, control_rows.c.run_id) == ["answered", "open"]
    pruning.prune(settings, store.database, now() + timedelta(days=31))
    assert kept(store, control_rows.c.run_id) == ["open"]


def test_many_rows_go_in_small_transactions(
    settings: Settings, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PAUSE_S", 0.0)
    monkeypatch.setattr(pruning, "BATCH", 3)
    inbox = Inbox(store.database)
    for number in range(8):
        inbox.keep(f"a{number}", "issue_comment", comment())
        inbox.mark_answered(f"a{number}", "done")
        over(store, f"d{number}", number + 1)
    deleted: list[int] = []

    def count(*event: object) -> None:
        if str(event[2]).startswith("DELETE"):
            deleted.append(event[1].rowcount)  # type: ignore[attr-defined]

    sa.event.listen(store.database, "after_cursor_execute", count)
    later = now() + timedelta(days=31)
    assert pruning.prune(settings, store.database, later) == sum(deleted) == 8 + 16 + 8 + 8 + 16
    assert max(deleted) == 3
    assert pruning.prune(settings, store.database, later) == 0
