"""The text of an alert's issue: what happened, where in the repository, and since which commit.

It is read by people and, if a run is started, by the model; everything from outside is escaped and
without secrets. The stack trace is written as the language writes it, with the repository's paths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from agent.model import Record
from app.alerts.locate import Findings
from app.alerts.places import PlacedFrame
from app.alerts.records import Alert
from app.publishing.rendering import MARKER_ROOM, render
from app.sanitize.markdown import COMMENT_LIMIT, fit, inline, title_text
from app.storage.alerts import KeptAlert

MOST_FRAMES = 40
MOST_LABELS = 15
LONGEST_CODE = 200
_ABOUT_PEOPLE = re.compile(r"user|mail|^ip|_ip|session|cookie|auth|^url$|geo|device", re.IGNORECASE)
"""Labels that tell of a person who used the program; they do not belong into an issue."""


class Place(Record):
    """A frame of the trace that lies in the repository."""

    path: str
    line: int
    function: str
    note: str


def marker(alert_id: str) -> str:
    """What an alert's issue begins with: the key to find it again."""
    return f"<!-- patchwright:alert id={alert_id} -->"


def title(alert: Alert) -> str:
    """The title of an alert's issue."""
    named = f"{alert.title} ({alert.project})" if alert.project else alert.title
    return title_text(named, 200)


def body(kept: KeptAlert, alert: Alert, found: Findings | None) -> str:
    """The text of an alert's issue, without its marker.

    Without `found` the repository could not be looked at.
    """
    placed = found.frames if found else tuple(PlacedFrame(frame=f) for f in alert.frames)
    return fit(
        render(
            "alert.md.j2",
            inline,
            alert=alert,
            kept=kept,
            found=found,
            count=max(alert.count, kept.seen),
            first_seen=_time(alert.first_seen or kept.created_at),
            last_seen=_time(
                _latest(alert.last_seen, kept.seen_at, kept.state in ("resolved", "gone"))
            ),
            places=_places(placed),
            trace=trace(alert, placed),
            unplaced=sum(not f.path and not f.is_minified for f in placed),
            minified=sum(f.is_minified for f in placed),
            labels=[each for each in alert.labels if not _ABOUT_PEOPLE.search(each[0])][
                :MOST_LABELS
            ],
        ),
        COMMENT_LIMIT - MARKER_ROOM,
    )


def _latest(told: datetime | None, seen: datetime, is_over: bool) -> datetime:
    return told or seen if is_over else max(told or seen, seen)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _places(placed: Sequence[PlacedFrame]) -> tuple[Place, ...]:
    """The frames in the repository, the innermost first, each place once."""
    notes = {
        "same line": "",
        "unchecked": "",
        "moved line": "the line is elsewhere in the release's file",
        "other text": "the release's file reads otherwise there",
    }
    found: dict[tuple[str, int], Place] = {}
    for each in reversed(placed):
        if each.path and each.frame.in_app is not False:
            found.setdefault(
                (each.path, each.line),
                Place(
                    path=each.path,
                    line=each.line,
                    function=each.frame.function,
                    note=notes[each.fit],
                ),
            )
    return tuple(found.values())[:10]


def trace(alert: Alert, placed: Sequence[PlacedFrame]) -> str:
    """The stack trace as the language would print it; empty where no frame has a line."""
    shown = [f for f in placed if f.frame.path or f.frame.absolute][-MOST_FRAMES:]
    if not any(f.frame.line for f in shown):
        return ""
    said = alert.message.split("\n")[0][:500]
    error = alert.title if said in alert.title else f"{alert.title}: {said}"
    last = shown[-1].path or shown[-1].frame.path
    if last.endswith((".py", ".pyx")):
        lines = ["Traceback (most recent call last):"]
        for each in shown:
            path, line, function = _told(each)
            lines.append(f'  File "{path}", line {line}, in {function or "<module>"}')
            if each.frame.code:
                lines.append(f"    {each.frame.code.strip()[:LONGEST_CODE]}")
        return "\n".join([*lines, error])
    lines = [error]
    for each in reversed(shown):
        path, line, function = _told(each)
        if path.endswith((".java", ".kt", ".scala")):
            called = f"{each.frame.module}.{function}" if each.frame.module else function
            lines.append(f"    at {called}({path.rpartition('/')[2]}:{line})")
        elif path.endswith(".go"):
            lines += [f"{function or '?'}(...)", f"\t{path}:{line}"]
        elif path.endswith(".rs"):
            lines.append(f"    at {path}:{line}")
        else:
            at = f"{path}:{line}:{each.frame.column or 1}"
            lines.append(f"    at {function} ({at})" if function else f"    at {at}")
    return "\n".join(lines)


def _told(placed: PlacedFrame) -> tuple[str, int, str]:
    """Path, line and function; the repository's where the frame lies in it."""
    frame = placed.frame
    return placed.path or frame.path or frame.absolute, placed.line or frame.line, frame.function
