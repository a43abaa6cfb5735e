"""Regressions repaired through the real loop and gate, with a real history to search."""

from __future__ import annotations

import pytest

from bench.offline_histories import repair_regression
from bench.offline_repairs import open_local, sandboxes
from tests.support.agent.regressions.records import Regression
from tests.support.agent.regressions.tuned import CURRENCY_COLUMN, MOVED_SLUGS, TUNED
from tests.support.agent.regressions.unseen import UNSEEN


def test_a_third_of_the_regressions_is_set_aside() -> None:
    assert len(TUNED) + len(UNSEEN) >= 20
    assert len(UNSEEN) * 2 >= len(TUNED)
    assert len({regression.name for regression in (*TUNED, *UNSEEN)}) == len(TUNED) + len(UNSEEN)


@pytest.mark.slow
@pytest.mark.parametrize("regression", [CURRENCY_COLUMN, MOVED_SLUGS], ids=lambda r: r.name)
async def test_the_hunk_that_broke_it_is_undone_and_the_rest_stays(regression: Regression) -> None:
    repair = await repair_regression(regression, open_local, history=True)
    assert repair.exact, repair.found
    assert repair.row.right, repair.row.patch or repair.row.diagnosis
    # A few candidates and commits; small changes alone would be hundreds.
    assert repair.runs < 40
    told = next(h for h in repair.row.state.hypotheses if h.verdict == "confirmed")
    assert "what commit" in told.claim


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.long
async def test_a_history_is_searched_in_containers() -> None:
    async with sandboxes("docker") as open_with:
        repair = await repair_regression(MOVED_SLUGS, open_with, history=True)
    assert repair.exact, repair.found
    assert repair.row.right, repair.row.patch or repair.row.diagnosis
