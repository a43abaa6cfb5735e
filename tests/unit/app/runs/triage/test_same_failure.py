"""Whether two issues report the same failure: by their texts, and by where it was raised."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.github.records import ListedIssue
from app.runs.triage.same_failure import failure_place, older_with_same_trace

TRACE = """\
Traceback (most recent call last):
  File "/srv/shop/api.py", line 9, in show
    total(xs)
  File "/srv/shop/cart.py", line {line}, in total
    t += x
{error}: unsupported operand
"""
ASSERTION = "tests/test_cart.py:4: AssertionError\nE       AssertionError: wrong total"
RAISED = """\
tests/test_cart.py:4: in test_it
shop/cart.py:4: TypeError
E       TypeError: unsupported operand
"""


def issue(number: int, body: str, *, is_pull: bool = False) -> ListedIssue:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    return ListedIssue(number, "Crash", body, "rita", (), False, False, is_pull, at, at)


def trace(line: int = 4, error: str = "TypeError") -> str:
    return TRACE.format(line=line, error=error)


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([issue(3, trace(line=8)), issue(5, trace())], 3),  # lines move
        ([issue(3, trace(error="KeyError"))], 0),
        ([issue(9, trace())], 0),  # a younger one is none to be a duplicate of
        ([issue(3, trace(), is_pull=True)], 0),
        ([issue(3, "shop/cart.py:4: TypeError")], 0),  # the file and the error alone
        ([], 0),
    ],
)
def test_an_older_issue_with_the_same_stack_trace(others: list[ListedIssue], found: int) -> None:
    same = older_with_same_trace(7, trace(), [*others, issue(7, trace())])
    assert (same[0] if same else 0) == found


def test_the_same_failing_test() -> None:
    named = "FAILED tests/test_cart.py::test_total - assert 1 == 0"
    assert older_with_same_trace(7, named, [issue(3, named)]) == (
        3,
        "both name the failing test tests/test_cart.py::test_total",
    )


def test_where_the_program_raised() -> None:
    files = ["shop/cart.py", "tests/test_cart.py"]
    place = failure_place("c1", RAISED, {"tests/test_cart.py": ""}, files)
    assert place is not None
    assert place.words == "TypeError in shop/cart.py line 4"
    assert failure_place("c1", ASSERTION, {"tests/test_cart.py": ""}, files) is None
    assert failure_place("c1", "wrong total", (), files) is None
