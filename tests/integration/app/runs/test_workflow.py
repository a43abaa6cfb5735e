"""Runs through the real durable engine: real git, real journal, a forge in a file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ModelRefused
from agent.journal.events import AttemptEnded, RunEnded, RunPhase
from agent.model import Message, ToolSpec, Turn
from app.repo_config.effective import effective_config
from app.repo_config.schema import RepoConfig
from app.runs.attempts import TOKENS_LOG
from app.server.workflow_engine import running_engine
from tests.doubles.seeded_policy import SeededModel
from tests.support.agent.loops import Speaking
from tests.support.runs import kept
from tests.support.runs.lifecycle import check_journal, ended, held, start, until
from tests.support.runs.stored import trigger
from tests.support.runs.world import RunWorld, git


def check_databases(state: Path) -> None:
    """JSON and not pickle, WAL, and no secret."""
    for name in ("engine.db", "patchwright.db"):
        with sqlite3.connect(state / name) as connection:
            dump = "\n".join(connection.iterdump())
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert "secret-token" not in dump
        if name == "engine.db":
            assert "portable_json" in dump
            assert "base_commit" in dump


def test_a_label_becomes_a_pull_request(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    run_id = start(world)
    with running_engine(world.services()):
        run = ended(world, run_id)
    assert (run.outcome, run.pull_request) == ("proven", "https://web.test/pull/100")
    check_journal(world, run_id)
    with world.forge.world() as forge:
        (branch, pull), *others = forge["pulls"].items()
        status = forge["comments"][f"<!-- patchwright:status run={run_id} -->"]
        assert forge["acts"].count("react eyes") == 1
    assert others == []
    assert not pull["draft"]
    assert "Fixes #7" in pull["body"]
    assert "https://web.test/pull/100" in status
    changed = git(world.remote, "diff", "main", branch)
    assert "+    return amount - amount * discount / 100" in changed
    assert git(world.remote, "rev-list", "--count", f"main..{branch}").strip() == "1"
    phases = [r.event.phase for r in world.store.events(run_id) if isinstance(r.event, RunPhase)]
    assert phases == ["queued", "preparing", "debugging", "publishing"]
    assert world.sandboxes.kept == [frozenset()]
    assert list((tmp_path / "state" / "trees").iterdir()) == []
    check_databases(tmp_path / "state")


def test_a_stranger_gets_silence(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    with world.forge.world() as forge:
        forge["set"]["role"] = "read"
    run_id = start(world)
    with running_engine(world.services()):
        run = ended(world, run_id)
    assert run.outcome == "stopped"
    with world.forge.world() as forge:
        assert forge["comments"] == {}
        assert forge["pulls"] == {}
        assert "react eyes" not in forge["acts"]
    last = world.store.events(run_id)[-1].event
    assert isinstance(last, RunEnded)
    assert "triage" in last.diagnosis


def test_a_closed_issue_is_left_alone(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    with world.forge.world() as forge:
        forge["set"]["issue"] = "closed"
    run_id = start(world)
    with running_engine(world.services()):
        assert ended(world, run_id).outcome == "stopped"
    with world.forge.world() as forge:
        assert forge["comments"] == {}


def test_github_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    with world.forge.world() as forge:
        forge["set"]["away"] = 2
    run_id = start(world)
    with running_engine(world.services()):
        assert ended(world, run_id).outcome == "proven"


class BrokenModel(SeededModel):
    """A model whose server refuses, or that has a fault of its own."""

    error: Exception = ModelRefused("The model's server refused the key. Check the key.")

    async def turn(self, messages: list[Message], tools: list[ToolSpec]) -> Turn:  # type: ignore[override]
        raise self.error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModelRefused("The server refused the key ghp_" + "a" * 36), "refused the key"),
        (ZeroDivisionError("secret /root/path"), "internal error"),
    ],
)
def test_a_failure_becomes_an_honest_comment(tmp_path: Path, error: Exception, words: str) -> None:
    world = RunWorld(tmp_path)

    def model(_run_id: str, seed: int, _waiting: Any, _looking: bool) -> BrokenModel:
        broken = BrokenModel(seed, 10)
        broken.error = error
        return broken

    run_id = start(world)
    with running_engine(world.services(make_model=model)):
        run = ended(world, run_id)
    assert run.outcome == "failed"
    with world.forge.world() as forge:
        diagnosis = forge["comments"][f"<!-- patchwright:diagnosis run={run_id} -->"]
        assert forge["pulls"] == {}
    assert words in diagnosis
    for never in ("Traceback", "ZeroDivision", "/root/path", "ghp_"):
        assert never not in diagnosis
    # The issue may have another run now.
    assert world.store.accept("d2", "issues", trigger(), model="m").how == "new"


def test_the_dearer_model_follows_where_the_cheap_one_proves_nothing(tmp_path: Path) -> None:
    world = RunWorld(
        tmp_path, repo_models=("k2.5",), model="offline", model_url=("http://127.0.0.1:1/v1",)
    )
    asked = RepoConfig(ladder=("k2.5", "offline", "unknown"))
    models: list[int] = []

    def model(run_id: str, seed: int, waiting: Any, _looking: bool) -> Any:
        models.append(seed)
        return (
            Speaking(Turn(content="I do not know."))
            if seed == 0
            else world.model("", 0, waiting, False)
        )

    async def read_config(_forge: object) -> Any:
        return effective_config(world.settings, asked)

    run_id = start(world)
    with running_engine(world.services(make_model=model, read_config=read_config)):
        run = ended(world, run_id)
    assert (run.outcome, models) == ("proven", [0, 1])
    last = world.store.events(run_id)[-1].event
    assert isinstance(last, RunEnded)
    assert last.chosen_attempt == 2


def test_a_stop_ends_the_run(tmp_path: Path) -> None:
    world = RunWorld(tmp_path, steps=250)
    world.hold(12)
    run_id = start(world)
    with running_engine(world.services()):
        until(lambda: world.store.get_run(run_id).events > 20)
        world.store.request_stop(run_id)
        world.let_go()
        run = ended(world, run_id)
    assert run.outcome == "stopped"
    check_journal(world, run_id)
    with world.forge.world() as forge:
        assert forge["pulls"] == {}


def test_a_graceful_stop_leaves_the_run_to_the_next_start(tmp_path: Path) -> None:
    world = RunWorld(tmp_path, steps=40)
    world.hold(12)
    run_id = start(world)
    with running_engine(world.services()):
        until(lambda: world.store.get_run(run_id).events > 20)
    world.let_go()
    left = world.store.get_run(run_id)
    assert left.status == "running"
    time.sleep(0.5)
    assert world.store.get_run(run_id).events == left.events
    with running_engine(world.services()):
        run = ended(world, run_id)
    assert run.outcome == "proven"
    assert run.epoch == 2
    check_journal(world, run_id)


def test_a_worker_that_lost_its_run_stays_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> str:  # wherever logs go since other tests
        return "".join(capsys.readouterr()) + caplog.text

    world = RunWorld(tmp_path, steps=40)
    world.hold(12)
    run_id = start(world)
    with running_engine(world.services()):
        until(lambda: held(world, run_id, 12))
        thief = world.store.claim(run_id, "worker-9")
        at = world.store.get_run(run_id).events
        with world.forge.world() as forge:
            acts = len(forge["acts"])
        world.let_go()
        until(lambda: "the run was taken over" in said())
        assert world.store.get_run(run_id).events == at
        assert thief.holds(run_id)
        with world.forge.world() as forge:
            assert len(forge["acts"]) <= acts + 1  # one may have been under way
            assert forge["pulls"] == {}
            assert not any("diagnosis" in marker for marker in forge["comments"])
    # At its next start it takes the run up again, as its own.
    with running_engine(world.services()):
        assert ended(world, run_id).outcome == "proven"


@pytest.mark.long
def test_five_deliveries_before_and_after_a_restart_are_one_run(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    run_id = start(world)
    with running_engine(world.services()) as workflow_engine:
        for _ in range(4):
            assert start(world) == run_id
            workflow_engine.enqueue(run_id)
        ended(world, run_id)
    with running_engine(world.services()) as workflow_engine:
        assert start(world) == run_id
        workflow_engine.enqueue(run_id)
        # What the repeats had begun would have begun before another run that is asked for now.
        other = start(world, "d2", 8)
        workflow_engine.enqueue(other)
        ended(world, other)
    assert {run.id for run in world.store.list_runs().runs} == {run_id, other}
    check_journal(world, run_id)
    with world.forge.world() as forge:
        assert sorted(forge["pulls"]) == sorted(world.branches().keys() - {"main"})
        assert len(forge["pulls"]) == 2


CHILD = """
import sys, time
from pathlib import Path
from app.runs.attempts import TOKENS_LOG
from app.server.workflow_engine import running_engine
from tests.support.runs.world import RunWorld
world = RunWorld(Path(sys.argv[1]))
with running_engine(world.services()):
    print("up", flush=True)
    time.sleep(600)
"""


def kill_hard(folder: Path, moment: Callable[[], bool]) -> None:
    """Work on the folder's runs in a process of its own, and kill it at the moment."""
    root = Path(__file__).parents[4]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
    )
    try:
        until(moment)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def goes_on(world: RunWorld, run_id: str) -> None:
    """The killed run ends with one of everything."""
    assert world.store.get_run(run_id).status == "running"
    with running_engine(world.services()):
        run = ended(world, run_id)
    assert run.outcome == "proven"
    check_journal(world, run_id)
    with world.forge.world() as forge:
        assert len(forge["pulls"]) == 1
        assert forge["acts"].count("open pull") == 1
    assert len(world.branches()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("results", [pytest.param(0, marks=pytest.mark.long), 11])
def test_killed_hard_the_run_goes_on_from_its_journal(tmp_path: Path, results: int) -> None:
    world = RunWorld(tmp_path)
    world.hold(results)
    run_id = start(world)
    kill_hard(
        tmp_path,
        lambda: held(world, run_id, results) and world.store.get_run(run_id).events >= 3,
    )
    world.let_go()
    goes_on(world, run_id)


@pytest.mark.slow
def test_killed_hard_after_the_pull_request_it_is_not_opened_again(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    run_id = start(world)
    with world.forge.world() as forge:
        forge["set"]["hang after open pull"] = True

    def opened() -> bool:
        with world.forge.world() as forge:
            return bool(forge["pulls"])

    kill_hard(tmp_path, opened)
    goes_on(world, run_id)


def test_the_budget_of_tokens_follows_what_proven_attempts_took(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    for number in range(100, 110):
        kept.run(world.store, number, model="seeded")  # each proven with 5 tokens
    run_id = start(world)
    services = world.services()
    settings = services.settings.model_copy(update={"budget_follows_usage": True})
    with running_engine(replace(services, settings=settings)):
        run = ended(world, run_id)
    assert world.store.get_log(run_id, TOKENS_LOG) == b"10"
    assert run.outcome == "diagnosis"
    (over,) = [r.event for r in world.store.events(run_id) if isinstance(r.event, AttemptEnded)]
    assert "the budget of 10 tokens is used up" in over.diagnosis
