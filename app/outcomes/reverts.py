"""Commits that take an earlier one back, by their messages.

Facts: `git revert` writes `This reverts commit ID.`, of a merge `This reverts commit ID, reversing
changes made to ID.` (git-revert's documentation and source). The revert of a revert is titled
`Reapply "…"` since git 2.43, `Revert "Revert "…""` before. GitHub's button *Revert* opens a pull
request titled `Revert "…"` whose text is `Reverts owner/name#N`; squashed, its commit may have
either (docs.github.com, "Reverting a pull request").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

WORDS = ("This reverts commit", "Reverts ", 'Revert "')
"""What the messages of such commits have; other commits need not be read."""
_IDS = re.compile(r"This reverts commits? ((?:[0-9a-f]{7,64}[\s,.]*(?:and\s+)?)+)", re.IGNORECASE)
_ID = re.compile(r"\b[0-9a-f]{7,64}\b")
_PULL = re.compile(r"^Reverts (?:([\w.-]+/[\w.-]+))?#(\d+)\.?\s*$", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r" \(#\d+\)$")
_TITLE = re.compile(r'^Revert "(.*)"(?: \(#\d+\))?$')


@dataclass(frozen=True, slots=True)
class LaterCommit:
    """A commit of the branch after a merge."""

    id: str
    at: datetime
    message: str
    """Untrusted."""


@dataclass(frozen=True, slots=True)
class MergedChange:
    """The change that may have been taken back."""

    commits: tuple[str, ...]
    """Those of the branch that it is."""
    titles: frozenset[str]
    """What those commits and the pull request are called (see `titles_of`)."""
    pull: int
    repository: str
    """`owner/name`."""


def named_ids(message: str) -> tuple[str, ...]:
    """The ids, or beginnings of ids, that a message says to revert."""
    return tuple(found for part in _IDS.findall(message) for found in _ID.findall(part))


def takes_back(message: str, merged: MergedChange) -> bool:
    """Whether a commit's message says that it reverts this change."""
    if _names(message, merged.commits):
        return True
    for repository, number in _PULL.findall(message):
        ours = not repository or repository.casefold() == merged.repository.casefold()
        if ours and int(number) == merged.pull:
            return True
    title = _TITLE.match(message.partition("\n")[0])
    # Others may be called alike: what the commit does has to be looked at anyway.
    return title is not None and title[1] in merged.titles


def titles_of(message: str) -> frozenset[str]:
    """What a commit and its pull request are called, by the commit's message.

    A squashed one has the pull request's title and number, a merge its title below.
    """
    first, _, rest = message.partition("\n")
    found = {first, _NUMBER.sub("", first)}
    if first.startswith("Merge pull request "):
        found.add(rest.strip().partition("\n")[0])
    return frozenset(found - {""})


def reverted_by(
    merged: MergedChange,
    later: Sequence[LaterCommit],
    is_undone: Callable[[LaterCommit], bool] = lambda _: True,
    is_restored: Callable[[LaterCommit, LaterCommit], bool] = lambda _, __: True,
) -> LaterCommit | None:
    """The commit that took the change back; None: none did, or that one was reverted in turn.

    `later`: the branch's commits since, the oldest first. `is_undone` looks at what a commit does:
    one that says to revert may revert something else besides, or put it back at once. So does
    `is_restored` with one that says to revert a revert, which it is given after it.
    """
    by: LaterCommit | None = None
    for commit in later:
        if by is not None and _names(commit.message, (by.id,)):
            by = None if is_restored(commit, by) else by
        elif by is None and takes_back(commit.message, merged) and is_undone(commit):
            by = commit
    return by


def _names(message: str, commits: Collection[str]) -> bool:
    return any(each.startswith(one.lower()) for one in named_ids(message) for each in commits)
