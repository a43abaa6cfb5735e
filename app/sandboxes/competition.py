"""Environments compete by what the suite does in them: the first that runs it well is taken.

Where none does, the one in which most tests pass is, and what is wrong with it is said.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.journal.events import EnvironmentPrepared
from app.repo_config.schema import PATH
from app.sandboxes.trial import Trial
from sandbox.environment.choose import BARE
from sandbox.environment.missing import broken_checkers, missing_distributions
from sandbox.environment.python import venv_with, venv_without
from sandbox.environment.records import Environment, Step
from sandbox.setup.records import PreparedEnvironment, SetupFailed

MOST = 0.5
"""The share of tests that must pass where a degraded environment is to prove anything."""

_ROUNDS = 4
"""Most set-ups in a row that bring what the suite then says it misses."""

Prepare = Callable[[Environment], Awaitable[PreparedEnvironment]]
"""Makes an environment. Raises `SetupFailed`."""
Try = Callable[[PreparedEnvironment], Awaitable[Trial | None]]
"""Runs the suite in an environment; None: there is nothing to run."""


@dataclass(frozen=True, slots=True)
class Competitor:
    """An environment that was made, and what the suite did in it."""

    prepared: PreparedEnvironment
    trial: Trial | None

    @property
    def wins(self) -> bool:
        """Whether no other needs to be tried."""
        return self.trial is None or self.trial.readiness.ready

    @property
    def said(self) -> str:
        """A line about it, for people."""
        name = self.prepared.environment.source
        if self.trial is None:
            return f"{name}: there are no tests to run."
        why = " ".join(self.trial.readiness.faults)
        return f"{name}: {self.trial.readiness.summary}. {why}".rstrip()


@dataclass(frozen=True, slots=True)
class Result:
    """Which environment won, and what became of the others."""

    best: Competitor
    failed: tuple[SetupFailed, ...]
    """Those that could not be made."""
    others: tuple[str, ...]
    """Those that were made and are worse, a line each."""
    wanted: tuple[str, ...] = ()
    """Distributions that would bring what the best one's suite misses."""


async def compete(
    candidates: Sequence[Environment],
    prepare: Prepare,
    run_suite: Try,
    manifests: Mapping[str, str],
    *,
    deadline: float,
    progress: Callable[[str], None],
) -> Result:
    """Try environments in their order until one runs the suite well; the bare image comes last.

    A suite that misses what a distribution of PyPI would bring is tried again with that. After
    `deadline` (of `time.monotonic`) no other is begun, if there is one. Raises `SetupFailed` where
    one that was asked for fails.
    """
    failed: list[SetupFailed] = []
    made: list[Competitor] = []
    for environment in candidates:
        if made and (environment.is_bare or time.monotonic() > deadline):
            break
        if made and environment.in_part:
            continue
        if environment.lacks and any(not one.prepared.environment.lacks for one in made):
            continue
        try:
            prepared = await prepare(environment)
            made.append(Competitor(prepared, await run_suite(prepared)))
            if not made[-1].wins:
                progress(made[-1].said)
                made += await _with_what_is_missing(
                    made[-1], prepare, run_suite, manifests, deadline
                )
        except SetupFailed as error:
            if environment.explicit:
                raise
            failed.append(error)
        if made and made[-1].wins:
            break
    best = max(made, key=_rank)
    others = tuple(one.said for one in made if one is not best)
    return Result(best, tuple(failed), others, _wanted(best.trial, manifests))


async def _with_what_is_missing(
    worse: Competitor,
    prepare: Prepare,
    run_suite: Try,
    manifests: Mapping[str, str],
    deadline: float,
) -> list[Competitor]:
    """The same environment with the distributions that the suite says it misses, round by round,
    and without checkers of style that keep it from starting.

    A suite that stops at its first failing import names one of several at a time.
    """
    made: list[Competitor] = []
    tried: set[str] = set()
    while len(made) < _ROUNDS and not (made and time.monotonic() > deadline):
        last = made[-1] if made else worse
        wanted = tuple(name for name in _wanted(last.trial, manifests) if name not in tried)
        broken = tuple(name for name in broken_checkers(_said(last.trial)) if name not in tried)
        if not wanted and not broken:
            break
        tried |= {*wanted, *broken}
        before = last.prepared.environment.steps
        steps = (
            *(venv_with(wanted, before) if wanted else ()),
            *(venv_without(broken) if broken else ()),
        )
        changes = [f"with {', '.join(wanted)}"] * bool(wanted)
        changes += [f"without {', '.join(broken)}"] * bool(broken)
        try:
            made.append(await _with(steps, changes, last.prepared, prepare, run_suite))
        except SetupFailed:
            if not made:
                raise
            break
    return made


async def _with(
    steps: tuple[Step, ...],
    changes: Sequence[str],
    prepared: PreparedEnvironment,
    prepare: Prepare,
    run_suite: Try,
) -> Competitor:
    before = prepared.environment
    source = ", ".join((before.source, *changes))
    more = replace(before.with_more(prepared.image, steps), source=source)
    made = await prepare(more)
    whole = replace(before, source=source, steps=(*before.steps, *steps))
    return replace(Competitor(replace(made, environment=whole), None), trial=await run_suite(made))


def _wanted(trial: Trial | None, manifests: Mapping[str, str]) -> tuple[str, ...]:
    """The distributions that would bring what a suite says it misses."""
    return missing_distributions(_said(trial), manifests)


def _said(trial: Trial | None) -> str:
    """What a suite that does not run well says of its tests, or of why none ran."""
    if trial is None or trial.readiness.ready:
        return ""
    said = [trial.run.output[-20_000:]] if not trial.run.results else []
    said += [r.message for r in trial.run.results if r.outcome != "passed"]
    return "\n".join(said)


def _rank(one: Competitor) -> tuple[bool, bool, int, int]:
    if one.trial is None:
        return True, True, 0, 0
    return (one.wins, *one.trial.readiness.score)


def why_degraded(result: Result) -> str:
    """Why the best environment is less than the repository needs, in sentences; else empty."""
    environment, trial = result.best.prepared.environment, result.best.trial
    said = []
    if environment.source == BARE and result.failed:
        said.append(failure_in_a_sentence(str(result.failed[0])))
    if environment.lacks:
        said.append(environment.lacks)
    if trial is not None and trial.readiness.faults:
        said += [*trial.readiness.faults, what_would_help(trial, result.wanted)]
    return " ".join(part for part in said if part)


def speaks_in_part(result: Result) -> bool:
    """Whether a degraded environment's tests still speak for what they reach.

    So it is where only some of them are kept from running; not where the bare image had to do, or
    the project refuses the toolchain.
    """
    environment, trial = result.best.prepared.environment, result.best.trial
    whole = not environment.lacks and not (environment.source == BARE and result.failed)
    return whole and trial is not None and trial.readiness.share >= MOST


def unfit_by(event: EnvironmentPrepared) -> str:
    """Why nothing can be proven in a run's environment, by its journal; empty if it can."""
    return "" if event.speaks_in_part else degraded_by(event)


def degraded_by(event: EnvironmentPrepared) -> str:
    """Why a run's environment is less than its repository needs, by its journal; else empty.

    Journals of earlier versions say only what failed before the bare image had to do.
    """
    if event.degraded or event.source != BARE or not event.failed:
        return event.degraded
    return failure_in_a_sentence(event.failed[0])


def failure_in_a_sentence(text: str) -> str:
    """The first line of what a set-up's failure says."""
    first = text.splitlines()[0] if text else "its set-up failed"
    return f"{first.rstrip(':.')[:300]}."


def what_would_help(trial: Trial, wanted: Sequence[str]) -> str:
    """The line for the repository's settings that would help, in a sentence.

    Only known distributions are named in a command that people may copy: the names of modules come
    from what the tests print.
    """
    readiness = trial.readiness
    if wanted:
        command = f"pip install {' '.join(wanted[:5])}"
        return f"A line in {PATH} would help: `setup: ['{command}']`."
    if readiness.missing:
        return f"A line in {PATH} would help: `setup` with the commands that install these modules."
    if not readiness.starts:
        return (
            f"A line in {PATH} would help: `setup` with the commands that install what the suite "
            "needs, or `test_command` with another command."
        )
    return f"If the project has a set-up of its own, put its commands under `setup` in {PATH}."
