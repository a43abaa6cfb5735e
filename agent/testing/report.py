"""What a test run said, test by test."""

from __future__ import annotations

from typing import Literal

from agent.model import Record

Outcome = Literal["passed", "failed", "error", "skipped"]


class TestResult(Record):
    """One test's outcome."""

    __test__ = False

    name: str
    """As the runner can take it back, e.g. `tests/test_a.py::test_b[1]`."""
    outcome: Outcome
    message: str = ""
    """Failure text, cut to a few kilobytes."""
    duration_s: float = 0.0


class SuiteRun(Record):
    """One run of a test command."""

    command: str
    exit_code: int | None
    output: str
    """Everything it printed, as text."""
    results: tuple[TestResult, ...] = ()
    """Empty where the runner gave no per-test results; then only `exit_code` speaks."""
    timed_out: bool = False
    duration_s: float = 0.0

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Outcome per test name."""
        return {r.name: r.outcome for r in self.results}

    @property
    def failing(self) -> tuple[str, ...]:
        """Names of the tests that failed or could not run."""
        return tuple(r.name for r in self.results if r.outcome in ("failed", "error"))
