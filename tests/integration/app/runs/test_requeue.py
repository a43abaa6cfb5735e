"""A run for which something stays away goes back to the queue, and ends well later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.errors import ModelAway
from agent.journal.events import ModelWaiting
from agent.journal.state import fold
from agent.model import Message, ToolSpec, Turn
from agent.models.openai_compat import OnWaiting
from app.server.workflow_engine import running_engine
from sandbox.errors import EngineUnavailable, SandboxGone
from tests.doubles.seeded_policy import SeededModel
from tests.support.runs.lifecycle import check_journal, ended, start, until
from tests.support.runs.requeued import Interrupted, claims, ended_at_last, waits_for
from tests.support.runs.world import RunWorld


class Away(SeededModel):
    """Its server goes away after some turns, for as long as the world says."""

    def __init__(self, seed: int, steps: int, away: list[str], waiting: OnWaiting) -> None:
        super().__init__(seed, steps, slow_commands=False)
        self._away, self._waiting = away, waiting

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        if self._away and len(messages) > 8:
            await self._waiting(self._away[0], 30.0)
            raise ModelAway(self._away[0])
        return await super().turn(messages, tools)


def test_a_requeued_run_continues_where_it_was(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    # One place in the queue: while the first run had it, the second could not begin.
    world.settings = world.settings.model_copy(update={"concurrency": 1, "worker_concurrency": 1})
    away = ["the server cannot be reached"]
    waits = start(world)
    services = world.services(
        make_model=lambda run_id, seed, waiting, looking: Away(
            seed, world.steps, away if run_id == waits else [], waiting
        )
    )
    with running_engine(services) as workflow_engine:
        until(lambda: [run.id for run in world.store.unqueued()] == [waits])
        assert _waited(world, waits)
        state = fold(r.event for r in world.store.events(waits))
        assert state.waiting == "the server cannot be reached"
        calls = state.calls_used
        assert calls > 0

        other = start(world, "d2", 8)
        workflow_engine.enqueue(other)
        assert ended(world, other).outcome == "proven", "the place was free"

        away.clear()
        workflow_engine.flush_outbox()
        run = ended(world, waits)
    assert run.outcome == "proven"
    check_journal(world, waits)
    assert fold(r.event for r in world.store.events(waits)).calls_used > calls


def _waited(world: RunWorld, run_id: str) -> bool:
    return any(isinstance(r.event, ModelWaiting) for r in world.store.events(run_id))


@pytest.mark.parametrize("away", [4, 9], ids=lambda n: f"{n} calls")
def test_github_that_is_away_for_longer_than_the_patience_costs_no_run(
    tmp_path: Path, away: int
) -> None:
    world = RunWorld(tmp_path)
    run_id = start(world)
    world.hold(results=9)
    with running_engine(world.services()) as workflow_engine:
        until(lambda: len(world.store.events(run_id)) > 20)
        with world.forge.world() as forge:
            forge["set"]["away"] = away
        world.let_go()
        run = ended_at_last(world, run_id, workflow_engine)
    assert run.outcome == "proven"
    check_journal(world, run_id)
    assert claims(world, run_id) > 1, "it had been handed back"
    with world.forge.world() as forge:
        assert len(forge["pulls"]) == 1


def test_an_engine_that_is_away_for_longer_than_the_patience_costs_no_run(tmp_path: Path) -> None:
    world = RunWorld(tmp_path, fixes=False)
    world.sandboxes = Interrupted([EngineUnavailable("No engine answers.")] * 7)
    run_id = start(world)
    with running_engine(world.services()) as workflow_engine:
        run = ended_at_last(world, run_id, workflow_engine)
    assert run.outcome == "diagnosis"
    assert claims(world, run_id) > 1


def test_an_engine_that_is_restarted_again_and_again_costs_no_run(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    world.sandboxes = Interrupted([SandboxGone("The engine was restarted.")] * 4)
    run_id = start(world)
    with running_engine(world.services()):
        assert ended(world, run_id).outcome == "proven"
    assert claims(world, run_id) == 1


def test_a_stop_is_heard_while_a_step_waits(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    world.sandboxes = Interrupted([EngineUnavailable("No engine answers.")])
    run_id = start(world)
    with running_engine(world.services(patience_s=(600.0,))):
        until(lambda: waits_for(world, run_id))
        until(lambda: "by itself: The container engine does not respond" in status_comment(world))
        world.store.request_stop(run_id)
        assert ended(world, run_id).outcome == "stopped"


def status_comment(world: RunWorld) -> str:
    with world.forge.world() as forge:
        return "".join(text for marker, text in forge["comments"].items() if "status" in marker)
