"""Many proofs that are asked for at once are made within the limits, by the real engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from app.github.forge import Forge
from app.github.webhook_events import ProofDue
from app.intake import handlers
from app.runs.services import Services
from app.server.workflow_engine import running_engine
from app.storage.inbox import Inbox
from tests.support.runs.lifecycle import until
from tests.support.runs.world import RunWorld

REPOSITORIES = (1, 2, 2)
"""A third of the proofs is of the first, the others of the second."""


def due(number: int) -> ProofDue:
    """A proof of one of the repositories."""
    return ProofDue(
        installation_id=1,
        repository="acme/shop",
        repository_id=REPOSITORIES[number % 3],
        default_branch="main",
        archived=False,
        sender="ann",
        sender_is_bot=False,
        proof_id=f"proof{number}",
    )


def test_thirty_proofs_within_the_limits_of_process_and_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = RunWorld(tmp_path, proof_concurrency=3, repository_proofs=2)
    at_work: Counter[int] = Counter()
    most: Counter[int | str] = Counter()
    made: Counter[str] = Counter()

    async def answer(_services: Services, _forge: Forge, event: ProofDue) -> str:
        at_work[event.repository_id] += 1
        most["all"] = max(most["all"], at_work.total())
        here = at_work[event.repository_id]
        most[event.repository_id] = max(most[event.repository_id], here)
        while most["all"] < 3:  # until as many as may are at work
            await asyncio.sleep(0.01)
        made[event.proof_id] += 1
        at_work[event.repository_id] -= 1
        return "proven"

    monkeypatch.setattr(handlers.proofs, "answer", answer)
    inbox = Inbox(world.store.database)
    for number in range(30):
        assert inbox.keep(f"proof{number}", "proof", due(number))
    with running_engine(world.services()):
        until(lambda: not inbox.open_events())
    assert made == {f"proof{number}": 1 for number in range(30)}
    assert most["all"] == 3
    assert max(most[1], most[2]) <= 2
