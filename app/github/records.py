"""What the app knows of GitHub, as frozen records, and what can go wrong there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

ROLES = ("none", "read", "triage", "write", "maintain", "admin")
"""GitHub's built-in repository roles, least first."""

Role = Literal["none", "read", "triage", "write", "maintain", "admin"]


class ForgeError(Exception):
    """GitHub did not do what was asked; the message says what and why, never a token."""


class ForgeAway(ForgeError):
    """GitHub cannot be reached or failed by itself; try again later."""


class ForgeDenied(ForgeError):
    """The App may not do this: permission missing, installation suspended, issue locked."""


class ForgeMissing(ForgeError):
    """The thing is not there, or the App may not see it."""


class InstallationSuspended(ForgeDenied):
    """The App's installation is suspended; only its owner can lift that."""


class InstallationGone(ForgeMissing):
    """The App was removed from the account or the repository taken from the installation."""


class RepositoryArchived(ForgeDenied):
    """The repository is archived and so read-only."""


class ConversationLocked(ForgeDenied):
    """The issue is locked; the App may not comment on it."""


class TokenRefused(ForgeDenied):
    """GitHub takes none of the App's tokens, a fresh one included."""


class ForgeRefused(ForgeError):
    """GitHub found the request itself wrong; repeating it will not help."""


class RateLimited(ForgeError):
    """GitHub asks to wait."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait before the next call."""


@dataclass(frozen=True, slots=True)
class GitToken:
    """A short-lived password for git over HTTPS, good for one repository."""

    value: str = field(repr=False)
    expires_at: datetime

    def good_for(self, span: timedelta) -> bool:
        """Whether it will still be accepted after `span`."""
        return datetime.now(UTC) + span < self.expires_at


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as the App sees it."""

    full_name: str
    default_branch: str
    private: bool
    archived: bool
    clone_url: str
    """For git over HTTPS; holds no token."""
    web_url: str


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment on an issue or pull request. The text is untrusted."""

    id: int
    author: str
    body: str
    created_at: datetime
    url: str


@dataclass(frozen=True, slots=True)
class IssueThread:
    """An issue with its conversation. The texts are untrusted."""

    number: int
    title: str
    body: str
    author: str
    open: bool
    locked: bool
    is_pull: bool
    labels: tuple[str, ...]
    comments: tuple[Comment, ...]
    url: str
    author_id: int = 0
    """0: not known."""
    author_is_person: bool = True


@dataclass(frozen=True, slots=True)
class Permission:
    """What a person may do in a repository."""

    permission: str
    """GitHub's old coarse word: none, read, write or admin."""
    role: str
    """The role's name; triage and maintain are told only here, as are an organisation's own."""

    def at_least(self, role: Role) -> bool:
        """Whether the person has this role or a higher one.

        A role of the organisation's own counts as the coarse permission it is built on.
        """
        return max(_rank(self.permission), _rank(self.role)) >= _rank(role)


def _rank(role: str) -> int:
    return ROLES.index(role) if role in ROLES else 0


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request."""

    number: int
    url: str
    open: bool
    draft: bool
    merged: bool
    branch: str
    head_sha: str
    title: str
    body: str
    base_branch: str = ""
    """The branch that it would change."""
    from_fork: bool = False
    """Whether its branch lies in another repository."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that was said of a pull request. The text is untrusted."""

    kind: Literal["review", "line", "page"]
    """The words of a review, a comment on a line or a reply to one, a comment on its page."""
    id: int
    author: str
    body: str
    created_at: datetime
    thread: int = 0
    """For a line: the comment that began its thread."""
    path: str = ""
    line: int = 0
    """In the new file; 0: the line is gone, or the comment is on the whole file."""
    hunk: str = ""
    """For a line: the part of the diff that it stands below."""

    @property
    def key(self) -> str:
        """What tells it from all others of its pull request."""
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check run of another App that ended badly."""

    id: int
    name: str
    conclusion: str
    summary: str
    """Untrusted."""


CheckStatus = Literal["queued", "in_progress", "completed"]
Conclusion = Literal["success", "failure", "neutral", "cancelled", "timed_out", "action_required"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """A remark at some lines of a file at the checked commit."""

    path: str
    first_line: int
    last_line: int
    title: str
    message: str
    level: Literal["notice", "warning", "failure"] = "notice"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check run shall say; `external_id` is its key."""

    external_id: str
    name: str
    head_sha: str
    title: str
    summary: str
    status: CheckStatus = "completed"
    conclusion: Conclusion | None = None
    """Required when completed."""
    details_url: str = ""
    annotations: tuple[Annotation, ...] = ()
    """At most 50, which is GitHub's own limit for one request."""


@dataclass(frozen=True, slots=True)
class CheckRun:
    """A check run as GitHub keeps it."""

    id: int
    external_id: str
    status: str
    conclusion: str
    url: str
