"""Tests that failed with a change, told apart: broken by it, or flaky.

One run says little of a test that does not always end the same way. So what failed runs again,
without the change and with it, and only what passes each time without it and never with it is
broken.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent.gate.compare import file_of
from agent.model import Record
from agent.testing.report import SuiteRun


class RepeatedRuns(Record):
    """The runs that tell suspected tests apart, as many on each side."""

    before: tuple[SuiteRun, ...]
    """Without the change."""
    after: tuple[SuiteRun, ...]
    """With it."""
    old_after: tuple[SuiteRun, ...] = ()
    """With it, but the base's version of its test files."""


class ToldApart(Record):
    """What repeated runs say of the tests that failed with a change."""

    broken: tuple[str, ...] = ()
    """They pass each time without the change, and never with it."""
    flaky: tuple[str, ...] = ()
    """They do not end the same way each time, on either side."""
    unclear: tuple[str, ...] = ()
    """They pass each time without the change and seldom with it, or only as the change edits
    them; or they never pass without it, where they run by themselves."""


def tell_apart(
    suspects: Sequence[str], runs: RepeatedRuns, edited_files: Collection[str]
) -> ToldApart:
    """What the runs say of each suspect. `edited_files`: tests in them run as the base has them,
    too, and must pass there as well."""
    broken, flaky, unclear = [], [], []
    for name in suspects:
        before, after = _passes(name, runs.before), _passes(name, runs.after)
        old = _passes(name, runs.old_after) if file_of(name) in edited_files else len(runs.after)
        if before == len(runs.before) and not after:
            broken.append(name)
        elif before and (before < len(runs.before) or min(after, old) > len(runs.after) / 2):
            flaky.append(name)
        else:
            unclear.append(name)
    return ToldApart(broken=tuple(broken), flaky=tuple(flaky), unclear=tuple(unclear))


def never_pass_alone(suspects: Sequence[str], runs: RepeatedRuns) -> tuple[str, ...]:
    """The suspects that never pass without the change: they may need what other tests leave."""
    return tuple(name for name in suspects if not _passes(name, runs.before))


def _passes(name: str, runs: Sequence[SuiteRun]) -> int:
    return sum(run.outcomes.get(name) == "passed" for run in runs)
