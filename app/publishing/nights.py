"""The report of a night, as an issue's text; its page shows the same."""

from __future__ import annotations

from collections.abc import Sequence

from app.nightly.times import is_late
from app.publishing.rendering import MARKER_ROOM, render
from app.repo_config.schema import Schedule
from app.sanitize.markdown import COMMENT_LIMIT, fit, inline
from app.storage.nights.records import FINDINGS, Finding, Night, Triage

HEADINGS: dict[Finding, str] = {
    "proven": "Pull request opened, with its proof",
    "reproduced": "Reproduced on the default branch",
    "fixed": "Fixed already",
    "duplicate": "Duplicate of an open issue",
    "needs_info": "Needs information",
    "not_reproduced": "Could not be reproduced",
    "not_tried": "Could not be looked at",
    "": "Not done yet",
}
"""What each finding is called, the most useful first."""


def by_finding(found: Sequence[Triage]) -> list[tuple[Finding, list[Triage]]]:
    """What a night found, the most useful first; without findings that it did not have."""
    groups = [(name, [t for t in found if t.finding == name]) for name in (*FINDINGS, "")]
    return [(name, those) for name, those in groups if those]


def night_title(night: Night, *, one_for_all: bool) -> str:
    """The title of the issue that a report is in."""
    return "Open issues at night" if one_for_all else f"Open issues in the night of {night.day}"


def night_body(
    night: Night, schedule: Schedule, found: Sequence[Triage], *, web_url: str, base_url: str
) -> str:
    """The text of a night's report, without its marker. `base_url`: empty, where people cannot
    reach the pages."""
    body = render(
        "night.md.j2",
        inline,
        night=night,
        groups=[(HEADINGS[name], those) for name, those in by_finding(found)],
        looked_at=len(found),
        tokens=sum(each.tokens for each in found),
        minutes=round(sum(each.seconds for each in found) / 60),
        late=is_late(night.due_at, night.begun_at),
        then=schedule.then,
        issues_url=f"{web_url}/{night.repository}/issues",
        base_url=base_url,
    )
    return fit(body, COMMENT_LIMIT - MARKER_ROOM)
