"""Which commits give instances, by their text and by what their tests did."""

from __future__ import annotations

import pytest

from agent.evaluation.history import (
    Candidate,
    Change,
    candidate,
    instance_id,
    problem_statement,
    proven_instance,
)
from agent.evaluation.instances import Instance
from agent.testing.report import Outcome

SOURCE = "diff --git a/pkg/a.py b/pkg/a.py\n--- a/pkg/a.py\n+++ b/pkg/a.py\n@@ -1 +1 @@\n-a\n+b\n"
TESTS = SOURCE.replace("pkg/a.py", "tests/test_a.py")
NOTES = SOURCE.replace("pkg/a.py", "NEWS.md")


def change(patch: str, message: str = "It broke", parent: str = "b" * 40) -> Change:
    return Change(commit="c" * 40, parent=parent, message=message, patch=patch)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (change("", parent=""), "no parent"),
        (change(TESTS + NOTES), "changes no source"),
        (change(SOURCE + NOTES), "changes no tests"),
        (change(SOURCE + TESTS, message="Merge branch 'x'"), "has no message"),
        (
            change(SOURCE + "diff --git a/tests/x.png b/tests/x.png\nGIT binary patch\n"),
            "has a binary file",
        ),
    ],
)
def test_a_commit_that_cannot_be_an_instance_says_why(given: Change, why: str) -> None:
    assert candidate(given) == why


def test_tests_and_source_are_told_apart() -> None:
    found = candidate(change(NOTES + TESTS + SOURCE))
    assert isinstance(found, Candidate)
    assert found.test_patch == TESTS
    assert found.source_patch == NOTES + SOURCE


@pytest.mark.parametrize(
    ("message", "statement"),
    [
        ("Totals are wrong\n\nAlways.\n", "Totals are wrong\n\nAlways."),
        ("fix(shop): totals are wrong (#12)\n\nAlways (#3)", "totals are wrong\n\nAlways (#3)"),
        (
            "Merge pull request #7 from team/x\n\nTotals are wrong\n\nSigned-off-by: A <a@b.c>",
            "Totals are wrong",
        ),
        ("Merge branch 'x' into main", ""),
        ("Totals\n\nCo-authored-by: B <b@c.d>\nFixes #3", "Totals\n\nFixes #3"),
    ],
)
def test_the_statement_is_the_message_without_its_machinery(message: str, statement: str) -> None:
    assert problem_statement(message) == statement


def judged(before: dict[str, Outcome], *after: dict[str, Outcome]) -> Instance | str:
    found = candidate(change(SOURCE + TESTS))
    assert isinstance(found, Candidate)
    return proven_instance(found, "team/shop", "pytest", before, after)


def test_fail_to_pass_is_what_failed_and_passes_every_time() -> None:
    after: dict[str, Outcome] = dict.fromkeys(("fixed", "kept", "new", "flaky", "skip"), "passed")
    made = judged(
        {"fixed": "failed", "kept": "passed", "flaky": "failed", "skip": "skipped"},
        after,
        {**after, "flaky": "failed"},
    )
    assert isinstance(made, Instance)
    assert made.FAIL_TO_PASS == ("fixed", "new")
    assert made.PASS_TO_PASS == ("kept",)
    assert made.base_commit == "b" * 40
    assert made.instance_id == "team__shop-cccccccccccc"


def test_features_and_fixes_without_a_failing_test_are_left_out() -> None:
    assert judged({"a": "passed"}, {"a": "passed", "new": "passed"}) == "no test fails before"
    # A test file that cannot be loaded before (a new function) is one error by another name.
    assert judged({"tests/test_a.py": "error"}, {"new": "passed"}) == "no failing test passes after"
    assert judged({"a": "failed"}, {"a": "failed"}) == "no failing test passes after"


def test_ids_of_paths_do_not_tell_where_they_are() -> None:
    assert instance_id("/home/someone/shop.git", "c" * 40) == "shop-cccccccccccc"
    assert instance_id("/", "c" * 40) == "repository-cccccccccccc"
