"""What a failure of a run means: whether to wait and retry, and what to tell people."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.errors import AgentError, ModelAway
from agent.journal.events import QuestionAsked
from app.git.mirror import PushRefused
from app.git.process import GitAway, GitDenied, GitError
from app.github.errors import (
    ConversationLocked,
    ForgeAway,
    ForgeError,
    InstallationGone,
    InstallationSuspended,
    IssueGone,
    RateLimited,
    RepositoryArchived,
    TokenRefused,
)
from app.github.records import IssueThread, Repository
from app.runs.results import Failed
from app.settings.base import SettingsError
from app.telemetry.logs import redact
from app.telemetry.metrics import OTHER
from sandbox.errors import EngineUnavailable, SandboxError, SandboxGone

PATIENCE_S = (5.0, 15.0, 60.0, 180.0, 600.0)
"""Waits before the second, third … try when something outside is away: a quarter of an hour. Then
the run goes back to the queue: an outage may last longer, and must not cost what was proven."""

LONGEST_WAIT_S = 3600.0
"""GitHub never asks to wait longer: its limits are per hour."""

ANNOUNCE_WAIT_FROM_S = 60.0
"""A step that waits so long is shown as waiting; where that is known beforehand, it gives its place
up in the meantime."""

_OUTAGES = (ForgeAway, RateLimited, GitAway, EngineUnavailable)
_PYTHON_ABOUT_DROPPED = "coroutine ignored GeneratorExit"
"""Python's error if a coroutine keeps running after it was closed."""
_TRANSIENT = (*_OUTAGES, SandboxGone)
_OUTAGE_LABELS = (
    (RateLimited, "github_limit"),
    (ForgeAway, "github"),
    (GitAway, "git"),
    (EngineUnavailable, "engine"),
    (SandboxGone, "sandbox"),
)
_PUBLIC_ERRORS = (AgentError, SandboxError, ForgeError, GitError, SettingsError)


class Requeued(asyncio.CancelledError):
    """The run gives its slot to others; for the engine it is cancelled and later resumed."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s
        """Seconds before which it must not be resumed."""


class AwaitingAnswer(Requeued):
    """The run gives its slot to others until its question is answered, or the time is over."""

    def __init__(self, asked: QuestionAsked) -> None:
        super().__init__("it waits for an answer")
        self.asked = asked


def was_dropped(error: BaseException) -> bool:
    """Whether an error only arose because its coroutine was closed when the process ended."""
    return any(
        isinstance(each, GeneratorExit) or _PYTHON_ABOUT_DROPPED in str(each)
        for each in _error_chain(error)
    )


def was_interrupted(error: BaseException) -> bool:
    """The same, or because of a cancellation other than a timeout.

    Not for what comes out of a group of tasks: a group cancels by itself, when one of it fails.
    """
    for each in _error_chain(error):
        if isinstance(each, TimeoutError):
            return False
        if isinstance(each, asyncio.CancelledError):
            return True
    return was_dropped(error)


def _error_chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those during whose handling it was raised."""
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__context__


def is_transient(error: BaseException) -> bool:
    """Whether this error is temporary."""
    return isinstance(error, (ModelAway, *_TRANSIENT))


def returns_to_queue(error: BaseException) -> bool:
    """Whether the run is handed back to the queue, so that others may use its place meanwhile,
    when waiting has been of no use.

    The model's client has waited its patience out by then; the run's time budget still bounds it.
    """
    return isinstance(error, (ModelAway, *_OUTAGES))


def first_error(error: BaseException) -> BaseException:
    """The error itself, or the first of a group (attempts run side by side)."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def outage_label(error: BaseException) -> str:
    """What a step waits for, as the label of `patchwright_step_waits`."""
    return next((away for kind, away in _OUTAGE_LABELS if isinstance(error, kind)), OTHER)


def wait_before_retry(
    error: BaseException, tries: int, patience: Sequence[float] = PATIENCE_S
) -> float | None:
    """Seconds to wait after `tries` failed tries; None if this worker must not retry."""
    if not isinstance(error, _TRANSIENT) or tries > len(patience):
        return None
    wait = patience[tries - 1]
    if isinstance(error, RateLimited):
        return min(max(error.retry_after, wait), LONGEST_WAIT_S)
    return wait


def public_message(error: BaseException, run_id: str) -> str:
    """The failure as told on the issue: never a trace, a path of this machine or a secret."""
    if isinstance(error, EngineUnavailable):  # its message has addresses of this machine
        return f"The container engine does not respond; the log has details under run {run_id}."
    if isinstance(error, _PUBLIC_ERRORS):
        return redact(str(error))
    return (
        f"An internal error ended the run; the operator can find it in the log under run {run_id}."
    )


Kind = Literal[
    "suspended",
    "removed",
    "gone",
    "archived",
    "locked",
    "transferred",
    "closed",
    "protected",
    "token",
]


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a run is over."""

    kind: Kind
    text: str
    """For the record and, where possible, for the issue."""
    post_comment: bool
    """Whether a comment on the issue is possible and wanted."""

    @property
    def result(self) -> Failed:
        """As the result of a step that failed so."""
        return Failed(self.text, post_comment=self.post_comment)


def stop_reason_for_error(error: BaseException) -> StopReason | None:
    """Why a refusal by GitHub ends the run; None for any other failure."""
    match error:
        case InstallationSuspended():
            return StopReason(
                "suspended",
                "The App's installation was suspended. Lift the suspension in the installation's "
                "settings, then start a new run.",
                post_comment=False,
            )
        case InstallationGone():
            return StopReason(
                "removed",
                "The repository was deleted or transferred, or the App was removed from it. "
                "Install the App where the repository is now, then start a new run.",
                post_comment=False,
            )
        case IssueGone():
            return StopReason(
                "gone",
                "The issue was deleted, turned into a discussion, or transferred to a repository "
                "without the App. What was found is on the run's page.",
                post_comment=False,
            )
        case RepositoryArchived():
            return StopReason("archived", ARCHIVED, post_comment=False)
        case ConversationLocked():
            return StopReason(
                "locked",
                "The issue is locked, so no report can be posted there. Unlock it and start a new "
                "run; the findings are on the run's page.",
                post_comment=False,
            )
        case TokenRefused() | GitDenied():
            return StopReason(
                "token",
                "GitHub refused the App's token, and a new one too. The App's private key may have "
                "been revoked, or its permissions changed: the operator should run "
                "`patchwright doctor`.",
                post_comment=False,
            )
        case PushRefused():
            return StopReason(
                "protected",
                f"The fix could not be pushed. {error}",
                post_comment=True,
            )
        case _:
            return None


ARCHIVED = "The repository was archived, which makes it read-only. Unarchive it to continue."


def stop_reason_for_issue(
    thread: IssueThread, repository: Repository, *, name: str, number: int
) -> StopReason | None:
    """Why the issue's state ends a run on issue `number` of `name`; None if it does not."""
    if repository.archived:
        return StopReason("archived", ARCHIVED, post_comment=False)
    # GitHub leads from the old place of a transferred issue to the new one.
    if thread.number != number or not _is_in_repository(thread.url, repository, name):
        return StopReason(
            "transferred",
            f"The issue was transferred and is now {thread.url}. Label it there to continue.",
            post_comment=False,
        )
    if thread.locked:
        return StopReason(
            "locked",
            "The issue was locked in the meantime. Unlock it and start a new run.",
            post_comment=False,
        )
    if not thread.open:
        return StopReason(
            "closed",
            "The issue was closed in the meantime. Reopen it and label it again to continue.",
            post_comment=True,
        )
    return None


def _is_in_repository(url: str, repository: Repository, name: str) -> bool:
    """Whether an issue's URL is within the repository, perhaps under its old name."""
    path = url.casefold()
    return any(f"/{full.casefold()}/" in path for full in (name, repository.full_name))
