"""What GitHub delivers: signature checked, then parsed. No I/O here.

Facts: https://docs.github.com/en/webhooks/webhook-events-and-payloads and
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.github.webhook_events import (
    Assigned,
    CheckFailed,
    Commented,
    FullName,
    Id,
    Ignored,
    Login,
    PullEnded,
    Pushed,
    Rerun,
    Reviewed,
    Sha,
    Trigger,
    WebhookEvent,
)

__all__ = ["EVENTS", "BadPayload", "Ignored", "Trigger", "parse", "sign", "verify"]

LONGEST_TEXT = 70_000
"""GitHub's texts are at most 65,536 characters; what is longer is cut before it is kept."""
FAILURES = ("failure", "timed_out")
"""Conclusions of a check run that ask for a fix."""


class BadPayload(Exception):
    """The body is no JSON, or not what GitHub sends for this event."""


class _Lenient(BaseModel):
    """A part of a payload; what is not named here may come and go as GitHub likes."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _User(_Lenient):
    login: Login
    type: str = "User"


class _Label(_Lenient):
    name: str


class _Repository(_Lenient):
    id: Id
    full_name: FullName
    default_branch: Annotated[str, Field(min_length=1, max_length=255)] = "main"
    archived: bool = False


class _Issue(_Lenient):
    number: Id
    title: str
    body: str | None = None
    state: str = "open"
    user: _User | None = None
    pull_request: dict[str, Any] | None = None


class _Installation(_Lenient):
    id: Id


class _Delivery(_Lenient):
    """What every event of a repository has."""

    repository: _Repository
    sender: _User
    installation: _Installation | None = None


class _OfIssue(_Delivery):
    issue: _Issue
    label: _Label | None = None
    assignee: _User | None = None


class _Comment(_Lenient):
    id: Id
    body: str | None = None


class _OfComment(_Delivery):
    issue: _Issue
    comment: _Comment


class _Numbered(_Lenient):
    number: Id


class _Review(_Lenient):
    state: str
    body: str | None = None


class _OfReview(_Delivery):
    pull_request: _Numbered
    review: _Review


class _OfLine(_Delivery):
    pull_request: _Numbered


class _Suite(_Lenient):
    head_branch: str | None = None


class _App(_Lenient):
    id: int


class _RepositoryOfBranch(_Lenient):
    id: Id


class _Branch(_Lenient):
    repo: _RepositoryOfBranch


class _PullOfCheck(_Lenient):
    number: Id
    base: _Branch


class _CheckRun(_Lenient):
    id: Id
    name: str
    head_sha: Sha
    external_id: str | None = None
    conclusion: str | None = None
    app: _App | None = None
    check_suite: _Suite | None = None
    pull_requests: list[_PullOfCheck] = []


class _OfCheck(_Delivery):
    check_run: _CheckRun


class _Ended(_Lenient):
    number: Id
    merged: bool | None = None


class _OfPull(_Delivery):
    pull_request: _Ended


class _OfPush(_Delivery):
    ref: str
    after: Sha
    deleted: bool = False


_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_D = TypeVar("_D", bound=_Delivery)


def sign(secret: str, body: bytes) -> str:
    """The `X-Hub-Signature-256` header for a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(secret: str, body: bytes, signature: str) -> bool:
    """Whether the signature header fits the raw body; in constant time.

    An empty secret verifies nothing.
    """
    if not secret:
        return False
    return hmac.compare_digest(sign(secret, body).encode(), signature.encode())


def parse(event: str, body: bytes) -> Trigger | WebhookEvent | Ignored:
    """What a delivery asks for. Raises `BadPayload`, and nothing else, on a body that is wrong."""
    try:
        payload = _OBJECT.validate_json(body)
    except (ValidationError, RecursionError):
        raise BadPayload("the body is not a JSON object") from None
    action = payload.get("action")
    known = _KNOWN.get((event, action if isinstance(action, str) else ""))
    if known is None:
        return Ignored(reason="not an event that asks for anything")
    try:
        return known(payload)
    except (ValidationError, RecursionError):
        what = f"{event}.{action}" if action else event
        raise BadPayload(f"the body is not a {what} event as GitHub sends it") from None


def _reader(
    model: type[_D], read: Callable[[_D, dict[str, Any]], Trigger | WebhookEvent | Ignored]
) -> Callable[[dict[str, Any]], Trigger | WebhookEvent | Ignored]:
    def known(payload: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
        delivery = model.model_validate(payload)
        if delivery.installation is None:
            return Ignored(reason="not delivered for an installation of the App")
        place = {
            "installation_id": delivery.installation.id,
            "repository": delivery.repository.full_name,
            "repository_id": delivery.repository.id,
            "default_branch": delivery.repository.default_branch,
            "archived": delivery.repository.archived,
            "sender": delivery.sender.login,
            "sender_is_bot": delivery.sender.type != "User",
        }
        return read(delivery, place)

    return known


def _labeled(event: _OfIssue, place: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
    if event.label is None:
        return Ignored(reason="no label is named")
    issue = event.issue
    return Trigger(
        **place,
        issue_number=issue.number,
        issue_title=issue.title[:LONGEST_TEXT],
        issue_body=(issue.body or "")[:LONGEST_TEXT],
        issue_author=issue.user.login if issue.user else "ghost",
        issue_open=issue.state == "open",
        is_pull_request=issue.pull_request is not None,
        label=event.label.name,
    )


def _assigned(event: _OfIssue, place: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
    if event.assignee is None:
        return Ignored(reason="nobody is assigned")
    return Assigned(**place, issue_number=event.issue.number, assignee=event.assignee.login)


def _commented(event: _OfComment, place: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
    return Commented(
        **place,
        issue_number=event.issue.number,
        is_pull_request=event.issue.pull_request is not None,
        comment_id=event.comment.id,
        body=(event.comment.body or "")[:LONGEST_TEXT],
    )


def _reviewed(event: _OfReview, place: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
    # The comments of a review come as events of their own.
    if event.review.state.lower() == "approved" or not event.review.body:
        return Ignored(reason="the review itself asks for nothing")
    return Reviewed(**place, pull_number=event.pull_request.number)


def _line_commented(event: _OfLine, place: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
    return Reviewed(**place, pull_number=event.pull_request.number)


def _check_ended(event: _OfCheck, place: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
    check = event.check_run
    if check.conclusion not in FAILURES:
        return Ignored(reason="the check did not fail")
    branch = check.check_suite.head_branch if check.check_suite else None
    return CheckFailed(
        **place,
        check_id=check.id,
        app_id=check.app.id if check.app else 0,
        name=check.name[:255],
        head_sha=check.head_sha,
        head_branch=(branch or "")[:255],
        # In a fork, those of the repository that it came from are listed too.
        pulls=tuple(
            p.number for p in check.pull_requests[:20] if p.base.repo.id == event.repository.id
        ),
    )


def _rerun(event: _OfCheck, place: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
    check = event.check_run
    return Rerun(
        **place,
        app_id=check.app.id if check.app else 0,
        external_id=(check.external_id or "")[:255],
        head_sha=check.head_sha,
    )


def _pull_ended(event: _OfPull, place: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
    pull = event.pull_request
    return PullEnded(**place, pull_number=pull.number, merged=bool(pull.merged))


def _pushed(event: _OfPush, place: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
    prefix = "refs/heads/"
    if event.deleted or not event.ref.startswith(prefix):
        return Ignored(reason="no branch moved")
    return Pushed(**place, branch=event.ref.removeprefix(prefix)[:255], after=event.after)


_KNOWN: dict[tuple[str, str], Callable[[dict[str, Any]], Trigger | WebhookEvent | Ignored]] = {
    ("issues", "labeled"): _reader(_OfIssue, _labeled),
    ("issues", "assigned"): _reader(_OfIssue, _assigned),
    ("issue_comment", "created"): _reader(_OfComment, _commented),
    ("pull_request_review", "submitted"): _reader(_OfReview, _reviewed),
    ("pull_request_review_comment", "created"): _reader(_OfLine, _line_commented),
    ("check_run", "completed"): _reader(_OfCheck, _check_ended),
    ("check_run", "rerequested"): _reader(_OfCheck, _rerun),
    ("pull_request", "closed"): _reader(_OfPull, _pull_ended),
    ("push", ""): _reader(_OfPush, _pushed),
}

EVENTS = tuple(sorted({event for event, _ in _KNOWN}))
"""The events that the App has to be subscribed to."""
