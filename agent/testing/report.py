"""What a test run said, test by test."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from agent.model import Record

Outcome = Literal["passed", "failed", "error", "skipped"]


def finite_seconds(value: object) -> float:
    """A report's number of seconds; 0 for what is none, or has no place in JSON (infinity)."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return seconds if 0 < seconds < _LONGEST_S else 0.0


_LONGEST_S = 1e9


class TestResult(Record):
    """One test's outcome."""

    __test__ = False

    name: str
    """As the runner can take it back, e.g. `tests/test_a.py::test_b[1]`."""
    outcome: Outcome
    message: str = ""
    """Failure text, cut to a few kilobytes."""
    duration_s: Annotated[float, BeforeValidator(finite_seconds)] = 0.0


Function = tuple[str, int]
"""A function of a watched file: the file's path below the root, and the function's first line."""


class Entered(Record):
    """Which functions of watched files were entered in a run of tests."""

    files: tuple[str, ...]
    """The files whose functions were watched: what is said holds for these alone."""
    by_test: dict[str, tuple[Function, ...]]
    """Of each test, those that it entered; a test that is missing here may have entered any."""
    outside_of_tests: tuple[Function, ...]
    """Those that were entered on import or while a test was set up: several tests may share what
    came of it."""


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
    complete: bool = True
    """Whether the runner went through all tests: False where its report breaks off."""
    folder: str = "."
    """Where it ran, below the root."""
    entered: Entered | None = None
    """Which functions of watched files its tests entered; None: not known."""
    parts: tuple[SuiteRun, ...] = ()
    """The runs of the single projects, where the command has several; `results` holds all."""

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Outcome per test name."""
        return {r.name: r.outcome for r in self.results}

    @property
    def failed(self) -> bool:
        """Whether something went wrong. Results per test decide where there are any: an exit status
        can mean coverage, warnings or a limit on slow tests as well."""
        if self.timed_out or not self.results:
            return self.timed_out or self.exit_code != 0
        return bool(self.failing) or not self.complete

    @property
    def failing(self) -> tuple[str, ...]:
        """Names of the tests that failed or could not run."""
        return tuple(r.name for r in self.results if r.outcome in ("failed", "error"))
