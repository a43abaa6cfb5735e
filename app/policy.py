"""Who and what may start a run. Pure decisions; asking GitHub is done elsewhere.

Twice: `refusal` on what the delivery says, at once; `denial` on what GitHub says when the work is
about to begin, because the delivery cannot tell the sender's role and may be hours old.
"""

from __future__ import annotations

from app.forge_records import IssueThread, Permission, Repository, Role
from app.webhooks import Trigger


def refusal(trigger: Trigger, *, label: str) -> str | None:
    """Why this trigger starts no run, in words; None when it may.

    GitHub treats label names without regard to case, and so do we. Only accounts of type `User`
    count: a bot (ourselves included) never starts a run.
    """
    if trigger.label.casefold() != label.casefold():
        return "another label"
    if trigger.sender_is_bot:
        return "the label was set by a bot"
    if trigger.is_pull_request:
        return "a pull request, not an issue"
    if not trigger.issue_open:
        return "the issue is closed"
    if trigger.archived:
        return "the repository is archived"
    return None


def denial(
    permission: Permission, thread: IssueThread, repository: Repository, *, minimum: Role
) -> str | None:
    """Why the run must not go on, in words; None when it may."""
    if not permission.at_least(minimum):
        return f"whoever set the label needs at least the {minimum} role in the repository"
    if repository.archived:
        return "the repository is archived"
    if thread.is_pull:
        return "this is a pull request, not an issue"
    if not thread.open:
        return "the issue was closed meanwhile"
    return None
