"""A run whose model stays away goes back to the queue, gives its place up, and ends well later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.errors import ModelAway
from agent.events import ModelWaiting
from agent.model import Message, ToolSpec, Turn
from agent.models.openai_compat import OnWaiting
from agent.state import fold
from app.durable import running
from app.run_failures import goes_back
from tests.doubles.seeded_policy import SeededModel
from tests.integration.run_world import RunWorld
from tests.integration.test_runs import check_journal, ended, start, until


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


def test_it_is_handed_back_and_goes_on_where_it_was(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    # One place in the queue: while the first run had it, the second could not begin.
    world.settings = world.settings.model_copy(update={"concurrency": 1, "worker_concurrency": 1})
    away = ["the server cannot be reached"]
    waits = start(world)
    services = world.services(
        make_model=lambda run_id, seed, waiting: Away(
            seed, world.steps, away if run_id == waits else [], waiting
        )
    )
    with running(services) as durable:
        until(lambda: [run.id for run in world.store.unqueued()] == [waits])
        assert _waited(world, waits)
        state = fold(r.event for r in world.store.events(waits))
        assert state.waiting == "the server cannot be reached"
        calls = state.calls_used
        assert calls > 0

        other = start(world, "d2", 8)
        durable.enqueue(other)
        assert ended(world, other).outcome == "proven", "the place was free"

        away.clear()
        durable.flush_outbox()
        run = ended(world, waits)
    assert run.outcome == "proven"
    check_journal(world, waits)
    assert fold(r.event for r in world.store.events(waits)).calls_used > calls


def _waited(world: RunWorld, run_id: str) -> bool:
    return any(isinstance(r.event, ModelWaiting) for r in world.store.events(run_id))


def test_only_a_model_that_is_away_sends_a_run_back() -> None:
    assert goes_back(ModelAway("gone"))
    assert not goes_back(OSError("disk"))
