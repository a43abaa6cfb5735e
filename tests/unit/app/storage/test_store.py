"""The database store, on SQLite files; the same checks run on PostgreSQL in tests/integration."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent.errors import LostLease
from agent.journal.events import RunEnded, RunPhase, ToolFinished
from app.storage import tables
from app.storage.records import RunFilter, UnknownRun, run_id_for
from app.storage.store import SqlStore
from tests.support.runs.stored import start, store, trigger, url

__all__ = ["store", "url"]


def test_events_come_back_as_they_were_and_in_order(store: SqlStore) -> None:
    run_id = start(store)
    event = ToolFinished(call_id="c1", name="bash", status="ok", output="a\x00b \u2028 ü")
    first = store.append(run_id, [RunPhase(phase="preparing"), event])
    second = store.append(run_id, [RunEnded(outcome="failed")])
    assert [r.seq for r in (*first, *second)] == [0, 1, 2]
    assert tuple(store.events(run_id)) == (*first, *second)
    assert store.events(run_id, after=1) == list(second)
    assert store.events(run_id, after=-1, limit=1) == [first[0]]
    assert store.append(run_id, []) == ()


def test_the_newest_events_of_some_types_are_read_and_no_text_is_taken_for_one(
    store: SqlStore,
) -> None:
    run_id = start(store)
    posing = ToolFinished(call_id="c", name="b", status="ok", output='{"type":"run_phase"}')
    phases = [RunPhase(phase=f"{number}") for number in range(4)]
    ended = RunEnded(outcome="failed")
    store.append(run_id, [*phases[:2], posing, *phases[2:], ended])
    assert store.newest_of(run_id, ["run_phase"], 3) == phases[1:]
    assert store.newest_of(run_id, ["run_phase", "run_ended"], 2) == [phases[3], ended]
    assert store.newest_of("nope", ["run_phase"], 3) == []


def test_what_an_issues_other_runs_kept_is_found(store: SqlStore) -> None:
    def kept(delivery: str, number: int, log: str) -> str:
        run_id = start(store, delivery, number)
        lease = store.claim(run_id, "w")
        lease.put_log(run_id, log, delivery.encode())
        lease.finish(run_id, RunEnded(outcome="stopped", attempt=0))
        return run_id

    for delivery, number, log in (("a", 7, "l"), ("b", 8, "l"), ("c", 7, "m"), ("d", 7, "l")):
        kept(delivery, number, log)
    own, place = kept("e", 7, "l"), trigger(7).repository_id
    assert store.logs_of_issue(place, 7, "l", 9, but=own) == [b"d", b"a"]
    assert store.logs_of_issue(place, 7, "l", 1, but=own) == [b"d"]
    assert store.logs_of_issue(place + 1, 7, "l", 9, but=own) == []


def test_an_unknown_run_is_refused(store: SqlStore) -> None:
    for act in (
        lambda: store.append("nope", [RunPhase(phase="x")]),
        lambda: store.put_log("nope", "l", b""),
        lambda: store.claim("nope", "w"),
        lambda: store.get_run("nope"),
        lambda: store.request_stop("nope"),
        lambda: store.add_hint("nope", "a", "t"),
        lambda: store.finish("nope", RunEnded(outcome="failed")),
    ):
        with pytest.raises(UnknownRun):
            act()
    assert store.events("nope") == []


def test_who_lost_the_lease_can_write_nothing(store: SqlStore) -> None:
    run_id = start(store)
    first = store.claim(run_id, "worker-0")
    first.append(run_id, [RunPhase(phase="by the first")])
    second = store.claim(run_id, "worker-1")
    for stale in (store, first):
        with pytest.raises(LostLease):
            stale.append(run_id, [RunPhase(phase="late")])
        with pytest.raises(LostLease):
            stale.put_log(run_id, "l", b"late")
        with pytest.raises(LostLease):
            stale.append(run_id, [RunPhase(phase="late")], {"l": b"late"})
        with pytest.raises(LostLease):
            stale.finish(run_id, RunEnded(outcome="failed"))
        assert not stale.holds(run_id)
    second.append(run_id, [RunPhase(phase="by the second")])
    assert second.holds(run_id)
    assert [r.event.phase for r in store.events(run_id) if isinstance(r.event, RunPhase)] == [
        "by the first",
        "by the second",
    ]
    assert store.get_log(run_id, "l") is None


def test_a_failed_append_leaves_no_gap(store: SqlStore) -> None:
    run_id = start(store)
    store.append(run_id, [RunPhase(phase="a")])
    database = store.database
    with database.begin() as connection:  # a row that makes the next insert fail half-way
        connection.execute(
            sa.insert(tables.events).values(run_id=run_id, seq=2, at=0, body='{"type":"run_ended"}')
        )
    with pytest.raises(sa.exc.IntegrityError):
        store.append(run_id, [RunPhase(phase="b"), RunPhase(phase="c")], {"with-it": b"x"})
    assert store.get_log(run_id, "with-it") is None
    with database.begin() as connection:
        connection.execute(sa.delete(tables.events).where(tables.events.c.seq == 2))
    assert store.append(run_id, [RunPhase(phase="d")])[0].seq == 1


def test_logs_are_kept_whole_and_replaced(store: SqlStore) -> None:
    run_id = start(store)
    data = b"\x00\xff" * 500_000
    store.put_log(run_id, "log-1", b"first")
    store.put_log(run_id, "log-1", data)
    assert store.get_log(run_id, "log-1") == data
    assert store.get_log(run_id, "log-2") is None
    store.append(run_id, [RunPhase(phase="a")], {"log-1": b"third", "log-2": b""})
    assert (store.get_log(run_id, "log-1"), store.get_log(run_id, "log-2")) == (b"third", b"")
    store.put_log(run_id, "log-1", data)
    store.append(run_id, [RunPhase(phase="b")], {"log-2": data})
    with store.database.connect() as connection:
        sizes = connection.execute(sa.select(sa.func.length(tables.logs.c.data))).scalars().all()
    assert len(sizes) == 2 and max(sizes) < len(data) / 50


def test_hints_and_stop(store: SqlStore) -> None:
    run_id = start(store)
    assert not store.stop_reason(run_id)
    store.add_hint(run_id, "ann", "look at \0parse()")
    store.add_hint(run_id, "bob", "second")
    hints = store.hints(run_id)
    assert [(h.author, h.text) for h in hints] == [("ann", "look at parse()"), ("bob", "second")]
    assert store.hints(run_id, after=hints[0].id) == hints[1:]
    store.request_stop(run_id)
    assert store.stop_reason(run_id) == "A person stopped the run."


def test_one_run_per_delivery_and_one_live_run_per_issue(store: SqlStore) -> None:
    first = store.accept("d1", "issues", trigger(), model="offline")
    again = store.accept("d1", "issues", trigger(), model="offline")
    labelled_again = store.accept("d2", "issues", trigger(), model="offline")
    other = store.accept("d3", "issues", trigger(8), model="offline")
    assert first.how == "new"
    assert (again.how, again.run_id) == ("duplicate", first.run_id)
    assert (labelled_again.how, labelled_again.run_id) == ("attached", first.run_id)
    assert other.how == "new"
    repeated = store.accept("d2", "issues", trigger(), model="offline")
    assert (repeated.how, repeated.run_id) == ("duplicate", first.run_id)
    mine = store.claim(first.run_id, "w")
    mine.set_running(first.run_id)
    ended = RunEnded(outcome="proven", pull_request="https://example.test/pull/1")
    mine.finish(first.run_id, ended)
    assert [r.event for r in store.events(first.run_id)] == [ended]
    assert store.live() == {other.run_id}
    later = store.accept("d4", "issues", trigger(), model="offline")
    assert later.how == "new"
    assert later.run_id != first.run_id
    run = store.get_run(first.run_id)
    assert (run.status, run.outcome, run.pull_request, run.owner) == (
        "done",
        "proven",
        "https://example.test/pull/1",
        "w",
    )
    assert run.trigger == trigger()


def test_run_ids_depend_on_all_three_and_are_safe_in_urls() -> None:
    base = run_id_for("Octo/Calc", 7, "d1")
    assert base == run_id_for("octo/calc", 7, "d1")
    others = {run_id_for("octo/calc2", 7, "d1"), run_id_for("octo/calc", 8, "d1")}
    assert len({base, run_id_for("octo/calc", 7, "d2"), *others}) == 4
    assert base.isalnum()
    assert base == base.lower()
    assert len(base) == 16


def test_the_outbox_forgets_what_was_enqueued(store: SqlStore) -> None:
    one, two = start(store, "d1", 1), start(store, "d2", 2)
    assert [r.id for r in store.unqueued()] == [one, two]
    store.mark_enqueued(store.get_run(one))
    store.mark_enqueued(store.get_run(one))
    assert [r.id for r in store.unqueued()] == [two]


def test_listing_pages_newest_first_and_filters(store: SqlStore) -> None:
    ids = [start(store, f"d{n}", n) for n in range(1, 8)]
    store.finish(ids[0], RunEnded(outcome="proven"))
    page = store.list_runs(limit=3)
    seen = [r.id for r in page.runs]
    while page.next:
        page = store.list_runs(cursor=page.next, limit=3)
        seen += [r.id for r in page.runs]
    assert seen == ids[::-1]
    assert [r.id for r in store.list_runs(RunFilter(status="done")).runs] == [ids[0]]
    assert store.list_runs(RunFilter(repository="no/body")).runs == ()
    assert len(store.list_runs(cursor="'; drop table runs;--").runs) == 7
    assert store.count_runs() == {("done", "proven"): 1, ("queued", ""): 6}


def test_many_threads_accept_one_delivery_once(store: SqlStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(
            pool.map(lambda _: store.accept("d1", "issues", trigger(), model="m"), range(16))
        )
    assert sorted(o.how for o in outcomes).count("new") == 1
    assert len({o.run_id for o in outcomes}) == 1
    assert sum(store.count_runs().values()) == 1


def _append_many(url: str, run_id: str, count: int) -> None:
    store = SqlStore(url)
    for n in range(count):
        store.append(run_id, [RunPhase(phase=str(n)), RunPhase(phase=str(n))])


def test_several_processes_append_without_gaps(url: str, store: SqlStore) -> None:
    run_id = start(store)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_many, args=(url, run_id, 25)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert [r.seq for r in store.events(run_id)] == list(range(150))


def test_the_file_is_in_wal_mode_and_private(url: str, store: SqlStore) -> None:
    store.ping()
    with store.database.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    run_id = start(store)
    for _ in range(2):  # a journal does not wait for the disk, and all that comes after it does
        store.append(run_id, [RunPhase(phase="a")])
        with store.database.begin() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    assert Path(sa.make_url(url).database or "").parent.stat().st_mode & 0o077 == 0
