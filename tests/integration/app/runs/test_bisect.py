"""A run looks for the commit that broke it, and its pull request names it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.bisection.bisect import CannotRun
from agent.journal.events import (
    AttemptEnded,
    AttemptStarted,
    CommitTried,
    CulpritSearched,
    Event,
    ModelTurned,
    Recorded,
    now,
)
from agent.model import Model, Turn
from app.runs import crash_limit, trees
from app.runs.active_run import ActiveRun
from app.runs.commits.past import RunPast, past_of
from app.runs.culprit_search import look_for_culprit
from app.runs.first_round import prepare
from app.runs.journal_progress import progress
from app.runs.results import Prepared
from app.server.workflow_engine import running_engine
from app.storage.controls import DEATHS
from sandbox.errors import SandboxError
from tests.doubles.seeded_policy import FILES, RIGHT, WRONG
from tests.support.runs.lifecycle import check_journal, ended, start
from tests.support.runs.stored import trigger
from tests.support.runs.world import HeldModel, RunWorld, git, make_remote


class Bisecting(HeldModel):
    """Looks for the commit as soon as the bug was seen."""

    def call(self, step: int) -> tuple[str, Mapping[str, Any] | str]:
        if step == 1:
            return "bisect", {}
        return super().call(step if step == 0 else step - 1)


class World(RunWorld):
    def model(self, _run_id: str, seed: int, _waiting: object, _looking: bool) -> Model:
        model = Bisecting(seed, self.steps, slow_commands=False)
        model.hold = self.folder / "hold"
        return model


def remote(path: Path) -> None:
    """Four commits, of which the third breaks it."""
    price = FILES["shop/prices.py"].replace(WRONG, RIGHT)
    make_remote(path, FILES | {"shop/prices.py": price})
    for number, (name, text) in enumerate(
        (("a.txt", "a"), ("shop/prices.py", FILES["shop/prices.py"]), ("b.txt", "b"))
    ):
        subject = f"Change <b>{number}</b>"
        git(
            path,
            "fast-import",
            "--quiet",
            stdin=f"commit refs/heads/main\ncommitter Eve <e@b> 1700000{number}00 +0000\n"
            f"data {len(subject)}\n{subject}\nfrom refs/heads/main^0\n"
            f"M 100644 inline {name}\ndata {len(text)}\n{text}\n",
        )


def test_the_pull_request_names_the_commit(tmp_path: Path) -> None:
    remote(tmp_path / "remote.git")
    world = World(tmp_path)
    run_id = start(world)
    with running_engine(world.services()):
        run = ended(world, run_id)
    assert run.outcome == "proven"
    check_journal(world, run_id)
    culprit = git(world.remote, "rev-parse", "main~1").strip()
    events = [recorded.event for recorded in world.store.events(run_id)]
    (found,) = [event for event in events if isinstance(event, CulpritSearched)]
    assert (found.finding, found.commit) == ("found", culprit)
    assert any(isinstance(event, CommitTried) for event in events)
    with world.forge.world() as forge:
        (pull,) = forge["pulls"].values()
    assert (
        f"Introduced by [`{culprit[:12]}`](https://github.com/octo/calc/commit/{culprit})"
        in pull["body"]
    )
    assert "<b>" not in pull["body"]
    assert list((tmp_path / "state" / "trees").iterdir()) == []


def test_only_the_commit_is_looked_for(tmp_path: Path) -> None:
    remote(tmp_path / "remote.git")
    world = RunWorld(tmp_path)
    asked = trigger().model_copy(update={"by": "command", "goal": "culprit"})
    with world.forge.world() as forge:
        forge["set"]["role"] = "write"
    run_id = world.store.accept("d1", "issue_comment", asked, model="seeded").run_id
    with running_engine(world.services()):
        run = ended(world, run_id)
    assert (run.outcome, run.pull_request) == ("diagnosis", "")
    check_journal(world, run_id)
    culprit = git(world.remote, "rev-parse", "main~1").strip()
    with world.forge.world() as forge:
        assert forge["pulls"] == {}
        (said,) = (text for marker, text in forge["comments"].items() if "diagnosis" in marker)
    assert (
        f"Introduced by [`{culprit[:12]}`](https://github.com/octo/calc/commit/{culprit})" in said
    )
    assert "<b>" not in said
    assert "### What was tried" not in said
    assert list((tmp_path / "state" / "trees").iterdir()) == []


class _Died(BaseException):
    """The worker's process."""


class Deadly(HeldModel):
    """Kills the worker at its turn."""

    async def turn(self, *_: object) -> Turn:
        raise _Died


class Silent(HeldModel):
    """Says what it thinks, and calls no tool."""

    async def turn(self, *_: object) -> Turn:
        return Turn(content="The issue does not say what should happen.")


class Looking(RunWorld):
    """A run that only looks for the commit, with a model of this kind."""

    def __init__(self, folder: Path, kind: type[HeldModel]) -> None:
        remote(folder / "remote.git")
        super().__init__(folder)
        self._kind = kind
        asked = trigger().model_copy(update={"by": "command", "goal": "culprit"})
        self.run_id = self.store.accept("d1", "issue_comment", asked, model="seeded").run_id

    def model(self, _run_id: str, seed: int, _waiting: object, _looking: bool) -> Model:
        model = self._kind(seed, self.steps, slow_commands=False)
        model.hold = self.folder / "hold"
        return model

    def taken_over(self) -> tuple[ActiveRun, str]:
        """The run as the next worker has it, and why that must park it."""
        before = self.store.get_run(self.run_id)
        store = self.store.claim(self.run_id, self.settings.executor)
        parked = crash_limit.why_parked(store, before)
        store.set_running(self.run_id)
        return ActiveRun(self.services(), store, store.get_run(self.run_id), self.forge), parked

    def count(self, kind: type[Event]) -> int:
        """How many events of a kind its journal has."""
        return sum(isinstance(kept.event, kind) for kept in self.store.events(self.run_id))


async def test_a_search_that_always_dies_at_the_same_point_is_parked(tmp_path: Path) -> None:
    world = Looking(tmp_path, Deadly)
    run, parked = world.taken_over()
    prepared = await prepare(run)
    assert isinstance(prepared, Prepared)
    for _ in range(DEATHS):
        assert not parked
        with pytest.raises(_Died):
            await look_for_culprit(run, prepared)
        run, parked = world.taken_over()
    assert "was parked" in parked
    assert world.count(AttemptStarted) == 1


async def test_a_search_that_ended_is_not_begun_again(tmp_path: Path) -> None:
    world = Looking(tmp_path, Silent)
    run, _ = world.taken_over()
    prepared = await prepare(run)
    assert isinstance(prepared, Prepared)
    first = await look_for_culprit(run, prepared)
    turns = world.count(ModelTurned)
    again = await look_for_culprit(world.taken_over()[0], prepared)  # its result was lost
    assert first == again
    assert world.count(ModelTurned) == turns > 0
    assert world.count(AttemptEnded) == 1


def test_each_tried_commit_is_progress() -> None:
    tried = CommitTried(commit="c" * 40, outcome="good")
    journal = [Recorded(seq=n, at=now(), event=tried) for n in range(2)]
    assert progress(journal[:1]) < progress(journal)


@pytest.mark.long
def test_a_repository_that_wants_no_history_has_none(tmp_path: Path) -> None:
    remote(tmp_path / "remote.git")
    world = World(tmp_path, history=False)
    run_id = start(world)
    with running_engine(world.services()):
        run = ended(world, run_id)
    assert run.outcome == "proven"
    events = [recorded.event for recorded in world.store.events(run_id)]
    assert not any(isinstance(event, CulpritSearched) for event in events)
    assert not (tmp_path / "state" / "histories").exists()


def at_work(world: RunWorld, number: int, **services: Any) -> ActiveRun:
    """A run that this worker is at, which was just begun."""
    run_id = start(world, f"d{number}", number)
    store = world.store.claim(run_id, world.settings.executor)
    store.set_running(run_id)
    return ActiveRun(world.services(**services), store, store.get_run(run_id), world.forge)


async def past_of_main(run: ActiveRun, world: RunWorld) -> RunPast:
    """The history of the remote's branch."""
    clone_url = str(world.remote)
    commit = git(world.remote, "rev-parse", "main").strip()
    base = world.folder / "base.tar"
    (await trees.mirror_with(run, commit, clone_url)).tree_tar(commit, base)
    past = await past_of(run, commit, clone_url, base)
    assert past is not None
    return past


async def test_a_search_takes_only_places_that_no_other_run_has(tmp_path: Path) -> None:
    world = RunWorld(tmp_path, worker_concurrency=4, bisect_sandboxes=3)
    past = await past_of_main(at_work(world, 1), world)
    assert past.places == 3, "never more than the setting"
    others = [at_work(world, number) for number in (2, 3)]
    assert past.places == 2
    at_work(world, 4)
    assert past.places == 1
    for other in others:
        other.store.finish(other.record.id, None)
    assert past.places == 3
    world.store.claim(at_work(world, 5).record.id, "another worker")
    assert past.places == 3


async def test_searches_share_the_places(tmp_path: Path) -> None:
    world = RunWorld(tmp_path, worker_concurrency=4, bisect_sandboxes=2)
    services = world.services()
    first, second = (at_work(world, number) for number in (1, 2))
    pasts = [await past_of_main(replace(run, services=services), world) for run in (first, second)]
    assert [past.places for past in pasts] == [2, 2]
    tried: list[int] = []
    let_go = asyncio.Event()

    async def one(number: int) -> None:
        async with pasts[number % 2].turn():
            tried.append(number)
            await let_go.wait()

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(one(number))
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(tried) == 2
        let_go.set()
    assert sorted(tried) == [0, 1, 2, 3]


async def test_a_set_up_that_fails_leaves_no_tree_behind(tmp_path: Path) -> None:
    remote(tmp_path / "remote.git")
    world = RunWorld(tmp_path)
    git(
        world.remote,
        "fast-import",
        "--quiet",
        stdin="commit refs/heads/main\ncommitter Eve <e@b> 1700001000 +0000\ndata 1\nx\n"
        "from refs/heads/main^0\nM 100644 inline requirements.txt\ndata 2\nx\n\n",
    )

    async def fails(*_: object) -> None:
        raise SandboxError("no such package")

    past = await past_of_main(at_work(world, 1, prepare=fails), world)
    with pytest.raises(CannotRun, match="no such package"):
        await past.open(past.commits[1].id)
    assert list((tmp_path / "state" / "trees").iterdir()) == []
