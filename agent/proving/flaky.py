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


def unexplained_alone(
    suspects: Sequence[str], runs: RepeatedRuns, edited_files: Collection[str]
) -> tuple[str, ...]:
    """The suspects of which runs by themselves say nothing: they never pass without the change, or
    always on every side. They may need, or suffer from, what other tests leave behind."""
    told = []
    for name in suspects:
        sides = [runs.before, runs.after]
        sides += [runs.old_after] if file_of(name) in edited_files else []
        passes = [_passes(name, side) == len(side) for side in sides]
        if all(passes) or not _passes(name, runs.before):
            told.append(name)
    return tuple(told)


def _passes(name: str, runs: Sequence[SuiteRun]) -> int:
    return sum(run.outcomes.get(name) == "passed" for run in runs)
