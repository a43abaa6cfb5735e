"""Comments that the App wrote, in the database: implements `app.github.written_comments`."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from app.github.written_comments import CommentPlace
from app.storage.database.connection import clock
from app.storage.run_rows import dialect_insert
from app.storage.tables import comments

LISTED_AFTER_S = 15.0
"""How long a comment that was made may be missing in GitHub's list. GitHub names no bound; reports
of late lists speak of seconds (palantir/policy-bot#78)."""


@dataclass(frozen=True, slots=True)
class KeptComments:
    """`WrittenComments` that every process with this database shares."""

    database: sa.Engine
    listed_after_s: float = LISTED_AFTER_S

    def id_of(self, place: CommentPlace) -> int:
        """The id of the comment that was written there last; 0 when none is known."""
        query = sa.select(comments.c.comment_id).where(_is_at(place))
        with self.database.execution_options(read_only=True).connect() as connection:
            return int(connection.execute(query).scalar_one_or_none() or 0)

    def may_be_unlisted(self, place: CommentPlace) -> bool:
        """Whether a comment was begun there a moment ago, and nobody knows whether it was made."""
        with self.database.execution_options(read_only=True).connect() as connection:
            since = clock(connection) - int(self.listed_after_s * 1_000_000)
            begun = sa.select(comments.c.begun_at).where(
                _is_at(place), comments.c.comment_id == 0, comments.c.begun_at > since
            )
            return connection.execute(begun).scalar_one_or_none() is not None

    def begin(self, place: CommentPlace) -> None:
        """A comment is about to be made."""
        self._put(place, 0)

    def confirm(self, place: CommentPlace, comment: int) -> None:
        """The comment has this id."""
        self._put(place, comment)

    def forget(self, place: CommentPlace) -> None:
        """No comment was made: GitHub refused it."""
        with self.database.begin() as connection:
            connection.execute(sa.delete(comments).where(_is_at(place)))

    def _put(self, place: CommentPlace, comment: int) -> None:
        with self.database.begin() as connection:
            values = {"begun_at": clock(connection), "comment_id": comment}
            row = dialect_insert(self.database)(comments).values(
                repository_id=place.repository_id,
                issue_number=place.issue,
                marker=place.marker,
                **values,
            )
            connection.execute(
                row.on_conflict_do_update(index_elements=list(comments.primary_key), set_=values)
            )


def _is_at(place: CommentPlace) -> sa.ColumnElement[bool]:
    return sa.and_(
        comments.c.repository_id == place.repository_id,
        comments.c.issue_number == place.issue,
        comments.c.marker == place.marker,
    )
