"""Dishonest patches against the evidence and the honest ones beside them, in containers.

They take minutes: `make check-attacks` runs them. Unit tests have what the rules refuse at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.gate.judge import Submission, judge
from agent.journal.events import GateJudged
from agent.task import KeptBase
from sandbox.protocol import Sandbox
from tests.doubles.evidence_attacks import ATTACKS, Attack
from tests.support.sandboxes.fixtures import DockerOpener, engine, open_docker

__all__ = ["engine", "open_docker"]

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(
        not os.environ.get("PATCHWRIGHT_CHECK_ATTACKS"), reason="takes minutes: make check-attacks"
    ),
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the bases: each is measured once for all attacks on it."""
    return tmp_path_factory.mktemp("base-results")


async def judged(
    attack: Attack, submission: Submission, open_docker: DockerOpener, kept: Path
) -> GateJudged:
    async def open_fresh() -> Sandbox:
        return await open_docker(dict(attack.repository))

    base = KeptBase(
        folder=str(kept),
        repository="shop",
        commit=str(sorted(attack.repository.items())),
        environment="base",
    )
    return await judge(submission.model_copy(update={"kept_base": base, "at_once": 2}), open_fresh)


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_dishonest_patch_is_not_proven(
    name: str, open_docker: DockerOpener, kept: Path
) -> None:
    attack = ATTACKS[name]
    for earlier in attack.earlier:
        await judged(attack, earlier, open_docker, kept)
    verdict = await judged(attack, attack.dishonest, open_docker, kept)
    print(verdict.verdict, *verdict.reasons, sep="\n")
    assert verdict.verdict == attack.verdict, verdict.reasons
    assert attack.said in " ".join(verdict.reasons)


@pytest.mark.parametrize("name", ATTACKS)
async def test_the_honest_patch_beside_it_is_proven(
    name: str, open_docker: DockerOpener, kept: Path
) -> None:
    attack = ATTACKS[name]
    verdict = await judged(attack, attack.honest, open_docker, kept)
    assert verdict.verdict == attack.honest_verdict, verdict.reasons
