"""The issue that a pull request says to close, which is what the pull request is about."""

from __future__ import annotations

from dataclasses import dataclass

from agent.task import Issue
from app.github.errors import ForgeMissing, InstallationGone
from app.github.forge import Forge
from app.github.records import Pull
from app.runs.first_round import as_issue
from app.runs.related.mentions import closed_issues


@dataclass(frozen=True, slots=True)
class About:
    """What a change is about. All of it is untrusted."""

    issue: Issue
    is_linked: bool
    """Whether it is an issue of the repository; else it is the pull request's own text."""


def closed_by(body: str) -> int:
    """The first issue that a text says to close; 0: none."""
    return next(iter(closed_issues(body)), 0)


async def about(forge: Forge, pull: Pull) -> About:
    """The issue that a pull request says to close, else its own title and text.

    Raises `ForgeError`.
    """
    if number := closed_by(pull.body):
        try:
            thread = await forge.issue(number)
        except InstallationGone:
            raise
        except ForgeMissing:
            thread = None
        if thread is not None and not thread.is_pull:
            return About(as_issue(thread, await forge.bot_login()), is_linked=True)
    return About(Issue(title=pull.title, body=pull.body), is_linked=False)
