"""Whose turn it is to be looked at: one worker takes it, and the look is an event."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from agent.journal.events import RunEnded
from app.expiry import kept
from app.expiry.kept import Expiries
from app.github.webhook_events import ExpiryDue
from app.storage.inbox import Inbox
from app.storage.store import SqlStore
from tests.support.runs.stored import start, store, url

__all__ = ["store", "url"]

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    at = [NOON]
    monkeypatch.setattr(kept, "now", lambda: at[0])
    return at


def with_pull(store: SqlStore, number: int = 7) -> str:
    run_id = start(store, f"d{number}", number)
    lease = store.claim(run_id, "w")
    lease.set_pull(run_id, number + 90)
    lease.finish(run_id, RunEnded(attempt=0, outcome="proven"))
    return run_id


def looks(store: SqlStore) -> list[ExpiryDue]:
    inbox = Inbox(store.database)
    found = [inbox.get(event_id) for event_id in inbox.unqueued()]
    return [event for event in found if isinstance(event, ExpiryDue)]


def test_of_many_workers_one_has_a_pull_request_looked_at(
    store: SqlStore, clock: list[datetime]
) -> None:
    run_id = with_pull(store)
    start(store, "d8", 8)  # no pull request yet
    with ThreadPoolExecutor(8) as pool:
        taken = [pool.submit(Expiries(store.database).queue_due) for _ in range(8)]
        assert sum(each.result() for each in taken) == 1
    [look] = looks(store)
    assert (look.run_id, look.pull_number, look.repository) == (run_id, 97, "octo/calc")
    clock[0] += timedelta(days=1)
    with ThreadPoolExecutor(8) as pool:
        taken = [pool.submit(Expiries(store.database).queue_due) for _ in range(8)]
        assert sum(each.result() for each in taken) == 1
    assert len(looks(store)) == 2


def test_it_is_looked_at_within_a_day_and_no_more_once_it_is_closed(
    store: SqlStore, clock: list[datetime]
) -> None:
    run_id, known = with_pull(store), Expiries(store.database)
    assert known.queue_due() == 1
    known.look_again(run_id, NOON + timedelta(days=9))
    clock[0] += timedelta(hours=23)
    assert known.queue_due() == 0
    clock[0] += timedelta(hours=2)
    assert known.queue_due() == 1
    Inbox(store.database).close(run_id, "closed")
    clock[0] += timedelta(days=9)
    assert known.queue_due() == 0
    Inbox(store.database).reopen(run_id)
    assert store.stop_reason(run_id) == ""
    known.begin_anew(run_id)
    assert known.queue_due() == 1
    kept = known.get(run_id)
    assert kept is not None
    assert (kept.since, kept.reminded_at, kept.head) == (clock[0], None, "")
