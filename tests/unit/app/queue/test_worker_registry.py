"""Signs of life: what an outage of the database says of the others, and what ends no thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from app.queue import takeover, worker_registry
from app.queue.worker_registry import OwnHeartbeats
from app.storage.store import SqlStore
from app.storage.tables import workers


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_who_was_not_heard_itself_does_not_judge_the_silence_of_others() -> None:
    own_beats = OwnHeartbeats(0.0, 0.0)
    assert not own_beats.can_judge_others(44, 45), "just started: an outage may be why"
    for moment in range(5, 51, 5):
        own_beats = own_beats.after_beat(float(moment), 45)
    assert own_beats.can_judge_others(52, 45)
    # Away for five minutes. The first look may come before the first sign of life.
    assert not own_beats.can_judge_others(350, 45)
    own_beats = own_beats.after_beat(351, 45)
    assert not own_beats.can_judge_others(352, 45)
    for moment in range(356, 400, 5):
        own_beats = own_beats.after_beat(float(moment), 45)
    assert not own_beats.can_judge_others(396, 45)
    assert own_beats.after_beat(401, 45).can_judge_others(401, 45)


@dataclass(frozen=True)
class Left:
    workflow_id: str
    executor_id: str
    queue_name: str = "runs"


@dataclass
class Engine:
    left: list[Left]
    resumed: list[str] = field(default_factory=list)

    def list_workflows(self, **_: object) -> list[Left]:
        return self.left

    def resume_workflows(self, workflow_ids: list[str], *, queue_name: str | None) -> None:
        self.resumed += workflow_ids


def test_after_an_outage_only_the_work_of_those_that_left_is_taken(store: SqlStore) -> None:
    for name in "abc":
        worker_registry.register(store.database, name)
    worker_registry.register(store.database, "d").leave()
    with store.database.begin() as connection:  # for five minutes nobody could beat
        earlier = workers.c.beat_at - 300_000_000
        connection.execute(sa.update(workers).values(beat_at=earlier))
    engine = Engine([Left("r1", "b"), Left("r2", "d")])
    assert takeover.sweep(store.database, lambda: engine, 45, mark_dead=False) == ["r2"]
    assert {worker.id for worker in worker_registry.list_workers(store.database)} == {"a", "b", "c"}
    assert takeover.sweep(store.database, lambda: engine, 45) == ["r1", "r2"]
    assert engine.resumed == ["r2", "r1", "r2"]


def test_an_outage_is_followed_by_a_while_without_burials(store: SqlStore) -> None:
    registration = worker_registry.register(store.database, "a")
    looks: list[tuple[float, bool]] = []
    away = "ALTER TABLE workers RENAME TO away"
    with worker_registry.heartbeats(
        registration,
        0.02,
        0.6,
        lambda: None,
        lambda mark_dead: looks.append((time.monotonic(), mark_dead)),
    ):
        until(lambda: bool(looks) and looks[-1][1])
        with store.database.begin() as connection:
            connection.exec_driver_sql(away)
        time.sleep(1.0)
        with store.database.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO workers")
        back = time.monotonic()
        until(lambda: looks[-1][0] > back and looks[-1][1])
    after = [moment for moment, mark_dead in looks if moment > back and mark_dead]
    assert after[0] - back > 0.55


def test_no_error_and_no_sweep_that_hangs_ends_the_signs_of_life(store: SqlStore) -> None:
    beats = 0
    go_on, told = threading.Event(), threading.Event()

    @dataclass(frozen=True, slots=True)
    class Counted(worker_registry.WorkerRegistration):
        def beat(self) -> worker_registry.State:
            nonlocal beats
            beats += 1
            if beats == 2:
                raise RuntimeError("none of the database's errors")
            return "draining"

    def drained() -> None:
        told.set()
        raise ValueError("whatever it is")

    sweeps = 0

    def sweep(_mark_dead: bool) -> None:
        nonlocal sweeps
        sweeps += 1
        if sweeps == 3:
            go_on.wait(30)
        raise KeyError("an error of the engine")

    registered = worker_registry.register(store.database, "a")
    registration = Counted(registered.database, registered.worker_id, registered.incarnation)
    with worker_registry.heartbeats(registration, 0.01, 1, drained, sweep):
        until(lambda: sweeps == 3 and told.is_set())
        reached = beats
        until(lambda: beats > reached + 10)
        go_on.set()
        until(lambda: sweeps > 5)
    assert worker_registry.list_workers(store.database) == []
