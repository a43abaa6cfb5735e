"""Questions of runs: one answer is the first, and it lets the run go on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from agent.errors import LostLease
from agent.journal.events import QuestionAsked, RunEnded, now
from agent.journal.store import Answer
from app.admission.rows import read_queued_runs
from app.operations import run_control
from app.storage.questions import Questions
from app.storage.store import SqlStore
from tests.support.runs.stored import id_of, start, store, trigger, url

__all__ = ["store", "url"]

ISSUE = id_of("octo/calc"), 7


def question(hours: float = 24.0, number: int = 1) -> QuestionAsked:
    return QuestionAsked(
        number=number,
        call_id="c1",
        question="Which?",
        options=("this", "that"),
        default=1,
        due=now() + timedelta(hours=hours),
    )


def waiting(store: SqlStore, asked: QuestionAsked | None = None) -> tuple[str, SqlStore]:
    """A run that waits, with the lease of the worker that let it."""
    run_id, asked = start(store), asked or question()
    lease = store.claim(run_id, "w1")
    lease.set_running(run_id)
    Questions(store.database).put(run_id, *ISSUE, asked)
    lease.wait_for_answer(run_id, asked)
    store.requeue(run_id)
    return run_id, lease


def unqueued(store: SqlStore) -> list[str]:
    return [run.id for run in store.unqueued()]


def test_a_waiting_run_is_nobodys_until_it_is_answered(store: SqlStore) -> None:
    run_id, _ = waiting(store)
    run = store.get_run(run_id)
    assert (run.status, run.owner) == ("waiting", "")
    assert (unqueued(store), store.not_enqueued(run_id)) == ([], None)
    assert store.answer(run_id, question()) is None
    # It is live, so that its issue begins no other, but holds nobody up.
    assert store.accept("d2", "issues", trigger(), model="m").run_id == run_id
    with store.database.connect() as connection:
        [counted] = read_queued_runs(connection, now())
    assert not counted.live
    assert not counted.working

    assert Questions(store.database).answer(run_id, 1, Answer(option=2, author="ann"), "k")
    assert store.get_run(run_id).status == "queued"
    assert unqueued(store) == [run_id]
    assert store.answer(run_id, question()) == Answer(option=2, author="ann")


def test_after_its_time_it_is_in_line_and_takes_the_default(store: SqlStore) -> None:
    asked = question(hours=-1)
    run_id, _ = waiting(store, asked)
    assert unqueued(store) == [run_id]
    assert store.not_enqueued(run_id) is not None
    # An answer that comes before a worker does is still the first.
    questions = Questions(store.database)
    assert questions.answer(run_id, 1, Answer(option=2, author="ann"), "k")
    assert store.answer(run_id, asked) == Answer(option=2, author="ann")

    other = start(store, "d3", 8)
    questions.put(other, ISSUE[0], 8, asked)
    assert store.answer(other, asked) == Answer(option=1)
    assert not questions.answer(other, 1, Answer(option=2, author="ann"), "k2")
    assert store.answer(other, asked) == Answer(option=1)


def test_of_many_answers_at_once_one_is_the_first_and_may_come_again(store: SqlStore) -> None:
    run_id, _ = waiting(store)

    def answer(number: int) -> bool:
        own = Answer(option=1 + number % 2, author=f"p{number}", text="so\0")
        return Questions(store.database).answer(run_id, 1, own, f"k{number}")

    with ThreadPoolExecutor(8) as pool:
        first = [n for n, taken in enumerate(pool.map(answer, range(16))) if taken]
    [winner] = first
    kept = Questions(store.database).of_run(run_id)
    assert kept is not None
    assert kept.answer == Answer(option=1 + winner % 2, author=f"p{winner}", text="so")
    assert answer(winner), "the same once more, after a crash"
    assert Questions(store.database).answered_by(f"k{winner}") == kept
    assert Questions(store.database).answered_by("") is None


def test_an_answer_that_comes_while_the_worker_is_still_asking_is_not_missed(
    store: SqlStore,
) -> None:
    run_id = start(store)
    lease = store.claim(run_id, "w1")
    lease.set_running(run_id)
    questions = Questions(store.database)
    questions.put(run_id, *ISSUE, question())
    assert questions.answer(run_id, 1, Answer(option=1, author="ann"), "k")
    assert store.get_run(run_id).status == "running"
    lease.wait_for_answer(run_id, question())
    assert store.get_run(run_id).status == "queued"
    store.requeue(run_id)
    assert unqueued(store) == [run_id]


def test_who_lost_the_run_lets_nobody_wait(store: SqlStore) -> None:
    run_id, lease = waiting(store)
    store.claim(run_id, "w2")
    with pytest.raises(LostLease):
        lease.wait_for_answer(run_id, question())


def test_a_question_is_open_while_its_run_lives(store: SqlStore) -> None:
    run_id, _ = waiting(store)
    questions = Questions(store.database)
    questions.put(run_id, *ISSUE, question())  # again, after a crash
    questions.set_comment(run_id, 1, 77)
    kept = questions.open_at(*ISSUE)
    assert kept is not None
    assert (kept.run_id, kept.comment_id, kept.asked.question) == (run_id, 77, "Which?")
    assert questions.open_at(ISSUE[0], 8) is None
    assert questions.open_at(ISSUE[0] + 1, 7) is None

    store.request_stop(run_id)
    assert unqueued(store) == [run_id], "it ends at once"
    store.claim(run_id, "w2").finish(run_id, RunEnded(outcome="stopped", attempt=0))
    assert questions.open_at(*ISSUE) is None
    assert not questions.answer(run_id, 1, Answer(option=1, author="ann"), "k")
    assert questions.end(run_id) is not None
    assert questions.end(run_id) is None
    assert store.answer(run_id, question()) is None


def test_a_waiting_run_looks_again_when_it_is_woken(store: SqlStore) -> None:
    run_id, _ = waiting(store)
    Questions(store.database).wake(run_id)
    assert unqueued(store) == [run_id]
    assert store.answer(run_id, question()) is None


def test_an_operator_who_cancels_a_waiting_run_has_a_worker_end_it(store: SqlStore) -> None:
    run_id, _ = waiting(store)
    assert run_control.cancel(store, run_id) == "it is being stopped"
    assert unqueued(store) == [run_id]
    assert store.stop_reason(run_id)
