"""All that is known of a project's conventions, read once at the beginning of a run."""

from __future__ import annotations

from collections.abc import Sequence

from agent.model import Record
from agent.task import Habit, ProjectRules, RuleDocument
from app.conventions.changes import last_changes, last_messages
from app.conventions.documents import read_documents
from app.conventions.habits import habits
from app.conventions.messages import MessageStyle, message_style
from app.git.mirror import Mirror

CONVENTIONS_LOG = "conventions"
"""Log id under which a run keeps them."""


class Conventions(Record):
    """What was read, at one commit of the default branch."""

    documents: tuple[RuleDocument, ...] = ()
    habits: tuple[Habit, ...] = ()
    message: MessageStyle = MessageStyle()
    near: tuple[str, ...] = ()
    """Files that the issue names."""

    @property
    def rules(self) -> ProjectRules:
        """What the model is told and the gate looks at."""
        return ProjectRules(documents=self.documents, habits=self.habits, near=self.near)


def read_conventions(mirror: Mirror, commit: str, near: Sequence[str] = ()) -> Conventions:
    """The conventions at a commit, which must be the default branch's. Raises `GitError`."""
    changes = last_changes(mirror, commit)
    return Conventions(
        documents=read_documents(mirror, commit),
        habits=habits(changes),
        message=message_style(last_messages(mirror, commit)),
        near=tuple(near),
    )


def kept_conventions(kept: bytes | None) -> Conventions | None:
    """The stored conventions; None for a run that was not to read any."""
    return Conventions.model_validate_json(kept) if kept else None
