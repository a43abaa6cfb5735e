"""Issues as people write them become tests that fail with the bug and pass with its fix."""

from __future__ import annotations

import pytest

from bench.issue_reading import read
from tests.support.agent.reported_issues import REPORTED_ISSUES


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["bumping", "comments", "spans", "clock_offsets"])
async def test_a_table_a_language_a_sentence_and_a_pasted_test(name: str) -> None:
    (case,) = (c for c in REPORTED_ISSUES if c.name == name)
    found = await read(case)
    assert found.reproduction is not None
    assert found.fails_before
    assert found.passes_after


def test_the_issues_are_thirty_and_ten_are_kept_back() -> None:
    assert len(REPORTED_ISSUES) == 30
    assert sum(c.kept_back for c in REPORTED_ISSUES) == 10
    assert all(c.buggy != c.right for c in REPORTED_ISSUES)
