"""What is asked, and the rounds of runs, in the database; on PostgreSQL as well."""

from __future__ import annotations

import pytest

from agent.journal.events import RunEnded
from app.github.webhook_events import PullEnded, Pushed, Reviewed
from app.storage.inbox import Inbox, UnknownEvent
from app.storage.store import SqlStore
from tests.support.github.payloads import SOURCE, comment
from tests.support.runs.stored import start, store, trigger, url

__all__ = ["store", "url"]

PROVEN = RunEnded(attempt=0, outcome="proven", chosen_attempt=1, pull_request="https://x/pull/9")


def with_pull(store: SqlStore, delivery: str = "d1") -> str:
    """A run that is done and has pull request 9."""
    run_id = start(store, delivery)
    held = store.claim(run_id, "w")
    held.set_running(run_id)
    held.set_pull(run_id, 9)
    assert held.finish(run_id, PROVEN) is False
    store.mark_enqueued(store.get_run(run_id))
    return run_id


def test_an_event_is_kept_once_until_it_is_answered(store: SqlStore) -> None:
    inbox = Inbox(store.database)
    event = comment("NUL \0, \\u0000 and é")
    assert inbox.keep("a1", "issue_comment", event)
    assert not inbox.keep("a1", "issue_comment", event)
    assert inbox.get("a1") == event
    assert inbox.unqueued() == inbox.open_events() == ["a1"]
    inbox.mark_enqueued("a1")
    assert inbox.unqueued() == []
    inbox.mark_answered("a1", "done")
    assert (inbox.open_events(), inbox.answer_of("a1")) == ([], "done")
    assert inbox.known_deliveries(["a1", "a2"]) == {"a1"}
    with pytest.raises(UnknownEvent):
        inbox.get("a2")


def test_what_is_due_in_one_place_comes_in_order(store: SqlStore) -> None:
    inbox = Inbox(store.database)
    elsewhere = comment().model_copy(update={"issue_number": 8})
    for name, event in (("a3", comment()), ("a1", elsewhere), ("a2", comment()), ("a0", comment())):
        assert inbox.keep(name, "issue_comment", event)
    assert inbox.due("a2") == ["a3", "a2"]
    assert inbox.due("a0") == ["a3", "a2", "a0"]
    assert inbox.due("a1") == ["a1"]
    inbox.mark_answered("a3", "done")
    assert inbox.due("a0") == ["a2", "a0"]
    assert inbox.due("a3") == []
    with pytest.raises(UnknownEvent):
        inbox.due("a9")


def test_an_event_starts_one_run_and_joins_a_live_one(store: SqlStore) -> None:
    inbox = Inbox(store.database)
    first = inbox.start("a1", trigger(), model="m")
    assert first.how == "new"
    assert inbox.start("a1", trigger(), model="m").how == "duplicate"
    second = inbox.start("a2", trigger(), model="m")
    assert (second.run_id, second.how) == (first.run_id, "attached")
    assert inbox.live_run(5, 7) == inbox.latest_run(5, 7) == first.run_id
    assert inbox.live_run(5, 8) == inbox.latest_run(5, 8) == ""


def test_what_concerns_our_pull_requests(store: SqlStore) -> None:
    inbox = Inbox(store.database)
    ours, theirs = Reviewed(**SOURCE, pull_number=9), Reviewed(**SOURCE, pull_number=10)
    push = Pushed(**SOURCE, branch="main", after="a" * 40)
    assert [inbox.is_relevant(ours), inbox.is_relevant(theirs), inbox.is_relevant(push)] == [
        False
    ] * 3
    run_id = with_pull(store)
    assert [inbox.is_relevant(a) for a in (ours, theirs, push, comment())] == [
        True,
        False,
        True,
        True,
    ]
    assert inbox.run_of_pull(5, 9) == run_id
    assert inbox.runs_with_open_pulls(5) == [run_id]
    inbox.close(run_id, "merged")
    assert store.stop_reason(run_id) == "Its pull request was merged."
    assert inbox.runs_with_open_pulls(5) == []
    assert inbox.is_relevant(PullEnded(**SOURCE, pull_number=9, merged=True))
    assert not inbox.is_relevant(push)


def test_a_done_run_is_woken_to_another_round(store: SqlStore) -> None:
    inbox = Inbox(store.database)
    run_id = with_pull(store)
    store.request_stop(run_id)
    assert inbox.wake(run_id)
    run = store.get_run(run_id)
    assert (run.status, run.round, run.stop_requested) == ("queued", 2, False)
    assert [r.id for r in store.unqueued()] == [run_id]
    assert store.live() == {run_id}
    assert store.accept("d2", "issues", trigger(), model="m").run_id == run_id, "one live run"
    assert not inbox.wake(run_id), "it is queued already"
    held = store.claim(run_id, "w")
    assert held.finish(run_id, None), "woken meanwhile: at once another round"
    assert store.get_run(run_id).round == 3
    assert held.finish(run_id, None) is False
    run = store.get_run(run_id)
    assert (run.status, run.outcome, run.pull_request) == ("done", "proven", PROVEN.pull_request)
    inbox.close(run_id, "closed")
    assert not inbox.wake(run_id)
    assert store.get_run(run_id).status == "done"


def test_a_round_leaves_another_live_run_of_the_issue_alone(store: SqlStore) -> None:
    inbox = Inbox(store.database)
    run_id = with_pull(store)
    other = store.accept("d2", "issues", trigger(), model="m")
    assert other.how == "new"
    assert inbox.wake(run_id)
    assert store.live() == {run_id, other.run_id}
    assert inbox.live_run(5, 7) == other.run_id


def test_remarks_are_taken_up_once_and_requests_wait_for_a_round(store: SqlStore) -> None:
    inbox = Inbox(store.database)
    run_id = with_pull(store)
    inbox.request(run_id, "rerun", "a")
    inbox.request(run_id, "rerun", "a")
    inbox.mark_handled(run_id, 2, ["line:1", "check:4"])
    assert inbox.handled_before(run_id, 2) == {}, "a round that is repeated finds its own again"
    assert inbox.requested(run_id, "rerun", 2) == ["rerun:a"]
    inbox.mark_handled(run_id, 2, ["rerun:a", "line:1"])
    assert inbox.requested(run_id, "rerun", 2) == ["rerun:a"]
    assert inbox.requested(run_id, "rerun", 3) == []
    assert inbox.handled_before(run_id, 3) == {"line:1": 2, "check:4": 2, "rerun:a": 2}
    inbox.mark_handled(run_id, 3, [])


def test_a_hint_with_a_key_is_added_once(store: SqlStore) -> None:
    run_id = start(store)
    for _ in range(2):
        store.add_hint(run_id, "ann", "look there", key="a1")
        store.add_hint(run_id, "ann", "again")
    assert [h.text for h in store.hints(run_id)] == ["look there", "again", "again"]


def test_a_renamed_repository_is_the_same_one(store: SqlStore) -> None:
    inbox = Inbox(store.database)
    run_id = with_pull(store)
    renamed = {**SOURCE, "repository": "octo/sums", "installation_id": 12}
    review = Reviewed(**renamed, pull_number=9)
    assert inbox.is_relevant(review)
    assert inbox.keep("a1", "pull_request_review", review)
    run = store.get_run(run_id)
    assert (run.repository, run.installation_id) == ("octo/sums", 12)
    assert (run.trigger.repository, run.trigger.installation_id) == ("octo/sums", 12)
    assert inbox.run_of_pull(run.repository_id, 9) == run_id
    assert inbox.wake(run_id)
    asked = store.accept("d2", "issues", trigger(repository="octo/sums", repository_id=5), model="")
    assert (asked.run_id, asked.how) == (run_id, "attached")


def test_another_repository_of_the_same_name_continues_nothing(store: SqlStore) -> None:
    inbox = Inbox(store.database)
    old = with_pull(store)
    assert inbox.wake(old)
    fresh = trigger(repository_id=6)
    assert not inbox.is_relevant(Reviewed(**{**SOURCE, "repository_id": 6}, pull_number=9))
    asked = store.accept("d2", "issues", fresh, model="")
    assert asked.how == "new"
    assert store.get_run(asked.run_id).repository == "octo/calc"
    assert store.get_run(old).repository == "octo/calc.former.5"
    assert inbox.latest_run(6, 7) == asked.run_id
    assert inbox.run_of_pull(6, 9) == ""


def test_runs_of_a_private_time_are_marked(store: SqlStore) -> None:
    first = store.accept("d1", "issues", trigger(7), model="").run_id
    private = store.accept("d2", "issues", trigger(8, private=True), model="").run_id
    public = store.accept("d3", "issues", trigger(9, private=False), model="").run_id
    seen = [store.get_run(run).visibility for run in (first, private, public)]
    assert seen == ["asked", "asked", ""]
    store.open_pages(5)
    seen = [store.get_run(run).visibility for run in (first, private, public)]
    assert seen == ["opened", "opened", ""]
