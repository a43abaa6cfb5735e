"""Runs that go back to the queue."""

from __future__ import annotations

from pathlib import Path

from agent.journal.events import RunPhase
from app.runs.journal_progress import WAITING
from app.server.workflow_engine import WorkflowEngine
from app.storage.records import Run
from sandbox.errors import SandboxError
from sandbox.protocol import Sandbox
from tests.support.runs.lifecycle import until
from tests.support.runs.world import LocalSandboxes, RunWorld


class Interrupted(LocalSandboxes):
    """An engine that is away, or restarted, again and again; `faults` come one after another."""

    def __init__(self, faults: list[SandboxError]) -> None:
        super().__init__()
        self.faults = faults

    async def open(
        self, run_id: str, purpose: str, tree_tar: Path, history: Path | None = None
    ) -> Sandbox:
        if self.faults:
            raise self.faults.pop(0)
        return await super().open(run_id, purpose, tree_tar, history)


def ended_at_last(world: RunWorld, run_id: str, workflow_engine: WorkflowEngine) -> Run:
    def over() -> bool:
        workflow_engine.flush_outbox()  # as the service does now and then
        return world.store.get_run(run_id).status == "done"

    until(over)
    return world.store.get_run(run_id)


def claims(world: RunWorld, run_id: str) -> int:
    return world.store.get_run(run_id).epoch


def waits_for(world: RunWorld, run_id: str) -> bool:
    phases = [r.event for r in world.store.events(run_id) if isinstance(r.event, RunPhase)]
    return [p.phase for p in phases[-1:]] == [WAITING] and "does not respond" in phases[-1].detail
