"""What the app knows of GitHub, as frozen records, and what can go wrong there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

ROLES = ("none", "read", "triage", "write", "maintain", "admin")
"""GitHub's built-in repository roles, least first."""

Role = Literal["none", "read", "triage", "write", "maintain", "admin"]


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
    id: int = 0
    """GitHub's; stays when the repository is renamed or transferred. 0: not known."""
    installation_id: int = 0
    """The App's installation that covers it now; 0: not known."""
    fork: bool = False


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment on an issue or pull request. The text is untrusted."""

    id: int
    author: str
    body: str
    created_at: datetime
    url: str
    association: str = ""
    """What the author is to the repository, as GitHub says (`OWNER`, `NONE` …)."""


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
    association: str = ""
    """As in `Comment`."""
    fields: tuple[str, ...] = ()
    """`Name: value` of its type and of the fields that the organisation gives its issues."""
    created_at: datetime | None = None
    """None: not known."""


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """What the rulesets of a branch ask of a pull request's reviews before it is merged."""

    approvals: int = 0
    """Reviews that approve it, of people with write access."""
    last_push: bool = False
    """Whether the newest push must be approved by somebody who did not make it."""
    code_owners: bool = False
    """Whether the owners of the changed files must approve it."""
    conversations: bool = False
    """Whether all conversations about its code must be resolved."""


@dataclass(frozen=True, slots=True)
class BranchRules:
    """The rules of rulesets that hold for a branch."""

    kinds: tuple[str, ...] = ()
    """GitHub's names of the rules, each once."""
    reviews: ReviewRules = ReviewRules()


@dataclass(frozen=True, slots=True)
class ListedIssue:
    """An issue as a list of issues has it, without its comments. The texts are untrusted."""

    number: int
    title: str
    body: str
    author: str
    labels: tuple[str, ...]
    assigned: bool
    """Whether anybody is assigned to it."""
    locked: bool
    is_pull: bool
    created_at: datetime
    updated_at: datetime
    """When anything about it changed last, whoever did it."""


@dataclass(frozen=True, slots=True)
class ListedRepository:
    """A repository as the list of those that an installation covers has it."""

    id: int
    full_name: str
    installation_id: int
    default_branch: str
    private: bool
    archived: bool
    pushed_at: str
    """When a branch moved last, as GitHub writes it; empty: never."""


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
    author: str = ""
    """Untrusted only in that anybody may open one; GitHub vouches for the login itself."""
    author_is_bot: bool = False
    labels: tuple[str, ...] = ()
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    """When it was merged or closed; None: it is open."""


@dataclass(frozen=True, slots=True)
class ReviewComment:
    """Something that was said about a pull request. The text is untrusted."""

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
    """For a line: the part of the diff that it is below."""

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


@dataclass(frozen=True, slots=True)
class CiJob:
    """A job of GitHub Actions, and the workflow run that it belongs to."""

    id: int
    """The same as that of its check run."""
    name: str
    run_id: int
    run_attempt: int
    """The newest attempt of the workflow run, from 1; the job may be of an earlier one."""
    run_ended: bool
    """Whether that attempt is over."""
    run_created_at: datetime
    annotations: tuple[str, ...] = ()
    """What GitHub and the runner say of it. Untrusted."""


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
    """What a check run should say; `external_id` is its key."""

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
    """As many as there are; GitHub takes 50 in one request."""


@dataclass(frozen=True, slots=True)
class CheckRun:
    """A check run as GitHub keeps it."""

    id: int
    external_id: str
    status: str
    conclusion: str
    url: str


TriageUp = Literal["triage", "write", "maintain", "admin"]
"""Roles that may be asked for. `read` is none of them: on a public repository everybody has it."""


@dataclass(frozen=True, slots=True)
class BranchCommit:
    """A commit for GitHub to make on a branch."""

    branch: str
    parent: str
    """The commit that the branch is at."""
    tree: str
    """Git's id of the tree that comes out, by which the commit is known again."""
    message: str
    additions: tuple[tuple[str, bytes], ...]
    """Path and content of each new or changed file."""
    deletions: tuple[str, ...] = ()
