"""A three-way merge of sequences, as `git merge-file` does it with lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from agent.models.offline.mutations import common_ends

Change = tuple[int, int, list[str]]
"""Items `first` up to (not including) `last` become these."""


def changes(before: Sequence[str], after: Sequence[str]) -> list[Change]:
    """What makes one sequence out of another, in few changes rather than in small ones.

    Items that stand everywhere in a long sequence begin no match (`autojunk`): a table of zeros
    and ones would take minutes.
    """
    head, tail = common_ends(before, after)
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    codes = SequenceMatcher(None, old, new).get_opcodes()
    return [(head + i, head + j, list(new[k:m])) for tag, i, j, k, m in codes if tag != "equal"]


def merge(
    base: Sequence[str], ours: Sequence[str], theirs: Sequence[str], *, union: bool = False
) -> list[str] | None:
    """Both sides' changes of the base; None where they conflict.

    Unlike git's, changes of neighbouring items do not conflict: tests judge the result. With
    `union`, neither do insertions at the same place, theirs come first.
    """
    both = [(change, 1) for change in changes(base, ours)]
    both += [(change, 0) for change in changes(base, theirs) if (change, 1) not in both]
    both.sort(key=lambda entry: (*entry[0][:2], entry[1]))
    merged: list[str] = []
    at = 0
    previous: Change | None = None
    for (first, last, new), _ in both:
        same_place = previous is not None and previous[:2] == (first, first) == (first, last)
        if first < at or (same_place and not union):
            return None
        merged += [*base[at:first], *new]
        at, previous = last, (first, last, new)
    return [*merged, *base[at:]]


def merge_words(base: str, ours: str, theirs: str) -> str | None:
    """The merge word by word: two sides may change the same line in different places."""
    merged = merge(*(re.findall(r"\w+|[^\S\n]+|\n|[^\w\s]", text) for text in (base, ours, theirs)))
    return None if merged is None else "".join(merged)
