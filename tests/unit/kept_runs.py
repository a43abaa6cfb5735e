"""Runs in a store, for tests of what is done with them afterwards."""

from __future__ import annotations

from typing import Any

from agent.journal.events import RunEnded, RunPhase, ToolFinished
from app.storage.store import SqlStore
from tests.unit.test_app_store import trigger


def a_run(store: SqlStore, number: int = 7, ended: bool = True) -> str:
    run_id = store.accept(f"d{number}", "issues", trigger(number), model="m").run_id
    lease = store.claim(run_id, "worker-0")
    lease.set_running(run_id)
    lease.append(run_id, [RunPhase(attempt=0, phase="queued"), finished(1)])
    lease.put_log(run_id, "bash:1", bytes(range(256)) * 50)
    if ended:
        lease.finish(run_id, RunEnded(attempt=0, outcome="diagnosis", diagnosis="\u2603"))
    return run_id


def finished(number: int, status: Any = "ok") -> ToolFinished:
    return ToolFinished(call_id=f"c{number}", name="bash", status=status, output="o" * 500)
