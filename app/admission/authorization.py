"""Who and what may start a run, or speak to one. Asking GitHub is done elsewhere.

What the delivery itself says is looked at when it arrives (`refused_at_delivery`,
`event_ignored_because`). What GitHub says is looked at when the work is about to begin
(`refused_at_start`, `repository_opts_out`): the delivery cannot tell the sender's role and may be
hours old.
"""

from __future__ import annotations

from app.github import commands
from app.github.records import IssueThread, Permission, Repository, Role
from app.github.webhook_events import (
    Assigned,
    CheckFailed,
    Commented,
    IssueClosed,
    MergeGroupAsked,
    MergeGroupEnded,
    PullChanged,
    PullEnded,
    Pushed,
    Rerun,
    StartedBy,
    WebhookEvent,
    WorkflowEnded,
)
from app.github.webhooks import Trigger
from app.repo_config.effective import EffectiveConfig
from app.repo_config.schema import Triggers


def is_label(name: str, wanted: str) -> bool:
    """Whether two label names are the same; GitHub treats them without regard to case."""
    return name.casefold() == wanted.casefold()


def refused_at_delivery(trigger: Trigger) -> str | None:
    """Why a label starts no run, whatever its name, in words; None when it may.

    Only accounts of type `User` count: a bot (ourselves included) never starts a run.
    """
    if trigger.sender_is_bot:
        return "the label was set by a bot"
    if trigger.is_pull_request:
        return "a pull request, not an issue"
    if not trigger.issue_open:
        return "the issue is closed"
    if trigger.archived:
        return "the repository is archived"
    return None


def event_ignored_because(
    event: WebhookEvent,
    *,
    name: str,
    app_id: int,
    machine_user: str = "",
    answers: bool = False,
) -> str | None:
    """Why an event is ignored as it arrives, in words; None when it is worth a look.

    `name` is how people address the App, `app_id` its id at GitHub, `machine_user` the account
    whose assignments are meant for the App; `answers`: a comment answers an open question, without
    being addressed to the App. A bot (ourselves included) is
    never listened to; but checks are made by bots, and bots push, open pull requests, and merge
    for people.
    """
    if event.archived:
        return "the repository is archived"
    if isinstance(event, CheckFailed):
        return "a check of our own" if event.app_id == app_id else None
    if event.sender_is_bot and not _is_for_bots(event):
        return "from a bot"
    if isinstance(event, Rerun) and event.app_id != app_id:
        return "someone else's check"
    if isinstance(event, Commented) and not answers and commands.parse(event.body, name) is None:
        return "not addressed to us"
    if isinstance(event, Assigned) and event.assignee.casefold() != machine_user.casefold():
        return "someone else was assigned"  # also where no machine user is named
    return None


def _is_for_bots(event: WebhookEvent) -> bool:
    """Whether an event counts whoever it comes from: it says what is there, and asks nothing."""
    if isinstance(event, PullChanged):
        return event.action != "labeled"
    ended = PullEnded | IssueClosed | WorkflowEnded | MergeGroupEnded
    return isinstance(event, Pushed | MergeGroupAsked | ended)


def is_ours(login: str, name: str) -> bool:
    """Whether a login is the App's own account: GitHub lets no person's name end so."""
    return login.casefold() == f"{name}[bot]".casefold()


def is_bot(login: str) -> bool:
    """Whether a login is an App's: GitHub lets no person's name end so."""
    return login.endswith("[bot]")


def switched_on(by: StartedBy, triggers: Triggers) -> bool:
    """Whether the repository wants runs that begin so."""
    return bool(getattr(triggers, by))


def least_role(by: StartedBy, config: EffectiveConfig) -> Role | None:
    """The role that somebody needs to start a run so; None: GitHub let nobody else do it."""
    match by:
        case "label" | "assignment":
            return config.permissions.label
        case "command" | "mention":
            return config.permissions.command
        case "failed_check" | "rerun" | "alert" | "schedule":
            return None


def repository_opts_out(trigger: Trigger, config: EffectiveConfig) -> str | None:
    """Why the repository's own settings want no such run, in words; None when they do."""
    if not config.enabled:
        return "the repository's settings turn the App off"
    if trigger.by == "schedule":  # the maintainers' own word, in the file on the default branch
        return None if config.schedule.at else "the repository's settings want no nights any more"
    if not switched_on(trigger.by, config.triggers):
        return f"the repository's settings turn off runs by {trigger.by.replace('_', ' ')}"
    if trigger.by == "label" and not is_label(trigger.label, config.label):
        return f"the repository's settings name another label, {config.label}"
    return None


def refused_at_start(
    permission: Permission | None,
    thread: IssueThread,
    repository: Repository,
    *,
    minimum: Role | None,
    on_pull: bool = False,
) -> str | None:
    """Why the run must not continue, in words; None when it may.

    `on_pull`: it is about a pull request's failed check, not about an issue.
    """
    if minimum is not None and (permission is None or not permission.at_least(minimum)):
        return f"whoever starts a run needs at least the {minimum} role in the repository"
    if repository.archived:
        return "the repository is archived"
    if thread.is_pull and not on_pull:
        return "this is a pull request, not an issue"
    if not thread.open:
        return "the issue was closed in the meantime"
    return None
