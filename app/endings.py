"""The ways a run may end because of what happened at GitHub meanwhile; each says so. Pure.

`of_error` reads a refusal, `of_issue` what the issue and its repository are now. Trying again does
not help with any of them until a person changes something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.git.mirror import PushRefused
from app.git.process import GitDenied
from app.github.errors import (
    ConversationLocked,
    InstallationGone,
    InstallationSuspended,
    RepositoryArchived,
    TokenRefused,
)
from app.github.records import IssueThread, Repository

Kind = Literal[
    "suspended",
    "removed",
    "archived",
    "locked",
    "transferred",
    "closed",
    "protected",
    "token",
]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run is over."""

    kind: Kind
    text: str
    """For the record and, where it can be told, for the issue."""
    tell: bool
    """Whether a comment on the issue is possible and wanted."""

    @property
    def result(self) -> dict[str, str]:
        """As the result of a step that failed so."""
        return {"failed": self.text} if self.tell else {"failed": self.text, "untold": "1"}


def of_error(error: BaseException) -> Ending | None:
    """The end that a refusal means; None for any other failure."""
    match error:
        case InstallationSuspended():
            return Ending(
                "suspended",
                "The App's installation was suspended. Lift the suspension in the installation's "
                "settings, then start a new run.",
                tell=False,
            )
        case InstallationGone():
            return Ending(
                "removed",
                "The App was removed from the repository. Install it there again to go on.",
                tell=False,
            )
        case RepositoryArchived():
            return Ending("archived", ARCHIVED, tell=False)
        case ConversationLocked():
            return Ending(
                "locked",
                "The issue is locked, so that no report can stand there. Unlock it and start a new "
                "run; the run's page has what was found.",
                tell=False,
            )
        case TokenRefused() | GitDenied():
            return Ending(
                "token",
                "GitHub refused the App's token, and a new one too. The App's private key may have "
                "been withdrawn, or its permissions changed: the operator should run "
                "`patchwright doctor`.",
                tell=False,
            )
        case PushRefused():
            return Ending(
                "protected",
                f"The fix could not be pushed. {error} A rule for branches must let the App create "
                "branches under `patchwright/`.",
                tell=True,
            )
        case _:
            return None


ARCHIVED = "The repository was archived, which makes it read-only. Unarchive it to go on."


def of_issue(
    thread: IssueThread, repository: Repository, *, name: str, number: int
) -> Ending | None:
    """The end that the issue's state means for a run on issue `number` of repository `name`."""
    if repository.archived:
        return Ending("archived", ARCHIVED, tell=False)
    # GitHub leads from the old place of a transferred issue to the new one.
    if thread.number != number or not _within(thread.url, repository, name):
        return Ending(
            "transferred",
            f"The issue was transferred and is now {thread.url}. Label it there to go on.",
            tell=False,
        )
    if thread.locked:
        return Ending(
            "locked",
            "The issue was locked meanwhile. Unlock it and start a new run to go on.",
            tell=False,
        )
    if not thread.open:
        return Ending(
            "closed",
            "The issue was closed meanwhile. Open it and label it again to go on.",
            tell=True,
        )
    return None


def _within(url: str, repository: Repository, name: str) -> bool:
    """Whether an issue's address lies in the repository, be it under its old name."""
    path = url.casefold()
    return any(f"/{full.casefold()}/" in path for full in (name, repository.full_name))
