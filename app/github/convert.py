"""GitHub's answers, as PyGithub gives them, turned into our records and errors.

Source of facts: GitHub's REST descriptions, versions 2022-11-28 and 2026-03-10, and its page on
rate limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from github import GithubException
from github.Issue import Issue
from github.IssueComment import IssueComment
from github.PullRequest import PullRequest

from app.github.errors import (
    ConversationLocked,
    ForgeAway,
    ForgeDenied,
    ForgeError,
    ForgeMissing,
    ForgeRefused,
    InstallationSuspended,
    RateLimited,
    RepositoryArchived,
    TokenRefused,
)
from app.github.records import Comment, IssueThread, Pull

SECONDARY_WAIT_S = 60.0
"""How long to wait at a secondary limit that names no time (GitHub asks for at least a minute)."""


def forge_error(what: str, error: GithubException) -> ForgeError:
    """GitHub's answer as one of our errors."""
    message = error.data.get("message", "") if isinstance(error.data, dict) else ""
    headers = {k.lower(): v for k, v in (error.headers or {}).items()}
    text = f"Could not {what}: GitHub answered {error.status}{f' ({message})' if message else ''}."
    if error.status in (403, 429):
        wait = _seconds_to_wait(headers, message)
        if wait is not None or error.status == 429:
            return RateLimited(text, wait if wait is not None else SECONDARY_WAIT_S)
    if error.status == 401:
        return TokenRefused(text)
    if error.status == 403:
        return _denial(text, message)
    if error.status in (404, 410):
        return ForgeMissing(text)
    if error.status >= 500:
        return ForgeAway(text)
    problems = error.data.get("errors") if isinstance(error.data, dict) else None
    return ForgeRefused(f"{text} {problems}" if problems else text)


_DENIALS = (
    (re.compile(r"installation has been suspended", re.I), InstallationSuspended),
    (re.compile(r"repository was archived", re.I), RepositoryArchived),
    (re.compile(r"(issue|conversation|pull request) is locked", re.I), ConversationLocked),
)
"""GitHub's messages, because these answers have no distinct code."""


def _denial(text: str, message: str) -> ForgeDenied:
    for pattern, kind in _DENIALS:
        if pattern.search(message):
            return kind(text)
    return ForgeDenied(text)


def _seconds_to_wait(headers: dict[str, str], message: str) -> float | None:
    """Seconds that a rate limit asks to wait; None if this is not a rate limit."""
    after = headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return max(1.0, float(reset) - datetime.now(UTC).timestamp() + 1.0)
    return SECONDARY_WAIT_S if "rate limit" in message.lower() else None


def as_comment(comment: IssueComment) -> Comment:
    """A comment; the author of a deleted account is `ghost`, as on GitHub's pages."""
    return Comment(
        id=comment.id,
        author=comment.user.login if comment.user else "ghost",
        body=comment.body or "",
        created_at=comment.created_at,
        url=comment.html_url,
        association=comment.author_association or "",
    )


def as_thread(issue: Issue, comments: list[Comment]) -> IssueThread:
    """An issue with the comments read for it."""
    return IssueThread(
        number=issue.number,
        title=issue.title,
        body=issue.body or "",
        author=issue.user.login if issue.user else "ghost",
        open=issue.state == "open",
        locked=bool(issue.locked),
        is_pull=issue.pull_request is not None,
        labels=tuple(label.name for label in issue.labels),
        comments=tuple(comments),
        url=issue.html_url,
        author_id=issue.user.id if issue.user else 0,
        author_is_person=issue.user is not None and issue.user.type == "User",
        association=issue.author_association or "",
        fields=issue_fields(issue.raw_data),
        created_at=issue.created_at,
    )


MOST_FIELDS = 30
LONGEST_FIELD = 1_000
"""Characters of a field's value that are read."""


def issue_fields(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """`Name: value` of an issue's type and fields, from GitHub's JSON of it.

    Only repositories of organisations have them. They are good to have: what has another shape
    than is known here is left out. https://docs.github.com/rest/issues/issue-field-values
    """
    found = [("Type", _name(raw.get("type")))]
    for field in _list(raw.get("issue_field_values")):
        match field.get("data_type"):
            case "single_select":
                value = _name(field.get("single_select_option"))
            case "multi_select":
                value = ", ".join(_name(each) for each in _list(field.get("multi_select_options")))
            case _:
                given = field.get("value")
                value = str(given) if isinstance(given, str | int | float) else ""
        found.append((str(field.get("issue_field_name") or "Field"), value))
    told = [f"{name[:100]}: {value}"[:LONGEST_FIELD] for name, value in found if value]
    return tuple(told[:MOST_FIELDS])


def _list(value: Any) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, list) else []
    return [each for each in found if isinstance(each, Mapping)]


def _name(value: Any) -> str:
    return str(value.get("name") or "") if isinstance(value, Mapping) else ""


def as_pull(pull: PullRequest) -> Pull:
    """A pull request."""
    return Pull(
        number=pull.number,
        url=pull.html_url,
        open=pull.state == "open",
        draft=bool(pull.draft),
        merged=pull.merged_at is not None,
        branch=pull.head.ref,
        head_sha=pull.head.sha,
        title=pull.title,
        body=pull.body or "",
        base_branch=pull.base.ref,
        from_fork=pull.head.repo is None or pull.head.repo.full_name != pull.base.repo.full_name,
        author=pull.user.login if pull.user else "ghost",
        author_is_bot=pull.user is not None and pull.user.type != "User",
        labels=tuple(label.name for label in pull.labels),
        opened_at=pull.created_at,
        ended_at=pull.merged_at or pull.closed_at,
    )
