"""What a search through the history works on, and what it says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from agent.journal.events import CommitOutcome as Outcome
from agent.model import Record

__all__ = ["Bisection", "Commit", "Finding", "Outcome", "Trial", "day_of"]


class Commit(Record):
    """A commit of the history. Its words are its author's: untrusted."""

    id: str
    parents: tuple[str, ...]
    """Also those that the history does not hold."""
    subject: str = ""
    author: str = ""
    at: int = 0
    """When it was committed, in seconds since 1970."""


class Trial(Record):
    """The reproduction at one commit."""

    commit: str
    outcome: Outcome
    why: str = ""
    """Why a commit was skipped."""
    duration_s: float = 0.0


Finding = Literal["found", "range", "since_beginning", "contradiction", "unfinished"]


class Bisection(Record):
    """The end of a search."""

    finding: Finding
    """`range`: one of `suspects`, between which nothing can be run. `contradiction`: it passes at a
    commit though it fails at an older one, so there is no first bad commit. `unfinished`: the
    limits came first."""
    culprit: str = ""
    """The first bad commit, with `found`; the first of what is known, with `since_beginning`."""
    last_good: tuple[str, ...] = ()
    """The culprit's parents, at which the reproduction passes."""
    suspects: tuple[str, ...] = ()
    """With `range` and `unfinished`: one of these is the first bad commit. Newest first."""
    commits: int = 0
    """How many commits were searched."""
    trials: tuple[Trial, ...] = ()

    @property
    def runs(self) -> int:
        """How often the reproduction was tried."""
        return len(self.trials)


def day_of(at: int) -> str:
    """The day (UTC) of a commit's time, in seconds since 1970; git takes any number for one."""
    try:
        return datetime.fromtimestamp(at, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return "no date"
