"""The engine is restarted, and killed, in mid-run with live containers."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from agent.journal.events import GateJudged
from agent.journal.store import MemoryStore
from agent.session import debug
from agent.task import Budget, Issue, Task
from sandbox.docker.engine import DockerEngine, SandboxSpec
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits, Sandbox
from tests.doubles.seeded_policy import FILES, TITLE, SeededModel
from tests.support.sandboxes.fixtures import tar_of
from tests.support.sandboxes.second_engine import SecondEngine, second_engine

__all__ = ["second_engine"]
pytestmark = [pytest.mark.docker, pytest.mark.slow]

STEPS = 60
RESTARTS = {12: signal.SIGTERM, 32: signal.SIGKILL}
"""At which step, and how the engine is ended."""


@pytest.mark.timeout(600)
@pytest.mark.long
async def test_the_run_ends_well_and_nothing_is_left(
    second_engine: SecondEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def agree(submission: object, open_fresh: object, *_: object) -> GateJudged:
        return GateJudged(verdict="proven", patch=submission.patch)  # type: ignore[attr-defined]

    engine = DockerEngine(second_engine.url)
    tree = tar_of(FILES, tmp_path / "tree.tar")
    store = MemoryStore()
    restarting: list[asyncio.Task[None]] = []

    async def open_sandbox() -> Sandbox:
        spec = SandboxSpec(BASE_IMAGE, Limits(), "restarted", "attempt-1", installation="restart")
        return await engine.open(spec, tree)

    async def restart(how: signal.Signals, gone: asyncio.Event) -> None:
        await second_engine.stop(how)
        gone.set()
        await second_engine.start()

    class Restarting(SeededModel):
        async def turn(self, messages, tools):  # type: ignore[no-untyped-def]
            how = RESTARTS.pop(sum(m.role == "tool" for m in messages), None)
            if how is not None:
                await asyncio.gather(*restarting)
                gone = asyncio.Event()
                restarting.append(asyncio.create_task(restart(how, gone)))
                await gone.wait()  # so the next call meets no engine
            return await super().turn(messages, tools)

    task = Task(
        run_id="restarted",
        repository="o/shop",
        base_commit="c0",
        issue=Issue(title=TITLE, body=""),
        budget=Budget(calls=400),
    )
    state = await debug(
        task,
        model=Restarting(seed=7, steps=STEPS, slow_commands=False),
        store=store,
        open_sandbox=open_sandbox,
        attach=engine.attach,
        open_fresh=open_sandbox,
        judge_with=agree,
    )
    await asyncio.gather(*restarting)
    assert RESTARTS == {}
    assert state.outcome == "proven", state.diagnosis
    assert state.verdict is not None
    assert "+    return amount - amount * discount / 100" in state.verdict.patch
    events = [r.event for r in store.events("restarted")]
    rebuilt = [e for e in events if e.type == "sandbox_opened" and e.reason == "rebuilt"]
    assert len(rebuilt) == 2
    assert "tests/test_discount.py" in state.verdict.patch, "what the first sandbox held came along"

    await engine.sweep((), installation="restart")
    client = second_engine.client()
    assert client.containers.list(all=True) == []
    assert client.volumes.list() == []
    assert [image.tags for image in client.images.list(all=True)] == [[BASE_IMAGE]]
    client.close()
    await engine.close()
