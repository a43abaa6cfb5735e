"""Webhook events that the App deals with, as frozen records. All text in them is untrusted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter

from agent.model import Record

MAX_ID = 2**53 - 1
"""Ids above this are no GitHub ids and would not survive JSON elsewhere."""


def _no_dots_alone(name: str) -> str:
    if name.split("/")[1].strip(".") == "":
        raise ValueError("not a repository's name")
    return name


FullName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}/[A-Za-z0-9._-]{1,100}$"),
    AfterValidator(_no_dots_alone),
]
"""`owner/name`; strict, because it becomes part of paths and URLs."""
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Login = Annotated[str, Field(min_length=1, max_length=100)]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]


class EventSource(Record):
    """Where something happened and who did it."""

    installation_id: Id
    repository: FullName
    repository_id: Id
    default_branch: str
    archived: bool
    sender: str
    sender_is_bot: bool
    sender_id: int = 0
    """GitHub's id of the account, which stays when its login changes; 0: not kept."""
    private: bool | None = None
    """Whether the repository was private; None: not said."""


Goal = Literal["fix", "plan", "culprit", "triage"]
"""What a run is for: a fix, one whose plan has to be approved, only the commit that broke it, or
first to find out whether there is anything to fix."""
StartedBy = Literal[
    "label", "command", "mention", "assignment", "failed_check", "rerun", "alert", "schedule"
]


class Trigger(EventSource):
    """A run is asked for, on an issue (or, for a failed check, on a pull request)."""

    issue_number: Id
    issue_title: str
    issue_body: str
    issue_author: str
    issue_open: bool
    is_pull_request: bool
    label: str
    by: StartedBy = "label"
    hint: str = ""
    """What the person who asked said besides."""
    base_branch: str = ""
    """Branch to work from and to open the pull request against; empty: the default branch."""
    checks: tuple[int, ...] = ()
    """Failed check runs whose logs go with the run."""
    goal: Goal = "fix"
    budget: float = 0.0
    """What the run may cost, as whoever asked said; 0: nobody did."""
    good: str = ""
    """With `culprit`: the name of a commit at which it is said to work; empty: none is known."""


class Labeled(EventSource):
    """A label that is not the operator's, which the repository's own settings may name; or one on
    which something may have to be said instead of starting a run."""

    kind: Literal["labeled"] = "labeled"
    trigger: Trigger


class Commented(EventSource):
    """Somebody wrote on an issue or on a pull request's page."""

    kind: Literal["commented"] = "commented"
    issue_number: Id
    is_pull_request: bool
    comment_id: Id
    body: str


class Assigned(EventSource):
    """Somebody assigned an issue."""

    kind: Literal["assigned"] = "assigned"
    issue_number: Id
    assignee: str


class Reviewed(EventSource):
    """Somebody reviewed a pull request, or wrote to one of its lines."""

    kind: Literal["reviewed"] = "reviewed"
    pull_number: Id


class IssueClosed(EventSource):
    """Somebody closed an issue."""

    kind: Literal["issue_closed"] = "issue_closed"
    issue_number: Id


class CheckFailed(EventSource):
    """A check run of somebody else's App ended badly."""

    kind: Literal["check_failed"] = "check_failed"
    check_id: Id
    app_id: int
    name: str
    head_sha: Sha
    head_branch: str
    """Empty when GitHub does not say."""
    pulls: tuple[int, ...] = ()
    """Open pull requests of this repository with that head."""


class WorkflowEnded(EventSource):
    """All jobs of a workflow's attempt are over, for better or worse."""

    kind: Literal["workflow_ended"] = "workflow_ended"
    head_sha: Sha
    pulls: tuple[int, ...]
    """Open pull requests of this repository with that head."""


class Rerun(EventSource):
    """Somebody pressed the re-run button of one of our check runs."""

    kind: Literal["rerun"] = "rerun"
    app_id: int
    external_id: str
    head_sha: Sha


class PullEnded(EventSource):
    """A pull request was merged, or closed without that."""

    kind: Literal["pull_ended"] = "pull_ended"
    pull_number: Id
    merged: bool


PullAction = Literal["opened", "reopened", "ready_for_review", "synchronize", "labeled", "edited"]


class PullChanged(EventSource):
    """A pull request is there to be looked at, has other commits, a label, or another base."""

    kind: Literal["pull_changed"] = "pull_changed"
    action: PullAction
    pull_number: Id
    label: str = ""
    """The label that was put on it."""


class MergeGroupAsked(EventSource):
    """A merge queue wants checks of what it would merge."""

    kind: Literal["merge_group_asked"] = "merge_group_asked"
    head_sha: Sha
    head_ref: str
    base_sha: Sha
    base_ref: str


class MergeGroupEnded(EventSource):
    """A merge queue has merged a group, or given it up."""

    kind: Literal["merge_group_ended"] = "merge_group_ended"
    head_sha: Sha


class Pushed(EventSource):
    """A branch moved."""

    kind: Literal["pushed"] = "pushed"
    branch: str
    after: Sha
    reverts: bool = False
    """Whether one of its commits says that it takes another back."""


class CheckAsked(EventSource):
    """Somebody asked whether the repository is ready. No delivery: a command's own work."""

    kind: Literal["check_asked"] = "check_asked"
    issue_number: Id
    comment_id: Id


class ProofDue(EventSource):
    """A change is to be proven. No delivery: our own work."""

    kind: Literal["proof_due"] = "proof_due"
    proof_id: str


class OnboardingDue(EventSource):
    """It is the repository's turn to be proposed a configuration. No delivery: our own work."""

    kind: Literal["onboarding_due"] = "onboarding_due"


class ExpiryDue(EventSource):
    """It is time to see whether anybody looks at a pull request of ours. Our own work."""

    kind: Literal["expiry_due"] = "expiry_due"
    pull_number: Id
    run_id: str


class OutcomeDue(EventSource):
    """It is time to see what became of a pull request of ours that ended. Our own work."""

    kind: Literal["outcome_due"] = "outcome_due"
    pull_number: Id
    run_id: str


class AlertDue(EventSource):
    """An alert's issue is to be opened or brought up to date. No delivery of GitHub's."""

    kind: Literal["alert_due"] = "alert_due"
    # Until GitHub was asked, only the name is known.
    installation_id: Annotated[int, Field(ge=0, le=MAX_ID)] = 0
    repository_id: Annotated[int, Field(ge=0, le=MAX_ID)] = 0
    alert_id: str


class AlertFixed(EventSource):
    """The fix of an alert's issue was merged: its source is to be told. Our own work."""

    kind: Literal["alert_fixed"] = "alert_fixed"
    alert_id: str
    run_id: str


class NightDue(EventSource):
    """A repository's night begins: issues of its backlog are chosen. Our own work."""

    kind: Literal["night_due"] = "night_due"
    night_id: str


class NightOver(EventSource):
    """All that a night looked at is done: its report is to be written. Our own work."""

    kind: Literal["night_over"] = "night_over"
    night_id: str


WebhookEvent = Annotated[
    Labeled
    | Commented
    | Assigned
    | IssueClosed
    | Reviewed
    | CheckFailed
    | WorkflowEnded
    | Rerun
    | PullEnded
    | Pushed
    | PullChanged
    | MergeGroupAsked
    | MergeGroupEnded
    | CheckAsked
    | ProofDue
    | OnboardingDue
    | ExpiryDue
    | OutcomeDue
    | AlertDue
    | AlertFixed
    | NightDue
    | NightOver,
    Field(discriminator="kind"),
]
"""What needs a look at GitHub before it is known what to do."""

WEBHOOK_EVENT: TypeAdapter[WebhookEvent] = TypeAdapter(WebhookEvent)
"""Reads and writes any event as JSON."""


def is_check(event: WebhookEvent) -> bool:
    """Whether handling an event runs a repository's suite."""
    return isinstance(event, CheckAsked | OnboardingDue)


def source_of(event: WebhookEvent) -> str:
    """Where an event happened: the issue, the pull request, or else the repository."""
    if is_check(event):  # takes minutes, for which nothing else at the issue waits
        return f"{event.repository_id}#check"
    if isinstance(event, ProofDue):
        return f"{event.repository_id}#proof {event.proof_id}"
    if isinstance(event, MergeGroupAsked | MergeGroupEnded):
        return f"{event.repository_id}#{event.head_sha}"
    if isinstance(event, AlertDue | AlertFixed):  # a storm of them takes one place at a time
        return f"{event.repository.lower()}#alerts"
    if isinstance(event, NightDue | NightOver):
        return f"{event.repository_id}#night"
    number = getattr(event, "issue_number", "") or getattr(event, "pull_number", "")
    return f"{event.repository_id}#{number}"


class InstalledRepository(Record):
    """A repository that the App was given access to."""

    id: Id
    full_name: FullName
    private: bool | None = None


class Installed(Record):
    """The App was installed, or given access to more repositories."""

    installation_id: Id
    account_id: Id
    """Of the user or organisation, which stays when it is renamed or installs the App again."""
    sender: str
    repositories: tuple[InstalledRepository, ...]


class Ignored(Record):
    """A delivery that asks nothing of us."""

    reason: str
