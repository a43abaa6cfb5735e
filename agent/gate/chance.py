"""How often a reproduction must run for its outcome not to be luck.

A patch that changes nothing leaves the chance p of a failure as it was. Whatever p is, such patches
pass for repairs with a probability below `OVERLOOKED` over a whole run, all its submissions taken
together: each try has a share of it, and later tries need more runs.

Where all r runs without the patch fail and all r with it pass, that probability is (p(1-p))^r, at
most 4^-r. Where some fail, Fisher's exact test compares the two sides, with so many runs that no p
takes the sum over all outcomes above the share (`tests/unit/agent/gate/test_chance.py` adds it up).
"""

from __future__ import annotations

import math

OVERLOOKED = 0.01
"""Chance that we accept for any submission of a run to pass by luck alone."""
MOST_RUNS = 60
"""With the patch; a bug that needs more shows itself too seldom to be called repaired."""
RUNS_IF_FLAKY = 20
"""Without the patch, where it does not always fail."""
ONE_OF_TWENTY = OVERLOOKED / 20
"""The share of a try of which it is not known which one it is."""

_FIRST = 0.8
"""The first try's part: most patches need no second one."""
_UNDISTURBED = 0.99
"""The part of tries before which no sandbox died: code could end its own to be tried again."""
_OF_STEADY = 0.65
"""The part of a try's share that bugs which fail every time may take."""


def share(attempt: int, earlier: int, deaths: int = 0) -> float:
    """A try's part of `OVERLOOKED`; all parts together are no more than that.

    `attempt` counts from 1, `earlier` says how many submissions of it were judged before, `deaths`
    how often this submission was tried before and a sandbox died.
    """
    submission = _part(attempt, _FIRST) * _part(earlier + 1, _FIRST)
    return OVERLOOKED * submission * _part(deaths + 1, _UNDISTURBED)


def _part(number: int, first: float) -> float:
    """Parts that add up to 1 over all numbers from 1 on."""
    return first if number <= 1 else (1 - first) / ((number - 1) * number)


def steady_runs(share: float) -> int:
    """How often a bug must fail without the patch, and its reproduction pass with it."""
    return math.ceil(-math.log(share * _OF_STEADY, 4))


def passes_needed(runs: int, failed: int, share: float) -> int:
    """How often a reproduction must pass in a row that failed in some runs without the patch."""
    steady = steady_runs(share)
    if failed in (0, runs):
        return steady
    needed = steady
    while math.comb(runs, failed) > share * math.comb(runs + needed, failed):
        needed += max(1, needed // 20)
    return needed
