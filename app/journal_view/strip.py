"""A search for the commit that broke it, as a strip of commits from the oldest to the newest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from agent.journal.events import CommitOutcome, CommitTried, CulpritSearched


@dataclass(frozen=True, slots=True)
class TriedCommit:
    """A commit at which the reproduction was run."""

    commit: str
    subject: str
    outcome: CommitOutcome
    why: str
    is_culprit: bool = False


@dataclass(frozen=True, slots=True)
class Untried:
    """Commits between two that were tried."""

    commits: int


@dataclass(frozen=True, slots=True)
class Strip:
    """A search so far."""

    attempt: int
    parts: tuple[TriedCommit | Untried, ...]
    """From the oldest to the newest; in the order of the tries where places are not known."""
    tried: int
    of: int
    """How many commits are searched; 0: not known."""
    answer: CulpritSearched | None
    """None while it is searched."""


def strip(
    attempt: int, tries: Sequence[CommitTried], answer: CulpritSearched | None = None
) -> Strip:
    """The strip of a search."""
    culprit = answer.commit if answer and answer.finding == "found" else ""
    ordered = sorted(tries, key=lambda tried: -tried.place)  # stable
    parts: list[TriedCommit | Untried] = []
    for before, tried in pairwise([None, *ordered]):
        assert tried is not None
        older = (before.place if before else tried.of) - tried.place - 1
        if tried.place >= 0 and older > 0:
            parts.append(Untried(older))
        parts.append(
            TriedCommit(
                tried.commit,
                tried.subject,
                tried.outcome,
                tried.why,
                is_culprit=tried.commit == culprit,
            )
        )
    newest = ordered[-1].place if ordered else -1
    if newest > 0:
        parts.append(Untried(newest))
    of = max((tried.of for tried in tries), default=0)
    return Strip(attempt, tuple(parts), len(tries), of, answer)
