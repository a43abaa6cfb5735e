"""What is kept of schedules and nights, as records."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from agent.model import Record
from app.github.webhook_events import Trigger

NightState = Literal["begun", "working", "over", "reported", "failed"]
"""`begun`: issues are being chosen; `over`: its report is being written."""
Finding = Literal[
    "", "fixed", "duplicate", "needs_info", "not_reproduced", "reproduced", "proven", "not_tried"
]
"""What a night found of an issue. `fixed`: fixed already, by a commit that is named; `reproduced`
on the default branch's tip; `proven`: a pull request was opened; `not_tried`: something was in the
way. Empty: not known yet."""
FINDINGS: tuple[Finding, ...] = (
    "proven", "reproduced", "fixed", "duplicate", "needs_info", "not_reproduced", "not_tried",
)  # fmt: skip


class UnknownNight(KeyError):
    """There is no such night."""


class PassedOver(Record):
    """Issues that a night did not look at."""

    why: str
    numbers: tuple[int, ...]


class KnownSchedule(Record):
    """What is known of a repository's schedule."""

    repository_id: int
    seen: str
    schedule: str
    """As JSON; empty: none."""
    next_at: datetime | None


class Night(Record):
    """A night of a repository."""

    id: str
    repository_id: int
    installation_id: int
    repository: str
    private: bool
    day: str
    """By the schedule's calendar, such as `2026-11-28`."""
    state: NightState
    schedule: str
    """As it was then, as JSON."""
    passed_over: tuple[PassedOver, ...]
    reason: str
    report_issue: int
    """0: its report is on its page only."""
    due_at: datetime
    begun_at: datetime
    ended_at: datetime | None


class Triage(Record):
    """What a night found of one issue."""

    run_id: str
    night_id: str
    repository_id: int
    issue_number: int
    title: str
    finding: Finding
    words: str
    duplicate_of: int
    commit_id: str
    digest: str
    changed_at: datetime
    asked: bool
    tokens: int
    seconds: int
    at: datetime
    pull_request: str = ""
    """The address of its run's pull request; empty: there is none."""


class Picked(Record):
    """An issue that a night looks at, and what starts its run."""

    trigger: Trigger
    changed_at: datetime
