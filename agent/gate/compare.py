"""What the runs before and after a patch prove."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from agent.gate.chance import ONE_OF_TWENTY, passes_needed
from agent.journal.events import Check, ReproductionDeclared, SeenTest, SideCounts
from agent.model import Record
from agent.testing.junit import cut
from agent.testing.report import Outcome, SuiteRun, TestResult

SHOWN_CHARS = 6000
_NAMED = 10
_TESTS_KEPT = 200
_NAME_CHARS = 300
_FILES_KEPT = 400
_WORST_FIRST: tuple[Outcome, ...] = ("error", "failed", "skipped", "passed")


class ReproductionRun(Record):
    """Some runs of the reproduction on one side of the patch."""

    runs: int
    as_claimed: int
    """Runs that failed with the words that were claimed."""
    passed: int
    """Runs that ended well; a run of tests must have run at least one and skipped none."""
    output: str
    """What the most telling run printed."""
    tests: tuple[str, ...] = ()
    """The tests that failed, where a runner other than Python's was asked for each; else none."""


def reproduction_check(
    declared: ReproductionDeclared,
    before: ReproductionRun,
    after: ReproductionRun,
    share: float = ONE_OF_TWENTY,
) -> Check:
    """Whether the reproduction failed for the claimed reason before and passes after.

    `share`: of the chance that luck alone makes a proof (`agent.gate.chance`).
    """
    problems = []
    needed = passes_needed(before.runs, before.as_claimed, share)
    if before.as_claimed == 0:
        problems.append(
            "The reproduction passes without the patch, so it does not show the bug."
            if before.passed
            else "Without the patch the reproduction does not fail for the claimed reason: its "
            f"output lacks {declared.expected_failure!r}."
        )
    if after.passed < after.runs:
        problems.append(
            f"With the patch the reproduction passes in {after.passed} of {after.runs} runs."
        )
    elif before.as_claimed and after.runs < needed:
        problems.append(
            f"The bug shows too rarely ({before.as_claimed} of {before.runs} runs without "
            f"the patch): {after.runs} passes in a row can be luck, and {needed} would be needed. "
            "Make the reproduction fail more often."
        )
    flaky = 0 < before.as_claimed < before.runs
    words = (
        f"Fails as claimed in {before.as_claimed} of {before.runs} runs without the patch"
        f"{' (it is flaky)' if flaky else ''}, passes in {after.passed} of {after.runs} with it."
    )
    return Check(
        name="reproduction",
        ok=not problems,
        detail=" ".join(problems) or words,
        command=declared.command,
        before=cut(before.output, SHOWN_CHARS),
        after=cut(after.output, SHOWN_CHARS),
        counts_before=_counts_of_runs(before),
        counts_after=_counts_of_runs(after),
    )


def _counts_of_runs(seen: ReproductionRun) -> SideCounts:
    return SideCounts(runs=seen.runs, passed=seen.passed, failed=seen.as_claimed)


def suite_check(
    before: Sequence[SuiteRun],
    after: Sequence[SuiteRun],
    old: Sequence[SuiteRun] = (),
    contested: Mapping[str, str] = MappingProxyType({}),
) -> Check:
    """Whether every test that passed in all runs before passes in all runs after.

    Tests whose outcome differs between the runs before are flaky and not counted. Tests that fail
    in the base are noted, not blamed. `old`: runs with the patch and the base's version of changed
    test files; `contested` tests (functions) may fail there, and there only. Each has the name
    that it has with the patch.
    """
    if any(r.results for r in before):
        after = [named_like(before[0], run) for run in after]
        if contested:
            after = [_changed_like(before[0], run, contested) for run in after]
        old = [named_like(before[0], run) for run in old]
        problems, notes = _by_test(before, after, [_without(run, contested) for run in old])
    else:
        problems, notes = _by_exit(before, [*old, *after])
    return Check(
        name="test suite",
        ok=not problems,
        detail=" ".join([*problems, *notes]),
        command=after[-1].command,
        before=cut(before[-1].output, SHOWN_CHARS),
        after=cut(after[-1].output, SHOWN_CHARS),
        tests=tests_seen(before, [*after, *(_without(run, contested) for run in old)]),
        counts_before=_counts_of_tests(before),
        counts_after=_counts_of_tests(after),
        flaky=tuple(name[:_NAME_CHARS] for name in _stable_outcomes(before)[1][:_TESTS_KEPT]),
        passed_files=_passed_files(after),
    )


def _passed_files(runs: Sequence[SuiteRun]) -> tuple[str, ...]:
    """The files of which tests passed, and none ended badly in any run."""
    good: dict[str, bool] = {}
    for name, outcome in _worst_outcomes([run.outcomes for run in runs]).items():
        if outcome != "skipped":
            file = file_of(name)
            good[file] = good.get(file, True) and outcome == "passed"
    found = sorted(file for file, passed in good.items() if passed)
    return tuple(file for file in found if len(file) <= _NAME_CHARS)[:_FILES_KEPT]


def _counts_of_tests(runs: Sequence[SuiteRun]) -> SideCounts | None:
    """Each test by its worst outcome; None where the runner tells nothing of single tests."""
    worst = Counter(_worst_outcomes([run.outcomes for run in runs]).values())
    if not worst:
        return None
    return SideCounts(
        runs=len(runs),
        passed=worst["passed"],
        failed=worst["failed"],
        error=worst["error"],
        skipped=worst["skipped"],
    )


def tests_seen(before: Sequence[SuiteRun], after: Sequence[SuiteRun]) -> tuple[SeenTest, ...]:
    """The tests that did not pass in all runs of both sides, those that changed first."""
    left, right = (
        _worst_outcomes([run.outcomes for run in before]),
        _worst_outcomes([r.outcomes for r in after]),
    )
    reported = [
        SeenTest(name=name[:_NAME_CHARS], before=left.get(name, ""), after=right.get(name, ""))
        for name in left | right
        if (left.get(name), right.get(name)) != ("passed", "passed")
    ]
    return tuple(sorted(reported, key=lambda t: (t.before == t.after, t.name))[:_TESTS_KEPT])


def _worst_outcomes(runs: Sequence[dict[str, Outcome]]) -> dict[str, Outcome]:
    """The worst outcome of each test in some runs."""
    worst: dict[str, Outcome] = {}
    for run in runs:
        for name, outcome in run.items():
            worst[name] = min(worst.get(name, outcome), outcome, key=_WORST_FIRST.index)
    return worst


def function_of(test: str) -> str:
    """A test's name without its parameters."""
    return test.partition("[")[0]


def named_like(before: SuiteRun, after: SuiteRun) -> SuiteRun:
    """A run whose parametrised tests have the names of an earlier run.

    The ids of parameters can come from the code under test. Where a function has as many cases as
    before, those whose names are new are the ones that are gone, in their order.
    """
    had, has = _cases(before), _cases(after)
    renamed: dict[str, str] = {}
    for function, names in has.items():
        gone = [name for name in had.get(function, ()) if name not in names]
        new = [name for name in names if name not in had.get(function, ())]
        if gone and len(gone) == len(new):
            renamed |= dict(zip(new, gone, strict=True))
    if not renamed:
        return after
    results = tuple(
        r.model_copy(update={"name": renamed.get(r.name, r.name)}) for r in after.results
    )
    return after.model_copy(update={"results": results})


def complete_run(whole: SuiteRun, part: SuiteRun, files: Collection[str]) -> SuiteRun:
    """A run of the tests in some files, with a whole run's results for all others."""
    others = tuple(r for r in whole.results if file_of(r.name) not in files)
    return part.model_copy(update={"results": (*others, *part.results)})


def with_former_tests(run: SuiteRun, old: Sequence[SuiteRun]) -> SuiteRun:
    """A run with a change, and the tests that it took out or renamed as they ended in `old`.

    `old`: runs with the change and the base's version of its test files, which still have them.
    """
    has = run.outcomes
    former = {r.name: r for other in old for r in other.results if r.name not in has}
    return run.model_copy(update={"results": (*run.results, *former.values())})


def known_as_flaky(suites: Sequence[SuiteRun], flaky: Collection[str]) -> tuple[SuiteRun, ...]:
    """Runs of the base in which tests that are known not to end the same way each time do not."""
    if not flaky or not suites:
        return tuple(suites)
    first, *others = suites
    results = tuple(
        r.model_copy(update={"outcome": "failed"}) if r.name in flaky else r for r in first.results
    )
    others = others or [first]
    return (first.model_copy(update={"results": results}), *others)


def file_of(test: str) -> str:
    """The file in a test's name; the name itself where it holds none."""
    return test.partition("::")[0]


def _cases(run: SuiteRun) -> dict[str, list[str]]:
    cases: dict[str, list[str]] = {}
    for result in run.results:
        if "[" in result.name:
            cases.setdefault(function_of(result.name), []).append(result.name)
    return cases


def _changed_like(before: SuiteRun, run: SuiteRun, contested: Mapping[str, str]) -> SuiteRun:
    """A run in which contested tests have their former names and cases.

    What such a test says may be other cases, fewer or more: each former one has the worst outcome.
    """
    seen: dict[str, list[TestResult]] = {}
    for result in run.results:
        seen.setdefault(function_of(result.name), []).append(result)
    known = {name for one in contested.items() for name in one}
    former = [r.name for r in before.results if seen.get(contested.get(function_of(r.name), ""))]
    as_before = [
        min(seen[contested[function_of(name)]], key=lambda r: _WORST_FIRST.index(r.outcome))
        for name in former
    ]
    left = [r for r in run.results if function_of(r.name) not in known]
    named = [
        result.model_copy(update={"name": name})
        for name, result in zip(former, as_before, strict=True)
    ]
    return run.model_copy(update={"results": (*left, *named)})


def _without(run: SuiteRun, contested: Collection[str]) -> SuiteRun:
    """A run in which contested tests are taken as passed."""
    results = tuple(
        r.model_copy(update={"outcome": "passed"}) if function_of(r.name) in contested else r
        for r in run.results
    )
    return run.model_copy(update={"results": results})


def _by_test(
    before: Sequence[SuiteRun], after: Sequence[SuiteRun], old: Sequence[SuiteRun]
) -> tuple[list[str], list[str]]:
    steady, flaky = _stable_outcomes(before)
    after = [*old, *after]
    now = [run.outcomes for run in after]
    passed = [name for name, outcome in steady.items() if outcome == "passed"]
    lost = [name for name in passed if any(name not in run for run in now)]
    worse = [name for name in passed if any(run.get(name, "passed") != "passed" for run in now)]
    known = {name for run in before for name in run.outcomes}
    new = sorted({n for run in now for n in run if n not in known})
    new_bad = [n for n in new if any(run.get(n) in ("failed", "error") for run in now)]
    problems = []
    if worse:
        problems.append(
            f"{_count(worse, 'test that passed', 'tests that passed')} before no longer "
            f"{'does' if len(worse) == 1 else 'do'}: {_list(worse)}."
        )
    if lost:
        problems.append(
            f"{_count(lost, 'test that passed', 'tests that passed')} before did not run "
            f"(the run may have ended early): {_list(lost)}."
        )
    if new_bad:
        problems.append(f"New tests fail: {_list(new_bad)}.")
    if any(run.timed_out for run in after):
        problems.append("With the patch the tests ran into their time limit.")
    if any(not run.complete for run in after) and all(run.complete for run in before):
        problems.append("With the patch the test run breaks off early.")
    bad = [name for name, outcome in steady.items() if outcome in ("failed", "error")]
    fixed = [name for name in bad if all(run.get(name) == "passed" for run in now)]
    notes = [
        f"{len(passed)} tests passed before, {len(passed) - len({*lost, *worse})} of them after."
    ]
    if bad:
        notes.append(f"Failing without the patch: {len(bad)}, of which it fixes {len(fixed)}.")
    if flaky:
        notes.append(f"Flaky and not counted: {_list(flaky)}.")
    if new:
        notes.append(f"New tests: {len(new)}.")
    return problems, notes


def _by_exit(before: Sequence[SuiteRun], after: Sequence[SuiteRun]) -> tuple[list[str], list[str]]:
    """For runners that give no results per test."""
    if any(run.timed_out for run in (*before, *after)):
        return ["The tests ran into their time limit, so they prove nothing."], []
    good_before = all(run.exit_code == 0 for run in before)
    good_after = all(run.exit_code == 0 for run in after)
    if good_after:
        return [], ["The test command gives no results per test; it ends with status 0."]
    if good_before:
        return ["The test command ended with status 0 before the patch and fails with it."], []
    if all(run.exit_code == 5 for run in (*before, *after)) and not any(r.results for r in after):
        return [], ["The test command finds no tests, so only the reproduction is evidence."]
    return [
        "The test command fails with and without the patch and gives no results per test, so it "
        "cannot be told whether the patch broke something."
    ], []


def _stable_outcomes(runs: Sequence[SuiteRun]) -> tuple[dict[str, Outcome], list[str]]:
    """Outcomes that are the same in all runs, and the names of the tests that differ."""
    outcomes = [run.outcomes for run in runs]
    names = {name for run in outcomes for name in run}
    flaky = sorted(n for n in names if len({run.get(n) for run in outcomes}) > 1)
    first = outcomes[0]
    return {n: o for n, o in first.items() if n not in flaky}, flaky


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _count(names: Sequence[str], one: str, many: str) -> str:
    return f"{len(names)} {one if len(names) == 1 else many}"
