"""What GitHub delivers: signature checked, then parsed. Pure: no I/O here.

Facts: https://docs.github.com/en/webhooks/webhook-events-and-payloads and
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

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


class BadPayload(Exception):
    """The body is no JSON, or not what GitHub sends for this event."""


class Ignored(Record):
    """A delivery that asks nothing of us."""

    reason: str


class Trigger(Record):
    """Somebody put a label on an issue. All text in it is untrusted."""

    installation_id: Id
    repository: FullName
    repository_id: Id
    default_branch: str
    archived: bool
    issue_number: Id
    issue_title: str
    issue_body: str
    issue_author: str
    issue_open: bool
    is_pull_request: bool
    label: str
    sender: str
    sender_is_bot: bool


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


class _Labeled(_Lenient):
    issue: _Issue
    repository: _Repository
    sender: _User
    label: _Label | None = None
    installation: _Installation | None = None


_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


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


def parse(event: str, body: bytes) -> Trigger | Ignored:
    """What a delivery asks for. Raises `BadPayload`, and nothing else, on a body that is wrong."""
    try:
        payload = _OBJECT.validate_json(body)
    except (ValidationError, RecursionError):
        raise BadPayload("the body is not a JSON object") from None
    action = payload.get("action")
    if event != "issues" or action != "labeled":
        return Ignored(reason="not an event that starts a run")
    try:
        labeled = _Labeled.model_validate(payload)
    except (ValidationError, RecursionError):
        raise BadPayload("the body is not an issues.labeled event as GitHub sends it") from None
    if labeled.installation is None:
        return Ignored(reason="not delivered for an installation of the App")
    if labeled.label is None:
        return Ignored(reason="no label is named")
    issue, repository, sender = labeled.issue, labeled.repository, labeled.sender
    return Trigger(
        installation_id=labeled.installation.id,
        repository=repository.full_name,
        repository_id=repository.id,
        default_branch=repository.default_branch,
        archived=repository.archived,
        issue_number=issue.number,
        issue_title=issue.title,
        issue_body=issue.body or "",
        issue_author=issue.user.login if issue.user else "ghost",
        issue_open=issue.state == "open",
        is_pull_request=issue.pull_request is not None,
        label=labeled.label.name,
        sender=sender.login,
        sender_is_bot=sender.type != "User",
    )
