"""How well an environment runs a suite: what counts against it, and what a bug shows as well."""

from __future__ import annotations

import pytest

from agent.testing.readiness import judge_suite, own_modules
from agent.testing.report import Outcome, SuiteRun, TestResult


def suite(*groups: tuple[int, Outcome, str], exit_code: int = 1, output: str = "") -> SuiteRun:
    results = [
        TestResult(name=f"tests/test_a.py::test_{at}_{number}", outcome=outcome, message=message)
        for at, (count, outcome, message) in enumerate(groups)
        for number in range(count)
    ]
    return SuiteRun(
        command="python3 -m pytest -q", exit_code=exit_code, output=output, results=tuple(results)
    )


NO_NUMPY = "Skipped: could not import 'numpy': No module named 'numpy'"


@pytest.mark.parametrize(
    "run",
    [
        suite((5, "passed", ""), exit_code=0),
        suite((1, "failed", "assert 1 == 2"), (2, "passed", "")),
        suite((1, "failed", "assert 1 == 2")),
        suite((2, "failed", "AssertionError"), (9, "passed", "")),
        suite((1, "error", "ImportError: cannot import name 'new' from 'shop' (shop.py)")),
        suite((1, "error", "No module named 'shop.later'"), (3, "passed", "")),
        suite((40, "passed", ""), (2, "skipped", NO_NUMPY)),
        suite((4, "passed", ""), (40, "skipped", "Skipped: needs a network")),
        suite(exit_code=5),
    ],
)
def test_what_a_bug_shows_as_well_does_not_count(run: SuiteRun) -> None:
    assert judge_suite(run, own={"shop"}).faults == ()


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (suite((271, "failed", "TypeError: x"), (2, "passed", "")), "Only 2 of 273 tests pass."),
        (suite((30, "passed", ""), (30, "skipped", NO_NUMPY)), "not installed: numpy"),
        (suite((1, "error", "E   ModuleNotFoundError: No module named 'yaml'")), "yaml"),
        (suite((3, "error", "fixture 'mocker' not found"), (9, "passed", "")), "fixture 'mocker'"),
        (
            suite((2, "error", "E   starlette.StarletteDeprecationWarning: use other\n")),
            "a warning is an error: starlette.StarletteDeprecationWarning: use other",
        ),
        (
            suite((1, "error", "ImportError: cannot import name 'x' from 'jinja2.utils' (a)")),
            "jinja2.utils has another version",
        ),
        (
            suite(
                exit_code=4,
                output="ERROR: usage: pytest\nx.py: error: unrecognized arguments: --x\n",
            ),
            "The suite cannot start: x.py: error: unrecognized arguments: --x",
        ),
    ],
)
def test_what_the_environment_spoils_is_said(run: SuiteRun, said: str) -> None:
    readiness = judge_suite(run, own={"shop"})
    assert said in " ".join(readiness.faults)
    assert not readiness.ready


def test_a_javascript_runner_that_names_no_test_did_not_start() -> None:
    run = SuiteRun(command="npx --no-install vitest run", exit_code=1, output="SyntaxError: x\n")
    assert judge_suite(run).faults == ("The suite cannot start: SyntaxError: x",)
    assert judge_suite(run.model_copy(update={"command": "npm test", "exit_code": 1})).ready


def test_a_runner_that_finds_few_of_many_tests_is_no_good() -> None:
    run = suite((10, "passed", ""), exit_code=0)
    assert judge_suite(run, functions=100).faults == (
        "Only 10 of about 100 tests were found by the runner.",
    )
    assert judge_suite(run, functions=30).ready


def test_environments_of_one_tree_are_compared_by_what_passes() -> None:
    good = judge_suite(suite((9, "passed", ""), (1, "failed", "")))
    worse = judge_suite(suite((8, "passed", ""), (9, "skipped", NO_NUMPY)))
    dead = judge_suite(suite(exit_code=4))
    assert good.score > worse.score > dead.score
    assert good.summary == "9 passed, 1 failed"


def test_the_trees_own_modules_are_known_by_name() -> None:
    assert {"shop", "tests", "helper"} <= own_modules(["src/shop/a.py", "tests/helper.py", "x.md"])
