"""What a check found, as a record, and the conclusions from several runs of a suite."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.model import Record
from agent.task import GatePolicy
from agent.testing.report import SuiteRun

MOST_NAMES = 20
SLOWEST = 10
GATE_RUNS = 4
"""The gate runs the suite twice without a patch and twice with it."""

_NETWORK = re.compile(
    r"Temporary failure in name resolution|Name or service not known|getaddrinfo|nodename nor"
    r"|Network is unreachable|ENOTFOUND|EAI_AGAIN|ENETUNREACH|NameResolutionError"
    r"|Could not resolve host|dial tcp: lookup",
    re.IGNORECASE,
)


_ABSENT = "did not run"


class SlowTest(Record):
    """A test and its longest run."""

    name: str
    seconds: float


class ToolVersion(Record):
    """A toolchain: what is there, and what the repository states of it."""

    tool: str
    present: str
    """Empty: not there, or not known."""
    stated: tuple[str, ...] = ()
    """As "range (file)", those that bind first."""


class CheckReport(Record):
    """Everything that a check says."""

    repository: str
    commit: str
    ready: bool
    """Whether there are tests, and the environment is not degraded."""
    environment: str
    """Where it was read."""
    image: str
    cached: bool
    """Whether the image was there already; its seconds are then those of finding it."""
    setup_s: float
    test_command: str
    """Empty: there are no tests that could be found."""
    suite_s: float
    """Of the first run."""
    tests: dict[str, int]
    """Of the first run, by outcome."""
    runs: int
    """How often the suite was run."""
    failing: tuple[str, ...] = ()
    """Tests that fail in every run, the first of them."""
    failing_count: int = 0
    flaky: tuple[str, ...] = ()
    """Tests whose outcome is not the same in all runs."""
    not_always: tuple[str, ...] = ()
    """Tests that are not in every run under their name."""
    network: tuple[str, ...] = ()
    """Tests that fail for want of a network, which a run has not."""
    slowest: tuple[SlowTest, ...] = ()
    versions: tuple[ToolVersion, ...] = ()
    degraded: str = ""
    """Why the environment is less than the repository needs, with what would help."""
    failed: tuple[str, ...] = ()
    """Environments that could not be made: the first line of why."""
    others: tuple[str, ...] = ()
    """Environments that were made and run the suite worse."""
    recipe: str = ""
    """Lines for `.github/patchwright.yml` that keep this environment."""
    gate_least_s: float = 0.0
    gate_most_s: float = 0.0
    """What proving a patch takes: the suite's runs alone, and with all further evidence."""


class Runs(Record):
    """What several runs of one suite say together."""

    failing: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()
    not_always: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    slowest: tuple[SlowTest, ...] = ()


def together(runs: Sequence[SuiteRun]) -> Runs:
    """What fails in every run, is flaky or not in every run, wants a network, or is slow.

    Each list is in the first run's order.
    """
    seen: dict[str, set[str]] = {name: set() for run in runs for name in run.outcomes}
    seconds: dict[str, float] = {}
    network: dict[str, None] = {}
    for run in runs:
        outcomes = run.outcomes
        for name, words in seen.items():
            outcome = outcomes.get(name, _ABSENT)
            words.add("failed" if outcome == "error" else outcome)
        for result in run.results:
            # One that took longer than its run has moved the clock.
            if not run.duration_s or result.duration_s <= run.duration_s:
                seconds[result.name] = max(seconds.get(result.name, 0.0), result.duration_s)
            if result.outcome in ("failed", "error") and _NETWORK.search(result.message):
                network[result.name] = None
    slow = sorted(seconds.items(), key=lambda item: -item[1])[:SLOWEST]
    return Runs(
        failing=tuple(n for n, words in seen.items() if words == {"failed"}),
        flaky=tuple(n for n, words in seen.items() if len(words - {_ABSENT}) > 1),
        not_always=tuple(n for n, words in seen.items() if _ABSENT in words),
        network=tuple(network),
        slowest=tuple(SlowTest(name=n, seconds=round(s, 3)) for n, s in slow if s > 0),
    )


def gate_seconds(suite_s: float, policy: GatePolicy) -> tuple[float, float]:
    """What the gate takes to prove a patch, in seconds: its suite runs, and with all evidence.

    Opening sandboxes and the reproduction come on top; they take seconds.
    """
    least = GATE_RUNS * suite_s
    return round(least, 1), round(least + max(policy.suite_runs * suite_s, policy.evidence_s), 1)
