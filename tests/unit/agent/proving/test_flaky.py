"""Broken by a change, or flaky: what repeated runs say."""

from __future__ import annotations

import pytest

from agent.proving.flaky import RepeatedRuns, tell_apart, unexplained_alone
from agent.testing.report import Outcome, SuiteRun, TestResult

NAME = "tests/test_a.py::test_b"
KINDS: dict[str, Outcome] = {"p": "passed", "f": "failed", "e": "error"}


def runs(outcomes: str) -> tuple[SuiteRun, ...]:
    return tuple(
        SuiteRun(
            command="pytest",
            exit_code=0,
            output="",
            results=(TestResult(name=NAME, outcome=KINDS[one]),) if one in KINDS else (),
        )
        for one in outcomes
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("ppp", "fff", "broken"),
        ("ppp", "fe-", "broken"),
        ("ppp", "ppp", "flaky"),
        ("ppp", "pfp", "flaky"),
        ("pfp", "fff", "flaky"),
        # Seldom with the change and always without it is more than bad luck.
        ("ppp", "fpf", "unclear"),
        ("fff", "fff", "unclear"),
    ],
)
def test_only_what_is_steady_on_both_sides_is_broken(before: str, after: str, said: str) -> None:
    found = tell_apart([NAME], RepeatedRuns(before=runs(before), after=runs(after)), ())
    assert getattr(found, said) == (NAME,)
    assert sum(map(len, (found.broken, found.flaky, found.unclear))) == 1


def test_an_edited_test_must_hold_as_the_base_has_it_to_be_called_flaky() -> None:
    seen = RepeatedRuns(before=runs("ppp"), after=runs("ppp"), old_after=runs("fff"))
    assert tell_apart([NAME], seen, {"tests/test_a.py"}).unclear == (NAME,)
    seen = seen.model_copy(update={"old_after": runs("pfp")})
    assert tell_apart([NAME], seen, {"tests/test_a.py"}).flaky == (NAME,)


@pytest.mark.parametrize(
    ("before", "after", "unexplained"),
    [
        ("fff", "fff", True),
        # Alone it always passes, so what made it fail is in the tests around it, or luck.
        ("ppp", "ppp", True),
        ("ppp", "fff", False),
        ("ppp", "pfp", False),
        ("pfp", "ppp", False),
    ],
)
def test_what_runs_alone_do_not_explain_is_run_with_all_others(
    before: str, after: str, unexplained: bool
) -> None:
    seen = RepeatedRuns(before=runs(before), after=runs(after))
    assert bool(unexplained_alone([NAME], seen, ())) is unexplained
    if before == after == "ppp":
        seen = seen.model_copy(update={"old_after": runs("fff")})
        assert unexplained_alone([NAME], seen, {"tests/test_a.py"}) == ()
