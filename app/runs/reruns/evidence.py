"""Whether a failed CI job is run again: only where something says that it failed by chance."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from agent.gate.compare import file_of, function_of
from agent.journal.events import GateJudged
from app.runs.reruns.log_signs import FailedTest, LogSigns

MOST_RERUNS = 2
"""Times that a job of one commit is run again."""
OLDEST_DAYS = 29
"""GitHub runs no job again that is older than 30 days."""
SUITE = "test suite"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What is known of a failed job."""

    attempt: int
    """How often its workflow ran for this commit, this time included; people's re-runs count."""
    signs: LogSigns
    flaky: frozenset[str] = frozenset()
    """Tests that the gate saw end in different ways without the change."""
    passed_files: frozenset[str] = frozenset()
    """Files whose tests passed with the change in each of the gate's runs."""
    changed: frozenset[str] = frozenset()
    """The files that the pull request changes."""
    both_ways: str = ""
    """A commit of the base branch on which the same job failed and passed; empty: none is known."""


def evidence(job: JobFacts) -> str:
    """Why the job is to be run again, in a sentence; empty: nothing says so. May hold words of the
    log and names of tests: untrusted."""
    if job.attempt > MOST_RERUNS:
        return ""
    if job.signs.infrastructure:
        return f"Its machine or the network failed: {job.signs.infrastructure}"
    tests = job.signs.tests
    if tests and all(_is_flaky(test, job.flaky) for test in tests):
        return f"These tests are flaky without the change, too: {_named(tests)}"
    if job.both_ways:
        return (
            f"On {job.both_ways[:12]} of the base branch the same job failed, and passed without a "
            "change"
        )
    if job.attempt == 1 and tests and all(_is_untouched(test, job) for test in tests):
        return (
            f"The change leaves these tests alone, and they passed with it in the gate: "
            f"{_named(tests)}"
        )
    return ""


def _is_flaky(test: FailedTest, known: Collection[str]) -> bool:
    """Whether a test is known to be flaky, by all that the log tells of it."""
    if not test.name:
        return False
    return any(
        _last_part(name) == _last_part(test.name) and (not test.file or file_of(name) == test.file)
        for name in known
    )


def _last_part(name: str) -> str:
    return function_of(name).rpartition("::")[2].rpartition(".")[2]


def _is_untouched(test: FailedTest, job: JobFacts) -> bool:
    return bool(test.file) and test.file in job.passed_files and test.file not in job.changed


def _named(tests: Sequence[FailedTest]) -> str:
    names = ["::".join(part for part in (test.file, test.name) if part) for test in tests]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def known_flaky(judgements: Sequence[GateJudged]) -> frozenset[str]:
    """The tests that any of the gate's suites without the patch showed to be flaky."""
    return frozenset(
        name
        for judged in judgements
        for check in judged.checks
        if check.name == SUITE
        for name in check.flaky
    )


def passed_files(judged: GateJudged | None) -> frozenset[str]:
    """The files whose tests passed with the patch, by the last suite of a verdict."""
    suites = [check for check in judged.checks if check.name == SUITE] if judged else []
    return frozenset(suites[-1].passed_files) if suites else frozenset()
