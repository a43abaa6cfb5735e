"""How well an environment runs a repository's tests, judged by one run on the unchanged tree.

That a set-up ended with status 0 says little: a suite may still skip most of itself for want of a
module, or fail because of a dependency's version. What tells of the environment is weighed here,
and what a bug of the repository's own would show just as well is left out: a few failing tests of a
small suite, or an import of a name that the repository's own modules do not have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from agent.model import Record
from agent.testing.report import SuiteRun, TestResult
from agent.testing.runners import kind_of
from agent.testing.suite import cannot_start, why_not_started
from sandbox.environment.missing import missing_modules

ENVIRONMENT_SHARE = 0.05
"""Most tests that the environment may keep from running, as a share of all."""
PASSING_SHARE = 0.8
"""Least share of tests that pass, in a suite of at least `ENOUGH` tests."""
ENOUGH = 10
COLLECTED_SHARE = 0.3
"""Least number of results as a share of the tree's test functions, where there are `MANY`."""
MANY = 20

_NAMING = (
    *("jest", "vitest", "mocha", "node", "tap", "tape", "ava"),
    *("jasmine", "uvu", "bun", "deno", "playwright", "exunit"),
)

_TEST_FUNCTION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+test", re.M)
_INCOMPATIBLE = re.compile(
    r"cannot import name '[^']+' from '([\w.]+)'|module '([\w.]+)' has no attribute"
)
_WARNING = re.compile(r"^(?:E\s+)?([\w.]*Warning): (.{0,120})", re.M)
_NO_FIXTURE = re.compile(
    r"fixture '\w+' not found|'\w+' not found in `markers`"
    r"|async def functions? (?:are not natively supported|and no async plugin)"
)


class Readiness(Record):
    """What one run of the suite says about the environment."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    faults: tuple[str, ...] = ()
    """Why the environment is not what the suite needs, in sentences; empty: it is."""
    missing: tuple[str, ...] = ()
    """Modules that tests ask for and that are not there."""
    starts: bool = True
    """Whether the runner came as far as the tests."""
    share: float = 1.0
    """The share of tests that pass, those not counted that are skipped for their own reasons."""

    @property
    def ready(self) -> bool:
        """Whether the suite runs well."""
        return not self.faults

    @property
    def score(self) -> tuple[bool, int, int]:
        """For comparing environments of one tree: the higher, the better."""
        return self.starts, self.passed, -(self.errors + self.failed)

    @property
    def summary(self) -> str:
        """The counts, for people."""
        counts = (
            (self.passed, "passed"),
            (self.failed, "failed"),
            (self.errors, "errors"),
            (self.skipped, "skipped"),
        )
        said = [f"{number} {word}" for number, word in counts if number]
        return ", ".join(said) or "no results per test"


def count_test_functions(texts: Sequence[str]) -> int:
    """How many test functions Python files define."""
    return sum(len(_TEST_FUNCTION.findall(text)) for text in texts)


def own_modules(files: Sequence[str]) -> frozenset[str]:
    """The names by which a tree's own Python code is imported; rather too many than too few."""
    found = set()
    for file in files:
        if not file.endswith(".py"):
            continue
        path = PurePosixPath(file)
        found |= {path.stem, *path.parts[:2]}
    return frozenset(found)


def judge_suite(run: SuiteRun, functions: int = 0, own: Collection[str] = ()) -> Readiness:
    """What a run on the unchanged tree says about the environment.

    `functions`: how many test functions the tree defines; 0: not known. `own`: names of the tree's
    own modules; that one of them cannot be imported is no fault of the environment.
    """
    counts = Counter(result.outcome for result in run.results)
    by_cause: Counter[str] = Counter()
    modules: Counter[str] = Counter()
    skipped_for_want = 0
    for result in run.results:
        wanted = _missing(result, own)
        modules.update(wanted)
        if result.outcome == "skipped":
            skipped_for_want += bool(wanted)
        elif wanted or (cause := _cause(result, own)):
            by_cause["" if wanted else cause] += 1
    starts = not cannot_start(run) and not _without_results(run)
    if not run.results and run.exit_code:
        modules.update(m for m in missing_modules(run.output) if _top(m) not in own)
    missing = tuple(name for name, _ in modules.most_common(20))
    considered = counts["passed"] + counts["failed"] + counts["error"] + skipped_for_want
    faults = []
    if not starts:
        faults.append(f"The suite cannot start: {why_not_started(run.output)}")
    spoilt = sum(by_cause.values()) + skipped_for_want
    if considered and spoilt > ENVIRONMENT_SHARE * considered:
        faults.append(_spoilt(spoilt, considered, by_cause, missing))
    elif considered >= ENOUGH and counts["passed"] < PASSING_SHARE * considered:
        faults.append(f"Only {counts['passed']} of {considered} tests pass.")
    if starts and _too_few(run, functions):
        faults.append(
            f"Only {len(run.results)} of about {functions} tests were found by the runner."
        )
    return Readiness(
        passed=counts["passed"],
        failed=counts["failed"],
        errors=counts["error"],
        skipped=counts["skipped"],
        faults=tuple(faults),
        missing=missing,
        starts=starts,
        share=counts["passed"] / considered if considered else float(starts),
    )


def _without_results(run: SuiteRun) -> bool:
    """Whether a runner that names each test failed and named none: it, or its settings, broke."""
    parts = run.parts or (run,)
    return all(
        not part.results and bool(part.exit_code) and kind_of(part.command) in _NAMING
        for part in parts
    )


def _too_few(run: SuiteRun, functions: int) -> bool:
    kinds = {kind_of(part.command) for part in run.parts or (run,)}
    return (
        kinds == {"pytest"}
        and not run.timed_out
        and functions >= MANY
        and len(run.results) < COLLECTED_SHARE * functions
    )


def _missing(result: TestResult, own: Collection[str]) -> set[str]:
    if result.outcome == "passed":
        return set()
    return {m for m in missing_modules(result.message) if _top(m) not in own}


def _cause(result: TestResult, own: Collection[str]) -> str:
    """What of the environment keeps a test from running, in words; empty: nothing that shows."""
    if result.outcome not in ("failed", "error"):
        return ""
    if found := _NO_FIXTURE.search(result.message):
        return found[0]
    for names in _INCOMPATIBLE.findall(result.message):
        if (module := names[0] or names[1]) and _top(module) not in own:
            return f"{module} has another version than the code expects"
    if result.outcome == "error" and (found := _WARNING.search(result.message)):
        return f"a warning is an error: {found[1]}: {found[2].strip()}"
    return ""


def _spoilt(number: int, of: int, causes: Counter[str], missing: Sequence[str]) -> str:
    named = [cause for cause, _ in causes.most_common(3) if cause]
    if missing:
        named.insert(0, f"not installed: {', '.join(missing[:5])}")
    return f"{number} of {of} tests cannot run in this environment ({'; '.join(named)})."


def _top(module: str) -> str:
    return module.split(".")[0]
