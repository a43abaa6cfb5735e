"""Two workers on one PostgreSQL: processes that freeze, die, drain, and share what there is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from agent.errors import LostLease
from agent.journal.events import ModelTurned, RunEnded, RunPhase, SandboxOpened
from app.github.webhooks import Trigger
from app.queue import worker_registry
from app.queue.client import workflow_client
from app.storage.records import Run
from app.storage.store import SqlStore
from tests.support.runs.lifecycle import check_journal, ended, held, start, until
from tests.support.runs.stored import trigger
from tests.support.runs.world import RunWorld

ROOT = Path(__file__).parents[4]
REPOSITORIES = ("octo/one", "octo/two", "octo/three", "octo/four")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
WORKER = """
import json, signal, sys, threading
from pathlib import Path
from app.telemetry import logs
from app.server.lifecycle import running_worker
from tests.support.runs.world import RunWorld
folder, name, url, more = sys.argv[1:]
logs.configure("warning", "text")
world = RunWorld(
    Path(folder), database_url=url, executor_id=name,
    worker_beat_s=0.5, worker_dead_after_s=4, **json.loads(more),
)
stop, drain = threading.Event(), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
def drained():
    drain.set()
    stop.set()
    print("draining", flush=True)
with running_worker(world.services(), drained) as durable:
    print("up", flush=True)
    while not stop.wait(0.2):
        durable.flush_outbox()
    if drain.is_set():
        durable.patience_s = 120
"""


@pytest.fixture
def url(postgresql_database: str) -> str:
    return postgresql_database


@contextmanager
def worker(
    folder: Path, name: str, url: str, steps: int = 40, **more: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as a process group of its own, once it is up."""
    own, words = folder / name, json.dumps({"steps": steps, **more})
    own.mkdir(exist_ok=True)
    for shared in ("remote.git", "forge.json", "hold"):
        if not (own / shared).is_symlink():
            (own / shared).symlink_to(folder / shared)
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                WORKER,
                str(own),
                name,
                url,
                words,
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"up\n", (folder / f"{name}.log").read_text()
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def world_of(folder: Path, url: str) -> RunWorld:
    world = RunWorld(folder, database_url=url)
    with world.forge.world():
        pass
    return world


def owner(world: RunWorld, run_id: str) -> str:
    return world.store.get_run(run_id).owner


def events(world: RunWorld, run_id: str) -> int:
    return world.store.get_run(run_id).events


@pytest.mark.long
def test_a_frozen_worker_is_taken_over_and_its_later_writes_are_refused(
    url: str, tmp_path: Path
) -> None:
    world = world_of(tmp_path, url)
    world.hold(15)
    with worker(tmp_path, "a", url, steps=60) as frozen:
        run_id = start(world)
        until(lambda: held(world, run_id, 15))
        os.killpg(frozen.pid, signal.SIGSTOP)
        world.let_go()
        with worker(tmp_path, "b", url, steps=60):
            until(lambda: owner(world, run_id) == "b")
            os.killpg(frozen.pid, signal.SIGCONT)
            run = ended(world, run_id)
            log = tmp_path / "a.log"
            until(lambda: "taken over" in log.read_text())
            frozen.terminate()  # and it has written whatever it wanted to
            frozen.wait(60)
    assert run.outcome == "proven"
    assert run.owner == "b"
    check_journal(world, run_id)
    # The sandbox was built again from the base and the last snapshot.
    reasons = [
        e.event.reason for e in world.store.events(run_id) if isinstance(e.event, SandboxOpened)
    ]
    assert reasons == ["start", "rebuilt"]
    assert isinstance(world.store.events(run_id)[-1].event, RunEnded)
    with world.forge.world() as forge:
        assert len(forge["pulls"]) == 1
        assert forge["acts"].count("open pull") == 1
    assert len(world.branches()) == 2
    stale = world.store.claim(run_id, "x")
    world.store.claim(run_id, "y")
    with pytest.raises(LostLease):
        stale.append(run_id, [RunPhase(attempt=0, phase="late")])


def test_a_killed_workers_runs_go_on_at_another_and_drain_lets_runs_end(
    url: str, tmp_path: Path
) -> None:
    world = world_of(tmp_path, url)
    world.hold(12)
    with worker(tmp_path, "b", url) as second, worker(tmp_path, "a", url) as first:
        run_id = start(world)
        until(lambda: held(world, run_id, 12))
        holder = owner(world, run_id)
        other = {"a": "b", "b": "a"}[holder]
        dead = {"a": first, "b": second}[holder]
        os.killpg(dead.pid, signal.SIGKILL)
        dead.wait()
        until(lambda: owner(world, run_id) == other)
        # Now the other one is told to drain: it ends its run, takes none, and goes.
        assert worker_registry.drain(world.store.database, other)
        left = {"a": first, "b": second}[other]
        assert left.stdout is not None
        assert left.stdout.readline() == b"draining\n"
        again = start(world, "d2", number=8)
        world.let_go()
        assert ended(world, run_id).outcome == "proven"
        assert left.wait(60) == 0
        assert world.store.get_run(again).status == "queued"
        assert worker_registry.list_workers(world.store.database) == []
    with worker(tmp_path, "a", url):
        assert ended(world, again).outcome == "proven"
    check_journal(world, run_id)
    check_journal(world, again)


def test_two_workers_of_one_name_are_refused(url: str, tmp_path: Path) -> None:
    world = world_of(tmp_path, url)
    store = world.store
    with (
        worker_registry.hold_name(store.database, "a"),
        pytest.raises(worker_registry.NameTaken, match="another live worker is named a"),
        worker_registry.hold_name(store.database, "a"),
    ):
        pass
    with worker_registry.hold_name(store.database, "a"):  # free again
        pass


@pytest.mark.long
def test_queues_keep_their_limits_and_people_go_first(url: str, tmp_path: Path) -> None:
    """Three at once in all, two of a worker, one of a repository; a service puts them in."""
    world = world_of(tmp_path, url)
    with world.forge.world() as known_there:
        known_there["set"]["role"] = "write"
        known_there["files"] = {".github/patchwright.yml": "triggers: {failed_check: true}"}
    limits = {"concurrency": 3, "repository_concurrency": 1, "worker_concurrency": 2}
    ids: dict[str, list[str]] = {name: [] for name in REPOSITORIES}
    with worker(tmp_path, "a", url, 12, **limits):
        pass  # makes the engine's tables
    with workflow_client(world.settings, world.store) as client:
        assert client.ready
        for number in range(1, 4):
            for name, known in ids.items():
                # Automatic ones were asked for first.
                by = "command" if number == 3 else "failed_check"
                known.append(accept(world.store, f"{name}-{number}", name, number, by))
                client.enqueue(known[-1])

    def runs() -> tuple[Run, ...]:
        return world.store.list_runs(limit=50).runs

    world.hold(1)
    with worker(tmp_path, "a", url, 12, **limits), worker(tmp_path, "b", url, 12, **limits):
        until(lambda: sum(held(world, run.id, 1) for run in runs()) == 3)
        begun = [run for run in runs() if run.status != "queued"]
        world.let_go()
        until(
            lambda: all(run.status == "done" for run in runs() if run.trigger.by == "command"), 240
        )
    assert len(begun) == 3
    assert len({run.repository for run in begun}) == 3
    assert {run.trigger.by for run in begun} == {"command"}, "a person's command goes first"
    assert {run.owner for run in begun} == {"a", "b"}
    assert {run.outcome for run in runs() if run.trigger.by == "command"} == {"proven"}
    spans = {run.id: span for run in runs() if (span := worked(world, run.id))}
    assert side_by_side(spans.values()) == 3
    for known in ids.values():
        began = [run for run in known if run in spans]
        assert side_by_side(spans[run] for run in began) == 1
        assert min(began, key=lambda run: spans[run]) == known[2]


Span = tuple[datetime, datetime]


def worked(world: RunWorld, run_id: str) -> Span | None:
    """When the model was asked first, and last, as the journal has it; None: not yet."""
    asked = [r.at for r in world.store.events(run_id) if isinstance(r.event, ModelTurned)]
    return (asked[0], asked[-1]) if asked else None


def side_by_side(spans: Iterable[Span]) -> int:
    """The most at any moment."""
    known = list(spans)
    return max(sum(begin <= moment <= end for begin, end in known) for moment, _ in known)


def accept(store: SqlStore, delivery: str, repository: str, number: int, by: str) -> str:
    place = {"repository": repository, "repository_id": REPOSITORIES.index(repository) + 1}
    asked: Trigger = trigger(number).model_copy(update={**place, "by": by})
    return store.accept(delivery, "issues", asked, model="seeded").run_id


@pytest.mark.long
def test_nothing_is_swept_while_all_live(url: str, tmp_path: Path) -> None:
    world = world_of(tmp_path, url)
    with worker(tmp_path, "a", url, 30), worker(tmp_path, "b", url, 30):
        run_id = start(world)
        assert ended(world, run_id).outcome == "proven"
        assert world.store.get_run(run_id).epoch == 1
        with world.store.database.begin() as connection:
            assert worker_registry.alive(connection) == {"a", "b"}
            rows = connection.execute(sa.text("SELECT count(*) FROM audit")).scalar_one()
    assert rows == 0
