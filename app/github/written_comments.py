"""What is remembered of the App's comments, because GitHub's lists may be seconds old.

Who only reads the list writes a comment again that is there and not listed yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CommentPlace:
    """Where one comment of the App is, or is to be."""

    repository_id: int
    issue: int
    marker: str
    """What it begins with."""


class WrittenComments(Protocol):
    """Remembers comments beyond this process; blocks."""

    def id_of(self, place: CommentPlace) -> int:
        """The id of the comment that was written there last; 0 when none is known."""
        ...

    def may_be_unlisted(self, place: CommentPlace) -> bool:
        """Whether a comment was begun there a moment ago, and nobody knows whether it was made."""
        ...

    def begin(self, place: CommentPlace) -> None:
        """A comment is about to be made."""
        ...

    def confirm(self, place: CommentPlace, comment: int) -> None:
        """The comment has this id."""
        ...

    def forget(self, place: CommentPlace) -> None:
        """No comment was made: GitHub refused it."""
        ...
