"""A run that kills its workers, as processes: it is parked, and its issue is told why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.server.workflow_engine import running_engine
from app.storage.controls import DEATHS
from tests.support.runs.lifecycle import ended, start
from tests.support.runs.world import RunWorld

ROOT = Path(__file__).parents[4]
WORKER = """
import os, signal, sys, time
from pathlib import Path
from app.server.workflow_engine import running_engine
from tests.support.runs.world import RunWorld
from tests.doubles.seeded_policy import SeededModel

class Deadly(SeededModel):
    async def turn(self, messages, tools):
        if sum(m.role == "tool" for m in messages) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().turn(messages, tools)

world = RunWorld(Path(sys.argv[1]))
deadly = lambda run_id, seed, *_: Deadly(seed, world.steps, slow_commands=False)
with running_engine(world.services(make_model=deadly)):
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_run_that_kills_three_workers_is_parked(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    run_id = start(world)
    for _ in range(DEATHS):
        worker = subprocess.run(
            [sys.executable, "-c", WORKER, str(tmp_path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=120,
            check=False,
        )
        assert worker.returncode == -signal.SIGKILL
        assert world.store.get_run(run_id).status == "running"
    with running_engine(world.services()):  # with a model that would do no harm
        run = ended(world, run_id)
    assert run.outcome == "failed"
    with world.forge.world() as forge:
        (told,) = (text for marker, text in forge["comments"].items() if "diagnosis" in marker)
        assert "was parked" in told
        assert forge["pulls"] == {}
