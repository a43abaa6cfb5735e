"""The search itself: sandboxes of older commits, the reproduction in each, until the answer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from agent.bisection.records import Bisection, Commit, Trial
from agent.bisection.search import Search
from agent.cancellation import within
from agent.errors import AgentError
from agent.gate.compare import ReproductionRun
from agent.gate.sandbox_runs import CannotWrite, run_reproduction
from agent.journal.events import ReproductionDeclared
from agent.text.tracebacks import frames, in_tree
from sandbox.errors import EngineUnavailable, SandboxError
from sandbox.protocol import Sandbox

_UNSEEN = 0.01
"""How probable it may be that a reproduction that fails now and then passes by luck alone."""
_MOST_RUNS = 40
_TRIES = 2
"""A sandbox may die of the machine's doing; a commit is tried so often."""


class CannotRun(AgentError):
    """A commit's environment cannot be made; the message says why."""


class Past(Protocol):
    """A repository's commits, and places to run them."""

    @property
    def commits(self) -> Sequence[Commit]:
        """The base commit and its ancestors, the newest first."""
        ...

    @property
    def places(self) -> int:
        """How many commits may be tried side by side now, at least 1."""
        ...

    def turn(self) -> AbstractAsyncContextManager[object]:
        """A commit is opened within it; it may have to be waited for, as others search, too."""
        ...

    async def open(self, commit: str) -> Sandbox:
        """A fresh sandbox with a commit's tree and its own environment.

        Raises `CannotRun`, `SandboxError`.
        """
        ...

    async def touching(self, paths: Collection[str]) -> Collection[str]:
        """The commits that changed one of these files."""
        ...


@dataclass(frozen=True, slots=True)
class BisectLimits:
    """How much a search may take."""

    runs: int = 40
    minutes: float = 60.0
    run_timeout_s: float = 120.0


async def find_culprit(
    past: Past,
    declared: ReproductionDeclared,
    limits: BisectLimits = BisectLimits(),
    *,
    good: str = "",
    known: Sequence[Trial] = (),
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> Bisection:
    """Find the first commit at which an accepted reproduction fails as claimed.

    The newest commit is taken for bad: the reproduction was seen to fail there. `good`: a commit
    at which it is said to pass, tried first. `known`: what was tried before, by a worker that died.
    Raises `EngineUnavailable`.
    """
    begun = time.monotonic()
    async with past.turn():
        paths = await _paths(past)
    files = {frame.path for frame in in_tree(frames(declared.observed), paths)}
    likely = await past.touching(files - set(declared.files)) if files else ()
    search = Search(past.commits, likely, good_is_known=bool(good))
    trials: list[Trial] = list(known)

    async def try_one(commit: str) -> None:
        async with past.turn():
            trial = await _try(past, commit, declared, limits)
        trials.append(trial)
        on_trial(trial)

    async def try_all(commits: Sequence[str]) -> bool:
        tasks = [asyncio.create_task(try_one(commit)) for commit in commits]
        try:
            await asyncio.gather(*tasks)
        finally:  # after an error, no sandbox of the others stays open
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return True

    first = good and good not in {trial.commit for trial in known}
    chosen: Sequence[str] = [good] if first else ()
    while True:
        # A commit may need a set-up of many minutes: it is broken off when the time is up.
        left_s = limits.minutes * 60 - (time.monotonic() - begun)
        over = left_s <= 0 or not await within(left_s, try_all(chosen))
        over = over or len(trials) >= limits.runs
        if (verdict := search.verdict(trials, limit_reached=over)) is not None:
            return verdict
        places = min(past.places, limits.runs - len(trials))
        chosen = search.next_commits(trials, places)


async def _paths(past: Past) -> Collection[str]:
    """Files of the newest tree."""
    sandbox = await past.open(past.commits[0].id)
    try:
        listed = await sandbox.run("find . -type f -not -path './.git/*' -printf '%P\\n'")
        return listed.text.splitlines()
    finally:
        await sandbox.close()


async def _try(
    past: Past, commit: str, declared: ReproductionDeclared, limits: BisectLimits
) -> Trial:
    begun = time.monotonic()
    why = ""
    for _ in range(_TRIES):
        try:
            sandbox = await past.open(commit)
            try:
                run = await run_reproduction(
                    sandbox,
                    declared,
                    runs_for(declared),
                    limits.run_timeout_s,
                    until_it_fails=True,
                )
            finally:
                await sandbox.close()
        except EngineUnavailable:
            raise
        except (CannotRun, CannotWrite) as error:
            why = str(error)
            break
        except SandboxError as error:
            why = str(error)
            continue
        return outcome_of(commit, run, time.monotonic() - begun)
    took = time.monotonic() - begun
    return Trial(commit=commit, outcome="skipped", why=why[:500], duration_s=took)


def runs_for(declared: ReproductionDeclared) -> int:
    """How often a reproduction has to pass before a commit counts as good."""
    share = declared.failures / max(declared.runs, 1)
    if share >= 1:
        return 1
    return min(_MOST_RUNS, math.ceil(math.log(_UNSEEN) / math.log(1 - max(share, 0.05))))


def outcome_of(commit: str, run: ReproductionRun, duration_s: float = 0.0) -> Trial:
    """What runs of the reproduction say about a commit.

    One that fails for another reason (a name that it uses is not there yet, nothing can be
    imported) says nothing.
    """
    if run.as_claimed:
        return Trial(commit=commit, outcome="bad", duration_s=duration_s)
    if run.passed == run.runs:
        return Trial(commit=commit, outcome="good", duration_s=duration_s)
    lines = [line.strip() for line in run.output.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "")
    why = f"The reproduction fails there for another reason: {last[:300]}"
    return Trial(commit=commit, outcome="skipped", why=why, duration_s=duration_s)
