"""What GitHub delivers: signature checked, then parsed. No I/O here.

Facts: https://docs.github.com/en/webhooks/webhook-events-and-payloads and
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.github.webhook_events import (
    Assigned,
    CheckFailed,
    Commented,
    FullName,
    Id,
    Ignored,
    Installed,
    InstalledRepository,
    IssueClosed,
    Login,
    MergeGroupAsked,
    MergeGroupEnded,
    PullAction,
    PullChanged,
    PullEnded,
    Pushed,
    Rerun,
    Reviewed,
    Sha,
    Trigger,
    WebhookEvent,
    WorkflowEnded,
)

__all__ = [
    "ALWAYS_DELIVERED",
    "EVENTS",
    "BadPayload",
    "Ignored",
    "Trigger",
    "parse",
    "sign",
    "verify",
]

LONGEST_TEXT = 70_000
"""GitHub's texts are at most 65,536 characters; what is longer is cut before it is kept."""
FAILURES = ("failure", "timed_out")
"""Conclusions of a check run that ask for a fix."""
_WELL = ("success", "neutral", "skipped")
"""Conclusions of a workflow of which no job failed."""


class BadPayload(Exception):
    """The body is no JSON, or not what GitHub sends for this event."""


class _PartialPayload(BaseModel):
    """A part of a payload; what is not named here may come and go as GitHub likes."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _User(_PartialPayload):
    login: Login
    type: str = "User"
    id: int = 0


class _Label(_PartialPayload):
    name: str


class _Repository(_PartialPayload):
    id: Id
    full_name: FullName
    default_branch: Annotated[str, Field(min_length=1, max_length=255)] = "main"
    archived: bool = False
    private: bool | None = None


class _Issue(_PartialPayload):
    number: Id
    title: str
    body: str | None = None
    state: str = "open"
    user: _User | None = None
    pull_request: dict[str, Any] | None = None


class _Installation(_PartialPayload):
    id: Id


class _Account(_PartialPayload):
    id: Id


class _InstallationOfAccount(_PartialPayload):
    id: Id
    account: _Account


class _ListedRepository(_PartialPayload):
    id: Id
    full_name: FullName
    private: bool | None = None


class _InstallationPayload(_PartialPayload):
    installation: _InstallationOfAccount
    sender: _User
    repositories: list[dict[str, Any]] = []
    repositories_added: list[dict[str, Any]] = []


class _Payload(_PartialPayload):
    """What every event of a repository has."""

    repository: _Repository
    sender: _User
    installation: _Installation | None = None


class _IssuePayload(_Payload):
    issue: _Issue
    label: _Label | None = None
    assignee: _User | None = None


class _Comment(_PartialPayload):
    id: Id
    body: str | None = None


class _CommentPayload(_Payload):
    issue: _Issue
    comment: _Comment


class _PullNumber(_PartialPayload):
    number: Id


class _Review(_PartialPayload):
    state: str
    body: str | None = None


class _ReviewPayload(_Payload):
    pull_request: _PullNumber
    review: _Review


class _ReviewCommentPayload(_Payload):
    pull_request: _PullNumber


class _Suite(_PartialPayload):
    head_branch: str | None = None


class _App(_PartialPayload):
    id: int


class _BranchRepository(_PartialPayload):
    id: Id


class _Branch(_PartialPayload):
    repo: _BranchRepository


class _CheckedPull(_PartialPayload):
    number: Id
    base: _Branch


class _CheckRun(_PartialPayload):
    id: Id
    name: str
    head_sha: Sha
    external_id: str | None = None
    conclusion: str | None = None
    app: _App | None = None
    check_suite: _Suite | None = None
    pull_requests: list[_CheckedPull] = []


class _CheckPayload(_Payload):
    check_run: _CheckRun


class _WorkflowRun(_PartialPayload):
    head_sha: Sha
    conclusion: str | None = None
    run_attempt: int = 1
    pull_requests: list[_CheckedPull] = []


class _WorkflowPayload(_Payload):
    workflow_run: _WorkflowRun


class _ClosedPull(_PartialPayload):
    number: Id
    merged: bool | None = None


class _PullPayload(_Payload):
    pull_request: _ClosedPull


class _PullChanges(_PartialPayload):
    base: dict[str, Any] | None = None


class _PullChangedPayload(_Payload):
    action: PullAction
    pull_request: _PullNumber
    label: _Label | None = None
    changes: _PullChanges | None = None


class _MergeGroup(_PartialPayload):
    head_sha: Sha
    head_ref: str
    base_sha: Sha
    base_ref: str


class _MergeGroupPayload(_Payload):
    merge_group: _MergeGroup


class _PushedCommit(_PartialPayload):
    message: str = ""


class _PushPayload(_Payload):
    ref: str
    after: Sha
    deleted: bool = False
    commits: list[_PushedCommit] = []


_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_P = TypeVar("_P", bound=_Payload)


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


def parse(event: str, body: bytes) -> Trigger | WebhookEvent | Installed | Ignored:
    """What a delivery asks for. Raises `BadPayload`, and nothing else, on a body that is wrong."""
    try:
        payload = _OBJECT.validate_json(body)
    except (ValidationError, RecursionError):
        raise BadPayload("the body is not a JSON object") from None
    action = payload.get("action")
    known = (event, action if isinstance(action, str) else "")
    parse_payload = _PARSERS.get(known)
    if parse_payload is None and known not in _INSTALLATIONS:
        return Ignored(reason="not an event that asks for anything")
    try:
        return _parse_installation(payload) if parse_payload is None else parse_payload(payload)
    except (ValidationError, RecursionError):
        what = f"{event}.{action}" if action else event
        raise BadPayload(f"the body is not a {what} event as GitHub sends it") from None


def _parser(
    model: type[_P], read: Callable[[_P, dict[str, Any]], Trigger | WebhookEvent | Ignored]
) -> Callable[[dict[str, Any]], Trigger | WebhookEvent | Ignored]:
    def parse_payload(body: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
        payload = model.model_validate(body)
        if payload.installation is None:
            return Ignored(reason="not delivered for an installation of the App")
        source = {
            "installation_id": payload.installation.id,
            "repository": payload.repository.full_name,
            "repository_id": payload.repository.id,
            "default_branch": payload.repository.default_branch,
            "archived": payload.repository.archived,
            "sender": payload.sender.login,
            "sender_is_bot": payload.sender.type != "User",
            "sender_id": payload.sender.id,
            "private": payload.repository.private,
        }
        return read(payload, source)

    return parse_payload


def _parse_label(
    payload: _IssuePayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    if payload.label is None:
        return Ignored(reason="no label is named")
    issue = payload.issue
    return Trigger(
        **source,
        issue_number=issue.number,
        issue_title=issue.title[:LONGEST_TEXT],
        issue_body=(issue.body or "")[:LONGEST_TEXT],
        issue_author=issue.user.login if issue.user else "ghost",
        issue_open=issue.state == "open",
        is_pull_request=issue.pull_request is not None,
        label=payload.label.name,
    )


def _parse_assignment(
    payload: _IssuePayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    if payload.assignee is None:
        return Ignored(reason="nobody is assigned")
    return Assigned(**source, issue_number=payload.issue.number, assignee=payload.assignee.login)


def _parse_closed_issue(
    payload: _IssuePayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    return IssueClosed(**source, issue_number=payload.issue.number)


def _parse_comment(
    payload: _CommentPayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    return Commented(
        **source,
        issue_number=payload.issue.number,
        is_pull_request=payload.issue.pull_request is not None,
        comment_id=payload.comment.id,
        body=(payload.comment.body or "")[:LONGEST_TEXT],
    )


def _parse_review(
    payload: _ReviewPayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    # The comments of a review come as events of their own.
    if payload.review.state.lower() == "approved" or not payload.review.body:
        return Ignored(reason="the review itself asks for nothing")
    return Reviewed(**source, pull_number=payload.pull_request.number)


def _parse_review_comment(
    payload: _ReviewCommentPayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    return Reviewed(**source, pull_number=payload.pull_request.number)


def _parse_check(
    payload: _CheckPayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    check = payload.check_run
    if check.conclusion not in FAILURES:
        return Ignored(reason="the check did not fail")
    branch = check.check_suite.head_branch if check.check_suite else None
    return CheckFailed(
        **source,
        check_id=check.id,
        app_id=check.app.id if check.app else 0,
        name=check.name[:255],
        head_sha=check.head_sha,
        head_branch=(branch or "")[:255],
        pulls=_pulls_of(check.pull_requests, payload.repository.id),
    )


def _parse_workflow(
    payload: _WorkflowPayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    ended = payload.workflow_run
    # One that was cancelled may have jobs that failed before, for whose re-run a run waits.
    if ended.conclusion in _WELL and ended.run_attempt == 1:
        return Ignored(reason="the workflow did not fail")
    pulls = _pulls_of(ended.pull_requests, payload.repository.id)
    if not pulls:
        return Ignored(reason="no pull request is known with that commit")
    return WorkflowEnded(**source, head_sha=ended.head_sha, pulls=pulls)


def _pulls_of(listed: list[_CheckedPull], repository_id: int) -> tuple[int, ...]:
    # In a fork, those of the repository that it came from are listed too.
    return tuple(p.number for p in listed[:20] if p.base.repo.id == repository_id)


def _parse_rerun(
    payload: _CheckPayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    check = payload.check_run
    return Rerun(
        **source,
        app_id=check.app.id if check.app else 0,
        external_id=(check.external_id or "")[:255],
        head_sha=check.head_sha,
    )


def _parse_closed_pull(
    payload: _PullPayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    pull = payload.pull_request
    return PullEnded(**source, pull_number=pull.number, merged=bool(pull.merged))


def _parse_changed_pull(
    payload: _PullChangedPayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    if payload.action == "labeled" and payload.label is None:
        return Ignored(reason="no label is named")
    if payload.action == "edited" and (payload.changes is None or payload.changes.base is None):
        return Ignored(reason="only its text was changed")
    return PullChanged(
        **source,
        action=payload.action,
        pull_number=payload.pull_request.number,
        label=payload.label.name if payload.label and payload.action == "labeled" else "",
    )


def _parse_merge_group(
    payload: _MergeGroupPayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    group = payload.merge_group
    return MergeGroupAsked(
        **source,
        head_sha=group.head_sha,
        head_ref=group.head_ref[:255],
        base_sha=group.base_sha,
        base_ref=group.base_ref[:255],
    )


def _parse_ended_group(
    payload: _MergeGroupPayload, source: dict[str, Any]
) -> Trigger | WebhookEvent | Ignored:
    return MergeGroupEnded(**source, head_sha=payload.merge_group.head_sha)


def _parse_push(payload: _PushPayload, source: dict[str, Any]) -> Trigger | WebhookEvent | Ignored:
    prefix = "refs/heads/"
    if payload.deleted or not payload.ref.startswith(prefix):
        return Ignored(reason="no branch moved")
    return Pushed(
        **source,
        branch=payload.ref.removeprefix(prefix)[:255],
        after=payload.after,
        # The host's git says which; this only says that it is worth a look.
        reverts=any("revert" in commit.message.casefold() for commit in payload.commits),
    )


def _parse_installation(body: dict[str, Any]) -> Installed:
    payload = _InstallationPayload.model_validate(body)
    found = []
    for each in (*payload.repositories, *payload.repositories_added):
        # One with a name that we do not know to be one must not cost the others.
        with suppress(ValidationError):
            listed = _ListedRepository.model_validate(each)
            found.append(InstalledRepository(**listed.model_dump()))
    return Installed(
        installation_id=payload.installation.id,
        account_id=payload.installation.account.id,
        sender=payload.sender.login,
        repositories=tuple(found),
    )


_INSTALLATIONS = (("installation", "created"), ("installation_repositories", "added"))

_PARSERS: dict[tuple[str, str], Callable[[dict[str, Any]], Trigger | WebhookEvent | Ignored]] = {
    ("issues", "labeled"): _parser(_IssuePayload, _parse_label),
    ("issues", "assigned"): _parser(_IssuePayload, _parse_assignment),
    ("issues", "closed"): _parser(_IssuePayload, _parse_closed_issue),
    ("issue_comment", "created"): _parser(_CommentPayload, _parse_comment),
    ("pull_request_review", "submitted"): _parser(_ReviewPayload, _parse_review),
    ("pull_request_review_comment", "created"): _parser(
        _ReviewCommentPayload, _parse_review_comment
    ),
    ("check_run", "completed"): _parser(_CheckPayload, _parse_check),
    ("check_run", "rerequested"): _parser(_CheckPayload, _parse_rerun),
    ("workflow_run", "completed"): _parser(_WorkflowPayload, _parse_workflow),
    ("pull_request", "closed"): _parser(_PullPayload, _parse_closed_pull),
    **{
        ("pull_request", action): _parser(_PullChangedPayload, _parse_changed_pull)
        for action in get_args(PullAction)
    },
    ("merge_group", "checks_requested"): _parser(_MergeGroupPayload, _parse_merge_group),
    ("merge_group", "destroyed"): _parser(_MergeGroupPayload, _parse_ended_group),
    ("push", ""): _parser(_PushPayload, _parse_push),
}

EVENTS = tuple(sorted({event for event, _ in _PARSERS}))
"""The events that the App has to be subscribed to."""

ALWAYS_DELIVERED = tuple(event for event, _ in _INSTALLATIONS)
"""Events that GitHub delivers to every App; none can subscribe to them."""
