"""A journal for readers: each event as a line, and what can be opened below it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from agent.events import AnyEvent, Recorded

LINE = 160
"""Longest line shown unopened."""


@dataclass(frozen=True, slots=True)
class EventView:
    """One event as the page shows it. All text is untrusted; the template escapes it."""

    seq: int
    at: str
    attempt: int
    kind: str
    line: str
    parts: tuple[tuple[str, str], ...]
    """Label and text of what can be opened."""


def present(recorded: Recorded) -> EventView:
    """An event for the page."""
    event = recorded.event
    fields = event.model_dump(mode="json", exclude={"type", "attempt"})
    return EventView(
        seq=recorded.seq,
        at=recorded.at.strftime("%H:%M:%S"),
        attempt=event.attempt,
        kind=event.type.replace("_", " "),
        line=_first_line(_headline(event)),
        parts=tuple(
            (name.replace("_", " "), _text(value)) for name, value in fields.items() if value
        ),
    )


def _headline(event: AnyEvent) -> str:
    match event.type:
        case "model_turned":
            calls = ", ".join(call.name for call in event.tool_calls)
            return f"{event.content or event.reasoning} → {calls}" if calls else event.content
        case "tool_started":
            return f"{event.name} {event.arguments}"
        case "tool_finished":
            return f"{event.name}: {event.status}; {event.output}"
        case "hypothesis_proposed":
            return f"{event.hypothesis}: {event.claim}"
        case "hypothesis_resolved":
            return f"{event.hypothesis} {event.verdict}: {event.evidence}"
        case "gate_judged":
            return (
                f"{event.verdict}: {'; '.join(event.reasons)}" if event.reasons else event.verdict
            )
        case "context_cut":
            return f"{len(event.stubs)} old outputs replaced by stubs"
        case "attempt_started":
            return f"{event.model}, tests: {event.test_command or 'none found'}"
        case "reproduction_declared":
            return event.command or f"none possible: {event.why_none}"
        case "submitted":
            return event.root_cause
        case _:
            return " ".join(
                value
                for name, value in event.model_dump().items()
                if name != "type" and isinstance(value, str)
            )


def _first_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LINE else f"{line[:LINE]}…"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
