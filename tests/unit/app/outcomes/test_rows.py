"""When ended pull requests are looked at, by which of many workers, and until when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent.journal.events import RunEnded, now
from app.github.webhook_events import OutcomeDue, Pushed
from app.outcomes import rows
from app.outcomes.rows import Outcomes, PullOutcome
from app.storage.inbox import Inbox
from app.storage.store import SqlStore
from tests.support.runs.stored import trigger

AT = now()


def ended(store: SqlStore, how: Any = "merged") -> str:
    """A run whose pull request ended."""
    run_id = store.accept("d1", "issues", trigger(1), model="m").run_id
    lease = store.claim(run_id, "worker-0")
    lease.set_running(run_id)
    lease.set_pull(run_id, 5)
    lease.finish(run_id, RunEnded(attempt=0, outcome="proven", pull_request="u"))
    if how:
        Inbox(store.database).close(run_id, how)
    return run_id


def looks(store: SqlStore) -> int:
    """How many looks wait to be done."""
    inbox = Inbox(store.database)
    return sum(isinstance(inbox.get(each), OutcomeDue) for each in inbox.open_events())


def found(run_id: str, **more: Any) -> PullOutcome:
    times = {"opened_at": AT, "ended_at": AT + timedelta(hours=2)}
    whole = {"kind": "untouched", "commit": "a" * 40, "branch": "main", **times, **more}
    return PullOutcome(run_id=run_id, **whole)


def test_an_ended_pull_request_is_looked_at_once(store: SqlStore) -> None:
    run_id, outcomes = ended(store), Outcomes(store.database)
    assert (outcomes.queue_due(), outcomes.queue_due(), looks(store)) == (1, 0, 1)
    outcomes.keep(found(run_id))
    assert outcomes.get(run_id) == found(run_id)
    assert outcomes.get(run_id).hours == 2.0  # type: ignore[union-attr]
    assert outcomes.counts() == {"untouched": 1}
    outcomes.keep(found(run_id, reverted_by="b" * 40, reverted_at=AT))
    assert outcomes.counts() == {"reverted": 1}


def test_one_that_is_open_is_not_looked_at(store: SqlStore) -> None:
    ended(store, how="")
    assert Outcomes(store.database).queue_due() == 0


def test_a_merge_is_watched_for_90_days(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id, outcomes = ended(store), Outcomes(store.database)
    outcomes.queue_due()
    outcomes.keep(found(run_id))
    for days, due in ((0.5, 0), (1.1, 1), (1.2, 0)):
        monkeypatch.setattr(rows, "now", lambda days=days: AT + timedelta(days=days))
        assert outcomes.queue_due() == due, days
    monkeypatch.setattr(rows, "now", lambda: AT + timedelta(days=91))
    assert outcomes.queue_due() == 1
    outcomes.keep(found(run_id))
    monkeypatch.setattr(rows, "now", lambda: AT + timedelta(days=200))
    assert outcomes.queue_due() == 0


def test_a_push_that_says_revert_hurries_the_merges_of_its_branch(store: SqlStore) -> None:
    run_id, outcomes = ended(store), Outcomes(store.database)
    outcomes.queue_due()
    outcomes.keep(found(run_id))
    source = trigger(1).model_dump(
        include={"installation_id", "repository", "repository_id", "default_branch", "archived",
                 "sender", "sender_is_bot"}
    )  # fmt: skip
    push = Pushed(**source, branch="main", after="c" * 40, reverts=True)
    inbox = Inbox(store.database)
    assert inbox.is_relevant(push)
    assert not inbox.is_relevant(push.model_copy(update={"reverts": False}))
    assert not inbox.is_relevant(push.model_copy(update={"branch": "other"}))
    assert (outcomes.hurry(push.repository_id, "other"), outcomes.queue_due()) == (0, 0)
    assert (outcomes.hurry(push.repository_id, "main"), outcomes.queue_due()) == (1, 1)


def test_one_that_was_closed_and_is_merged_after_all_is_looked_at_again(store: SqlStore) -> None:
    run_id, outcomes = ended(store, "closed"), Outcomes(store.database)
    outcomes.queue_due()
    outcomes.keep(found(run_id, kind="closed", commit=""))
    assert outcomes.queue_due() == 0
    Inbox(store.database).close(run_id, "merged")
    assert (outcomes.queue_due(), outcomes.queue_due()) == (1, 0)
