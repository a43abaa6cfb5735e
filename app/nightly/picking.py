"""Which of the open issues a night looks at. Pure: what is known is given, the order is total."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.github.records import ListedIssue
from app.nightly.issue_text import has_stack_trace
from app.repo_config.schema import BacklogQuery

UNCHANGED = "looked at before, unchanged since"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Issues that the night does not look at."""

    why: str
    """In words that follow a number of issues."""
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a night does with the open issues."""

    picked: tuple[ListedIssue, ...]
    passed_over: tuple[PassedOver, ...]
    """In the order in which the reasons are looked for."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the repository's issues besides what GitHub lists."""

    own_reports: Collection[int] = ()
    """Issues that are reports of nights."""
    with_runs: Collection[int] = ()
    """Those on which somebody asked for a run, at any time."""
    looked_at: Mapping[int, datetime] | None = None
    """Those of earlier nights, with the time of the last change that they had then."""
    with_pull_request: Collection[int] = ()
    """Those that an open pull request says to fix, or mentions."""


def why_not(issue: ListedIssue, query: BacklogQuery, known: Known, now: datetime) -> str:
    """Why a night does not look at an issue, in words that follow a number; empty: it may."""
    labels = {label.casefold() for label in issue.labels}
    looked_at = known.looked_at or {}
    seen = looked_at.get(issue.number)
    if issue.number in known.own_reports:
        return "reports of nights"
    if issue.locked:
        return "locked"
    if issue.number in known.with_runs:
        return "had a run already"
    if seen is not None and issue.updated_at <= seen:
        return UNCHANGED
    if query.labels and not labels & {name.casefold() for name in query.labels}:
        return "without one of the labels"
    if labels & {name.casefold() for name in query.without_labels}:
        return "with a label that is left out"
    if issue.created_at > now - timedelta(days=query.older_than_days):
        return "too new"
    if query.unassigned and issue.assigned:
        return "assigned to somebody"
    if query.without_pull_request and issue.number in known.with_pull_request:
        return "named by an open pull request"
    if query.with_traceback and not has_stack_trace(f"{issue.title}\n{issue.body}"):
        return "without a stack trace"
    return ""


def choose(
    issues: Sequence[ListedIssue], query: BacklogQuery, known: Known, most: int, now: datetime
) -> Choice:
    """The issues to look at: those that no night looked at first, of these the ones with a stack
    trace, then the oldest."""
    looked_at = known.looked_at or {}
    left: list[ListedIssue] = []
    passed: dict[str, list[int]] = {}
    for issue in issues:
        if issue.is_pull:
            continue
        if why := why_not(issue, query, known, now):
            passed.setdefault(why, []).append(issue.number)
        else:
            left.append(issue)
    left.sort(
        key=lambda issue: (
            issue.number in looked_at,
            not has_stack_trace(f"{issue.title}\n{issue.body}"),
            issue.created_at,
            issue.number,
        )
    )
    if rest := left[most:]:
        passed["left for another night"] = sorted(issue.number for issue in rest)
    return Choice(
        picked=tuple(left[:most]),
        passed_over=tuple(PassedOver(why, tuple(numbers)) for why, numbers in passed.items()),
    )
