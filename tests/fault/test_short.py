"""The harness in short; `make fault` does forty faults over twenty runs."""

from __future__ import annotations

import pytest

from tests.fault.harness import Plan, go
from tests.support.postgresql import programs

SEED = 7


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")
@pytest.mark.long
def test_a_few_faults_lose_and_double_nothing() -> None:
    plan = Plan(
        postgresql=True,
        runs=2,
        faults=9,
        seed=SEED,
        steps=12,
        time_scale=0.2,
        kill_engine=False,
    )
    report = go(plan)
    assert report.verdict.wrong == {name: [] for name in report.verdict.wrong}, SEED
    assert "2: 2 proven" in report.verdict.figures["runs"]
    assert len(report.faults) == 9, "each of its own kind"
