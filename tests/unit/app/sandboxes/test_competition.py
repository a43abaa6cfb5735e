"""Environments compete by what the suite does in them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.journal.events import EnvironmentPrepared
from agent.testing.readiness import judge_suite
from agent.testing.report import SuiteRun, TestResult
from app.sandboxes.competition import (
    Result,
    compete,
    degraded_by,
    speaks_in_part,
    unfit_by,
    why_degraded,
)
from app.sandboxes.trial import KeptTrials, Trial
from sandbox.environment.choose import BARE
from sandbox.environment.records import Environment, Step
from sandbox.setup.records import PreparedEnvironment, SetupFailed

LOCKED = Environment("locked", steps=(Step("lock"),))
DATED = Environment("dated", steps=(Step("date"),))
MISSING = "No module named 'numpy'"


def trial_of(passed: int, missing: int = 0, failed: int = 0) -> Trial:
    groups = ((passed, "passed", ""), (missing, "error", MISSING), (failed, "failed", "no"))
    results = tuple(
        TestResult.model_validate({"name": f"{word}{n}", "outcome": word, "message": message})
        for count, word, message in groups
        for n in range(count)
    )
    run = SuiteRun(command="python3 -m pytest -q", exit_code=1, output="", results=results)
    return Trial(command=run.command, run=run, readiness=judge_suite(run))


async def held(
    candidates: list[Environment],
    outcomes: Mapping[str, Trial | None],
    broken: tuple[str, ...] = (),
    deadline: float = 0.0,
) -> tuple[Result, list[str]]:
    tried: list[str] = []

    async def prepare(environment: Environment) -> PreparedEnvironment:
        if environment.source in broken:
            raise SetupFailed(environment, "pip install x", "exit 1", "no such version", ())
        return PreparedEnvironment(f"image of {environment.source}", environment, False, 1.0)

    async def run_suite(prepared: PreparedEnvironment) -> Trial | None:
        tried.append(prepared.environment.source)
        return outcomes[prepared.environment.source]

    result = await compete(
        candidates,
        prepare,
        run_suite,
        {},
        deadline=deadline or time.monotonic() + 60,
        progress=lambda _: None,
    )
    return result, tried


async def test_the_first_that_runs_the_suite_well_ends_it() -> None:
    result, tried = await held([LOCKED, DATED, Environment(BARE)], {"locked": trial_of(5)})
    assert tried == ["locked"]
    assert why_degraded(result) == ""


NOT_LOADED = "pluggy._manager.PluginValidationError: Plugin 'flake8' for hook 'pytest_collect_file'"


async def test_a_checker_of_style_that_stops_pytest_is_taken_out() -> None:
    run = SuiteRun(command="python3 -m pytest -q", exit_code=4, output=NOT_LOADED)
    stopped = Trial(command=run.command, run=run, readiness=judge_suite(run))
    outcomes = {"locked": stopped, "locked, without pytest-flake8": trial_of(5)}
    result, tried = await held([LOCKED, Environment(BARE)], outcomes)
    assert tried == ["locked", "locked, without pytest-flake8"]
    best = result.best.prepared.environment
    assert "pip uninstall -q -y pytest-flake8" in best.steps[-1].command
    assert why_degraded(result) == ""


async def test_the_best_wins_and_not_the_first_that_can_be_made() -> None:
    outcomes = {"locked": trial_of(3, failed=20), "dated": trial_of(23)}
    result, tried = await held([LOCKED, DATED, Environment(BARE)], outcomes)
    assert tried == ["locked", "dated"]
    assert result.best.prepared.environment is DATED
    assert result.others == ("locked: 3 passed, 20 failed. Only 3 of 23 tests pass.",)


async def test_where_none_is_good_the_better_one_is_degraded() -> None:
    outcomes = {"locked": trial_of(3, failed=20), "dated": trial_of(2, failed=21)}
    result, tried = await held([LOCKED, DATED, Environment(BARE)], outcomes)
    assert tried == ["locked", "dated"]  # the bare image is no better than what was made
    assert result.best.prepared.environment is LOCKED
    assert why_degraded(result).startswith("Only 3 of 23 tests pass.")
    assert not speaks_in_part(result)


async def test_a_suite_of_which_most_runs_speaks_for_what_it_reaches() -> None:
    outcomes = {"locked": trial_of(13, failed=10), "dated": trial_of(2, failed=21)}
    result, _ = await held([LOCKED, DATED, Environment(BARE)], outcomes)
    assert why_degraded(result).startswith("Only 13 of 23 tests pass.")
    assert speaks_in_part(result)


async def test_a_missing_module_is_brought_in_a_second_round() -> None:
    outcomes = {"locked": trial_of(3, missing=20), "locked, with numpy": trial_of(23)}
    result, tried = await held([LOCKED, DATED], outcomes)
    assert tried == ["locked", "locked, with numpy"]
    steps = result.best.prepared.environment.steps
    assert steps[0].command == "lock"
    assert "numpy" in steps[-1].command
    assert result.best.prepared.image == "image of locked, with numpy"


async def test_a_suite_that_names_one_missing_module_at_a_time_gets_them_all() -> None:
    def stops_at(module: str) -> Trial:
        run = SuiteRun(
            command="python3 -m pytest -q",
            exit_code=4,
            output=f"ImportError while loading conftest\nE   No module named '{module}'\n",
        )
        return Trial(command=run.command, run=run, readiness=judge_suite(run))

    outcomes = {
        "locked": stops_at("numpy"),
        "locked, with numpy": stops_at("yaml"),
        "locked, with numpy, with pyyaml": trial_of(23),
    }
    result, tried = await held([LOCKED, DATED], outcomes)
    assert tried == list(outcomes) and why_degraded(result) == ""
    assert result.best.prepared.environment.steps[0].command == "lock"
    # One that is still missing when it was brought is not brought again.
    outcomes["locked, with numpy"] = stops_at("numpy")
    _, tried = await held([LOCKED, Environment(BARE)], outcomes)
    assert tried == ["locked", "locked, with numpy"]


async def test_a_set_up_that_fails_is_followed_by_the_next() -> None:
    result, _ = await held([LOCKED, DATED], {"dated": trial_of(5)}, broken=("locked",))
    assert [str(f).splitlines()[0] for f in result.failed] == [
        "Set-up by locked failed at `pip install x` (exit 1):"
    ]
    assert why_degraded(result) == ""


async def test_what_is_installed_in_part_is_tried_only_where_nothing_else_could_be_made() -> None:
    part = Environment("in part", steps=(Step("part"),), in_part=True)
    outcomes = {"dated": trial_of(2, failed=21), "in part": trial_of(23)}
    _, tried = await held([LOCKED, DATED, part], outcomes, broken=("locked",))
    assert tried == ["dated"]
    result, _ = await held([LOCKED, DATED, part], outcomes, broken=("locked", "dated"))
    assert result.best.prepared.environment is part
    assert why_degraded(result) == ""


async def test_the_bare_image_after_failures_is_degraded_even_if_tests_pass() -> None:
    result, _ = await held([LOCKED, Environment(BARE)], {BARE: trial_of(5)}, broken=("locked",))
    assert why_degraded(result) == "Set-up by locked failed at `pip install x` (exit 1)."


async def test_what_a_project_needs_and_the_base_lacks_is_said() -> None:
    lacking = Environment("locked", steps=LOCKED.steps, lacks="The project needs Python >=3.12.")
    result, _ = await held([lacking, DATED], {"locked": trial_of(5)})
    assert why_degraded(result) == "The project needs Python >=3.12."


async def test_no_other_is_begun_after_the_deadline() -> None:
    outcomes = {"locked": trial_of(3, failed=20)}
    _, tried = await held([LOCKED, DATED], outcomes, deadline=time.monotonic() - 1)
    assert tried == ["locked"]


async def test_what_the_repository_asks_for_is_not_replaced() -> None:
    asked = Environment("locked", steps=LOCKED.steps, explicit=True)
    with pytest.raises(SetupFailed):
        await held([asked, DATED], {"dated": trial_of(5)}, broken=("locked",))


def test_journals_of_earlier_versions_say_it_by_what_failed() -> None:
    event = EnvironmentPrepared(
        attempt=0, source=BARE, image="i", cached=True, duration_ms=1, failed=("It failed:\nx",)
    )
    assert degraded_by(event) == "It failed."
    assert degraded_by(event.model_copy(update={"degraded": "Newer."})) == "Newer."
    assert degraded_by(event.model_copy(update={"source": "Dockerfile"})) == ""
    partly = event.model_copy(update={"degraded": "Newer.", "speaks_in_part": True})
    assert degraded_by(partly) == "Newer."
    assert unfit_by(partly) == ""
    assert unfit_by(event) == "It failed."


def test_a_trial_is_kept_for_the_same_tree_image_and_command(tmp_path: Path) -> None:
    kept, trial = KeptTrials(tmp_path, "tree", "o/r"), trial_of(2)
    kept.keep("image", "", trial)
    assert kept.load("image", "") == trial
    assert kept.load("other", "") is None
    assert kept.load("image", "make test") is None
    assert KeptTrials(tmp_path, "tree", "o/other").load("image", "") is None
    late = trial.model_copy(update={"run": trial.run.model_copy(update={"timed_out": True})})
    kept.keep("slow", "", late)
    assert kept.load("slow", "") is None
