"""When runs may begin: limits, the place in the queue, what the repository's file says."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.journal.events import RunEnded
from app.admission import rows
from app.admission.rows import is_start_held
from app.github.records import Pull
from app.repo_config.effective import read_effective_config
from app.runs import queue_notices
from app.runs.active_run import ActiveRun
from app.runs.admission_step import authorise
from app.runs.results import Done, Refused
from app.runs.services import Services
from app.server.workflow_engine import running_engine
from tests.support.runs.lifecycle import ended, held, start, until
from tests.support.runs.stored import trigger
from tests.support.runs.world import RunWorld, git


def services(world: RunWorld) -> Services:
    return world.services(read_config=partial(read_effective_config, world.settings))


def status_of(world: RunWorld, run_id: str) -> str:
    with world.forge.world() as forge:
        return str(forge["comments"].get(f"<!-- patchwright:status run={run_id} -->", ""))


def file(world: RunWorld, text: str) -> None:
    with world.forge.world() as forge:
        forge["files"] = {".github/patchwright.yml": text}


def reason_of(world: RunWorld, run_id: str) -> str:
    last = world.store.events(run_id)[-1].event
    assert isinstance(last, RunEnded)
    return last.diagnosis


def test_the_limit_of_a_day_is_told_and_the_next_run_ends_there(tmp_path: Path) -> None:
    world = RunWorld(tmp_path, runs_per_day=1)
    with running_engine(services(world)) as workflow_engine:
        first = start(world)
        workflow_engine.flush_outbox()
        assert ended(world, first).outcome == "proven"
        second = start(world, "d2", 8)
        workflow_engine.flush_outbox()
        assert ended(world, second).outcome == "stopped"
    assert "The limit of 1 run within 24 hours overall is reached" in status_of(world, second)
    assert "The limit of 1 run" in reason_of(world, second)
    with world.forge.world() as forge:
        assert len(forge["pulls"]) == 1


def test_a_run_waits_for_its_organisations_turn_and_says_so(tmp_path: Path) -> None:
    limits: dict[str, Any] = {
        "concurrency": 2, "worker_concurrency": 2, "repository_concurrency": 2,
        "organisation_concurrency": 1,
    }  # fmt: skip
    world = RunWorld(tmp_path, fixes=False, **limits)
    world.hold(2)
    with running_engine(services(world)) as workflow_engine:
        first = start(world)
        workflow_engine.flush_outbox()
        until(lambda: held(world, first, 2))
        second = start(world, "d2", 8)
        workflow_engine.flush_outbox()
        until(lambda: "place 1 in the queue" in status_of(world, second))
        assert "at most 1 run at once for this organisation" in status_of(world, second)
        # A stop reaches it also where it waits.
        third = start(world, "d3", 9)
        world.store.request_stop(third)
        world.let_go()
        assert ended(world, first).outcome == "diagnosis"
        assert ended(world, second).outcome == "diagnosis"
        workflow_engine.flush_outbox()
        assert ended(world, third).outcome == "stopped"
    end = world.store.events(first)[-1].at
    began = next(r.at for r in world.store.events(second) if r.event.type == "attempt_started")
    assert end < began


@pytest.mark.parametrize(
    ("state", "words"), [("closed", "was closed in the meantime"), ("gone", "no such issue")]
)
def test_an_issue_that_ends_meanwhile_gets_no_pull_request(
    tmp_path: Path, state: str, words: str
) -> None:
    world = RunWorld(tmp_path)
    world.hold(2)
    with running_engine(services(world)) as workflow_engine:
        run_id = start(world)
        workflow_engine.flush_outbox()
        until(lambda: held(world, run_id, 2))
        with world.forge.world() as forge:
            forge["set"]["issue"] = state
        world.let_go()
        run = ended(world, run_id)
    assert (run.outcome, run.pull_request) == ("proven", "")  # what was proven stays so
    assert words in reason_of(world, run_id)
    with world.forge.world() as forge:
        assert forge["pulls"] == {}


def test_the_reports_follow_the_repositorys_preferences(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    wishes = "language: de\nmodel: gpt-9\npull_request: {co_author_reporter: true}\n"
    file(world, wishes)
    with running_engine(services(world)) as workflow_engine:
        run_id = start(world)
        workflow_engine.flush_outbox()
        run = ended(world, run_id)
    assert run.outcome == "proven"
    assert run.model == "offline"
    assert "- [x] Sandbox mit dem Repository vorbereiten" in status_of(world, run_id)
    assert "gpt-9" in status_of(world, run_id)
    with world.forge.world() as forge:
        [branch] = forge["pulls"]
    assert "Co-authored-by: reporter <" in git(world.remote, "log", "-1", "--format=%B", branch)


@pytest.mark.parametrize("how", ["defaults", "stop"])
def test_a_faulty_file_is_told_and_stops_where_configured(tmp_path: Path, how: str) -> None:
    world = RunWorld(tmp_path, fixes=False, bad_repo_config=how)
    file(world, "budget: {calls: many}\n")
    with running_engine(services(world)) as workflow_engine:
        run_id = start(world)
        workflow_engine.flush_outbox()
        run = ended(world, run_id)
    assert run.outcome == ("diagnosis" if how == "defaults" else "stopped")
    with world.forge.world() as forge:
        [told] = [body for marker, body in forge["comments"].items() if "settings" in marker]
    assert "line 1" in told


def test_a_waiting_run_shows_its_place_in_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "GRACE", timedelta(0))
    world = RunWorld(tmp_path)
    first, second = start(world), start(world, "d2", 8)
    told: dict[str, int] = {}
    asyncio.run(queue_notices.update_waiting_comments(services(world), told))
    assert told == {first: 1, second: 2}
    assert "place 2 in the queue" in status_of(world, second)
    with world.forge.world() as forge:
        assert forge["acts"].count("react eyes") == 2
        before = len(forge["acts"])
    asyncio.run(queue_notices.update_waiting_comments(services(world), told))
    with world.forge.world() as forge:
        assert len(forge["acts"]) == before, "nothing new, nothing said"
    # Whoever is in work speaks for itself, and does not begin while it is spoken of.
    engine, moment = world.store.database, world.store.get_run(first).created_at
    world.store.claim(first, "w").set_running(first)
    assert not rows.hold_start(engine, first, moment)
    assert rows.hold_start(engine, second, moment)
    assert not rows.hold_start(engine, second, moment)
    assert is_start_held(engine, second, moment)
    rows.release_start(engine, second)
    assert not is_start_held(engine, second, moment)
    # A stranger's run is not told of.
    with world.forge.world() as forge:
        forge["set"]["role"] = "read"
    stranger = world.store.accept("d4", "issues", trigger(11), model="seeded").run_id
    asyncio.run(queue_notices.update_waiting_comments(services(world), told))
    assert status_of(world, stranger) == ""


async def test_a_run_that_waited_for_another_is_refused_when_that_took_the_last_pull_request(
    tmp_path: Path,
) -> None:
    world = RunWorld(tmp_path, concurrency=2, worker_concurrency=2, repository_concurrency=2)
    file(world, "pull_request: {most_open: 1}\n")
    at_work, waits = start(world), start(world, "d2", 8)
    opened: list[Pull] = []

    async def open_pulls(_most: int) -> tuple[Pull, ...]:
        return tuple(opened)

    world.forge.open_pulls = open_pulls  # type: ignore[method-assign]

    def active(run_id: str) -> ActiveRun:
        store = world.store.claim(run_id, "w")
        store.set_running(run_id)
        return ActiveRun(services(world), store, store.get_run(run_id), world.forge)

    assert await authorise(active(at_work)) == Done()
    second = asyncio.create_task(authorise(active(waits)))
    async with asyncio.timeout(20):
        while "place 1 in the queue" not in status_of(world, waits):
            await asyncio.sleep(0.01)
    opened.append(Pull(1, "u", True, False, False, "b", "s", "T", "B", author="patchwright[bot]"))
    world.store.claim(at_work, "w").finish(at_work, RunEnded(attempt=0, outcome="proven"))
    refused = await second
    assert isinstance(refused, Refused)
    assert "1 pull requests of this App are open here" in refused.reason
