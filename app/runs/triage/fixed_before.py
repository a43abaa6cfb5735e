"""Whether a bug was fixed already: the reproduction fails at an older commit and passes now.

What cannot be reproduced on the tip is tried where the issue was written: at the version that it
names, or the commit that the branch was at then. Only if it fails there and passes on the tip is
there evidence; the commit that made it pass is found as the one is that broke something.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from agent.bisection.bisect import BisectLimits, Past, find_culprit
from agent.bisection.records import Commit
from agent.journal.events import ReproductionDeclared
from sandbox.protocol import Sandbox

MOST_RUNS = 20
MOST_MINUTES = 20.0


def first_parents(commits: Sequence[Commit]) -> tuple[Commit, ...]:
    """The newest commit and what its branch was at before, commit by commit."""
    by_id = {commit.id: commit for commit in commits}
    chain = [commits[0]] if commits else []
    while chain and chain[-1].parents and (before := by_id.get(chain[-1].parents[0])):
        chain.append(before)
    return tuple(chain)


def place_then(chain: Sequence[Commit], tagged: str, opened: datetime | None) -> int:
    """The place in the chain to look at: the commit of the version that the issue names, else the
    last one before the issue was opened; 0: nothing has changed since, or nobody knows."""
    places = {commit.id: place for place, commit in enumerate(chain)}
    if tagged in places:
        return places[tagged]
    if opened is None:
        return 0
    before = (place for place, commit in enumerate(chain) if commit.at <= opened.timestamp())
    return next(before, 0)


class Since:
    """Commits from an old one to the newest, as a past in which the old one comes last.

    A search in it finds the last commit at which something fails.
    """

    def __init__(self, past: Past, chain: Sequence[Commit]) -> None:
        """`chain`: each commit after what came of it, the newest first."""
        self._past = past
        order = list(reversed(chain))
        after: list[Commit | None] = [*order[1:], None]
        self.commits: Sequence[Commit] = tuple(
            each.model_copy(update={"parents": (later.id,) if later else ()})
            for each, later in zip(order, after, strict=True)
        )
        """The old commit first; what follows each stands for its parents."""

    @property
    def places(self) -> int:
        """How many commits may be tried side by side now."""
        return self._past.places

    def turn(self) -> AbstractAsyncContextManager[object]:
        """As that of the whole past."""
        return self._past.turn()

    async def open(self, commit: str) -> Sandbox:
        """A fresh sandbox with a commit's tree. Raises `CannotRun`, `SandboxError`."""
        return await self._past.open(commit)

    async def touching(self, paths: Collection[str]) -> Collection[str]:
        """What follows a commit that changed one of these files is as likely as any."""
        return ()


async def fixing_commit(
    past: Past, chain: Sequence[Commit], declared: ReproductionDeclared, timeout_s: float
) -> str:
    """The commit of the chain that made a reproduction pass; empty where that cannot be said.

    The reproduction was seen to fail at the chain's last commit, and to pass at its first.
    Raises `EngineUnavailable`.
    """
    limits = BisectLimits(runs=MOST_RUNS, minutes=MOST_MINUTES, run_timeout_s=timeout_s)
    found = await find_culprit(Since(past, chain), declared, limits, good=chain[0].id)
    return found.last_good[0] if found.finding == "found" and found.last_good else ""
