"""What the stand-in GitHub knows: users, repositories, issues, pull requests, tokens, deliveries.

Plain mutable records without behaviour beyond look-up; only the event loop's thread touches them.
"""

import base64
import itertools
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.doubles.github.faults import Faults, RateLimit

Json = dict[str, Any]

ROLES = ("none", "read", "triage", "write", "maintain", "admin")


@dataclass
class User:
    """A person, an organisation or the App's bot; ``token`` lets a person call the API and git."""

    id: int
    login: str
    kind: str = "User"
    token: str = field(default_factory=lambda: "ghp_" + secrets.token_hex(18))
    hidden: bool = False
    """Whether GitHub holds it for spam: what it wrote is left out of pages, which are shorter."""


@dataclass
class Label:
    """A repository's label."""

    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass
class Reaction:
    """One emoji of one user."""

    id: int
    user: User
    content: str
    created_at: datetime


@dataclass
class Comment:
    """A comment in the conversation of an issue or a pull request."""

    id: int
    user: User
    body: str
    created_at: datetime
    updated_at: datetime
    reactions: list[Reaction] = field(default_factory=list)


@dataclass
class ReviewComment:
    """A comment on a line of a pull request's diff, or a reply to one (``in_reply_to``)."""

    id: int
    user: User
    body: str
    path: str
    line: int | None
    side: str
    start_line: int | None
    commit_id: str
    diff_hunk: str
    review_id: int
    created_at: datetime
    updated_at: datetime
    in_reply_to: int | None = None
    reactions: list[Reaction] = field(default_factory=list)


@dataclass
class Review:
    """A review; ``state`` as the REST API spells it (APPROVED, CHANGES_REQUESTED, COMMENTED …)."""

    id: int
    user: User
    body: str
    state: str
    commit_id: str
    submitted_at: datetime


@dataclass
class Pull:
    """The part of a pull request that an issue has not."""

    id: int
    head_ref: str
    base_ref: str
    head_sha: str
    base_sha: str
    draft: bool
    head_repo_id: int = 0
    """The fork that its branch lies in; 0: none."""
    pushed_by: str = ""
    """Login of who pushed last to its branch."""
    mergeable_of: tuple[str, str] = ("", "")
    """Base and head for which GitHub has tried the merge: it does when somebody asks, and says
    nothing until it is done."""
    maintainer_can_modify: bool = False
    merged_at: datetime | None = None
    merged_by: User | None = None
    merge_commit_sha: str | None = None
    reviews: list[Review] = field(default_factory=list)
    review_comments: list[ReviewComment] = field(default_factory=list)
    requested_reviewers: list[User] = field(default_factory=list)
    resolved_threads: set[int] = field(default_factory=set)


@dataclass
class Asset:
    """A file that somebody uploaded to an issue of a repository."""

    id: int
    guid: str
    repo_id: int
    owner_id: int
    suffix: str
    content_type: str
    data: bytes


@dataclass
class IssueField:
    """A field that an organisation gives all its issues; a select's ``options`` have ids."""

    id: int
    name: str
    data_type: str
    """``text``, ``number``, ``date``, ``single_select`` or ``multi_select``."""
    options: dict[str, int] = field(default_factory=dict)


@dataclass
class Issue:
    """An issue, or a pull request when ``pull`` is set; they share their numbers."""

    id: int
    number: int
    user: User
    title: str
    body: str | None
    created_at: datetime
    updated_at: datetime
    state: str = "open"
    state_reason: str | None = None
    closed_at: datetime | None = None
    locked: bool = False
    labels: list[Label] = field(default_factory=list)
    assignees: list[User] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    type: str = ""
    fields: dict[int, Any] = field(default_factory=dict)
    """Values by the ids of their fields."""
    pull: Pull | None = None


@dataclass
class CheckSuite:
    """All check runs of the App, or of the continuous integration, on one commit."""

    id: int
    head_sha: str
    created_at: datetime
    by_app: bool = True


@dataclass
class CheckRun:
    """One check run; ``output`` holds title, summary, text and annotations as they were sent.

    ``log`` is what the continuous integration's job printed.
    """

    id: int
    suite: CheckSuite
    name: str
    head_sha: str
    status: str
    conclusion: str | None
    started_at: datetime | None
    completed_at: datetime | None
    external_id: str
    details_url: str | None
    output: Json
    by_app: bool
    log: str = ""
    workflow: "WorkflowRun | None" = None
    """Of a job of the continuous integration: the workflow run that it belongs to."""
    attempt: int = 1
    """The workflow's attempt in which it ran."""


@dataclass
class WorkflowRun:
    """A run of the one workflow "CI" on a commit; its jobs are check runs."""

    id: int
    suite: CheckSuite
    head_sha: str
    number: int
    created_at: datetime
    by: User
    attempt: int = 1
    status: str = "in_progress"
    conclusion: str | None = None


@dataclass
class Status:
    """A commit status."""

    id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: User
    created_at: datetime


@dataclass
class Repo:
    """A repository; ``git`` is its bare repository on disk."""

    id: int
    owner: User
    name: str
    private: bool
    default_branch: str
    git: Path
    created_at: datetime
    pushed_at: datetime
    description: str | None = None
    archived: bool = False
    fork: bool = False
    parent_id: int = 0
    """What it is a fork of, where that is known here; 0: nothing."""
    roles: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    check_suites: list[CheckSuite] = field(default_factory=list)
    check_runs: dict[int, CheckRun] = field(default_factory=dict)
    workflow_runs: dict[int, WorkflowRun] = field(default_factory=dict)
    reruns: bool = True
    """False: GitHub says of each workflow run that it cannot be retried."""
    statuses: list[Status] = field(default_factory=list)
    protected_branches: set[str] = field(default_factory=set)
    drafts: bool = True
    """False: as in private repositories on free plans."""
    pushers: dict[str, str] = field(default_factory=dict)
    """Who pushed last, by branch."""
    pull_creation: str = "all"
    """``all``, ``collaborators`` or ``none``: who may open pull requests."""
    closes_pulls: bool = True
    """Whether a pull request is closed when its branch is deleted; not at once, or not at all, by
    Mergify's release notes of 4.1.1."""
    left: "dict[int, tuple[Repo, Issue] | None]" = field(default_factory=dict)
    """Numbers of issues that were transferred, with their new place, or deleted (None)."""

    @property
    def full_name(self) -> str:
        """``owner/name``."""
        return f"{self.owner.login}/{self.name}"

    def role_of(self, user: User) -> str:
        """The user's role here; everybody may read a public repository."""
        if user is self.owner:
            return "admin"
        return self.roles.get(user.login.lower(), "none" if self.private else "read")

    def is_collaborator(self, user: User) -> bool:
        """Whether somebody was given access; to read a public repository is none."""
        return user is self.owner or self.roles.get(user.login.lower(), "none") != "none"


@dataclass
class Installation:
    """The App in one account, with the permissions that its owner granted."""

    id: int
    account: User
    permissions: dict[str, str]
    created_at: datetime
    repo_ids: set[int] | None = None
    suspended_at: datetime | None = None

    def covers(self, repo: Repo) -> bool:
        """Whether the repository is one of those that the App may see."""
        chosen = self.repo_ids is None or repo.id in self.repo_ids
        return repo.owner is self.account and chosen


@dataclass(frozen=True)
class Token:
    """An installation access token; ``repo_ids`` None means all that the installation covers."""

    value: str
    installation: Installation
    permissions: dict[str, str]
    repo_ids: frozenset[int] | None
    expires_at: datetime


@dataclass
class Delivery:
    """One attempt to deliver a webhook; a redelivery shares the ``guid`` and has its own id."""

    id: int
    guid: str
    event: str
    action: str | None
    payload: Json
    delivered_at: datetime
    redelivery: bool
    installation_id: int | None
    repository_id: int | None
    status_code: int = 0
    status: str = "queued"
    duration_s: float = 0.0
    request_headers: dict[str, str] = field(default_factory=dict)
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""


@dataclass(frozen=True)
class Act:
    """Something that somebody changed; ``kind`` is GitHub's operation id, or ``git/push``."""

    at: str
    actor: str
    by_app: bool
    kind: str
    path: str
    detail: Json


@dataclass(frozen=True)
class Urls:
    """Where this stand-in is reached: ``web`` for pages and git, ``api`` for REST."""

    web: str
    api_prefix: str

    @property
    def api(self) -> str:
        """The REST API's base URL, without a slash at its end."""
        return self.web + self.api_prefix


@dataclass
class AppRegistration:
    """The registered GitHub App."""

    id: int
    slug: str
    name: str
    owner: User
    bot: User
    private_key_pem: str
    public_key_pem: str
    webhook_secret: str
    webhook_url: str
    permissions: dict[str, str]
    events: tuple[str, ...]
    created_at: datetime


class World:
    """All state of one stand-in GitHub, and its clock."""

    def __init__(self, urls: Urls, root: Path) -> None:
        self.urls = urls
        self.root = root
        self.clock_offset = timedelta()
        self.users: dict[str, User] = {}
        self.repos: dict[str, Repo] = {}
        self.moved: dict[str, int] = {}
        """Old names of repositories, in lower case, with their ids."""
        self.installations: dict[int, Installation] = {}
        self.tokens: dict[str, Token] = {}
        self.deliveries: list[Delivery] = []
        self.acts: list[Act] = []
        self.issue_fields: defaultdict[int, list[IssueField]] = defaultdict(list)
        """By the organisation's id."""
        self.manifests: dict[str, Json] = {}
        self.assets: dict[str, Asset] = {}
        """By their GUIDs, in lower case."""
        self.signed: dict[str, tuple[str, datetime]] = {}
        """What signs an address, with the asset's GUID and when it ends."""
        self.ids: Iterator[int] = itertools.count(1001)
        self.limits: defaultdict[int, RateLimit] = defaultdict(RateLimit)
        """By installation, each of which has its own ("Rate limits for the REST API"); 0: for
        callers without one."""
        self.faults = Faults()
        self.content_per_minute = 0
        """Contents that an installation may make in a minute; 0: as many as it likes. GitHub says
        80 in general ("About secondary rate limits"), and too many tests share a minute."""
        self.made: list[datetime] = []
        """When the App made contents."""
        self.stale_s = 0.0
        """Lists leave out what was made in so many seconds before: GitHub answers from replicas
        (palantir/policy-bot#78, python/the-knights-who-say-ni#86)."""
        self.app: AppRegistration

    def now(self) -> datetime:
        """The stand-in's time: real time moved by ``clock_offset``; whole seconds, UTC."""
        return datetime.fromtimestamp(int(time.time()), UTC) + self.clock_offset

    def next_id(self) -> int:
        """A new id, unique over all kinds of records."""
        return next(self.ids)

    def user(self, login: str) -> User | None:
        """The user or organisation of that login."""
        return self.users.get(login.lower())

    def repo(self, full_name: str) -> Repo | None:
        """The repository of that ``owner/name``."""
        return self.repos.get(full_name.lower())

    def is_listed(self, made_at: datetime) -> bool:
        """Whether something made at this time is in lists already."""
        return self.now() - made_at >= timedelta(seconds=self.stale_s)

    def repo_of_id(self, repo_id: int) -> Repo | None:
        """The repository of that id."""
        return next((repo for repo in self.repos.values() if repo.id == repo_id), None)

    def fork_of(self, repo: Repo, owner: str) -> Repo | None:
        """The fork of a repository in somebody's account."""
        for known in self.repos.values():
            if known.parent_id == repo.id and known.owner.login.lower() == owner.lower():
                return known
        return None

    def moved_repo(self, full_name: str) -> Repo | None:
        """The repository that had this name, while no other has it."""
        old_id = self.moved.get(full_name.lower())
        return None if old_id is None or self.repo(full_name) else self.repo_of_id(old_id)

    def add_user(self, login: str, kind: str = "User") -> User:
        """Add a user, or give the one that exists."""
        known = self.user(login)
        if known is None:
            known = self.users[login.lower()] = User(self.next_id(), login, kind)
        return known

    def installation_for(self, repo: Repo) -> Installation | None:
        """The App's installation that covers this repository."""
        return next((i for i in self.installations.values() if i.covers(repo)), None)


def node_id(kind: str, number: int) -> str:
    """A node id of GitHub's older form, from which ``from_node_id`` reads back."""
    return base64.b64encode(f"{len(kind):03}:{kind}{number}".encode()).decode()


def from_node_id(text: str) -> tuple[str, int]:
    """Kind and number of a node id; raises ValueError for anything else."""
    plain = base64.b64decode(text, validate=True).decode()
    length = int(plain[:3])
    return plain[4 : 4 + length], int(plain[4 + length :])


def stamp(moment: datetime) -> str:
    """A time as GitHub writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
