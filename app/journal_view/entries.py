"""A journal for readers: each event as a line, and what can be opened below it.

All text is untrusted: it leaves here as plain strings, and the template makes it safe by the filter
that each part names.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from agent.journal.events import AnyEvent, Check, HunkEvidence, Recorded, ToolFinished
from agent.model import ExternalTool, Picture

LINE = 160
"""Longest line shown unopened, in characters."""

How = Literal["plain", "terminal", "patch"]
Tone = Literal["", "good", "bad", "soft"]


@dataclass(frozen=True, slots=True)
class Part:
    """Something that can be opened below an event."""

    label: str
    text: str
    how: How = "plain"
    folded: bool = False
    """Closed even when its event is open: reasoning and prompts are long."""
    log_id: str = ""
    """Where the whole of it is kept."""
    images: tuple[Picture, ...] = ()
    """Shown in place of the text where the page has them."""


@dataclass(frozen=True, slots=True)
class EventView:
    """One event as the page shows it."""

    seq: int
    at: str
    attempt: int
    kind: str
    line: str
    parts: tuple[Part, ...]
    tone: Tone = ""
    begun: str = ""
    """A call that began here."""
    ended: str = ""
    """A call that ended here: its beginning need not be shown any more."""


def present_all(journal: Iterable[Recorded]) -> list[EventView]:
    """Events for the page; the beginning of a call that ended among them is left out."""
    entries = list(journal)
    arguments = {
        _call(r): r.event.arguments for r in entries if r.event.type == "tool_started" and _call(r)
    }
    views = [present(r, arguments.get(_call(r), "")) for r in entries]
    ended = {v.ended for v in views if v.ended}
    return [v for v in views if not v.begun or v.begun not in ended]


def present(recorded: Recorded, arguments: str = "") -> EventView:
    """An event for the page; `arguments` are those of the call that it ends."""
    event = recorded.event
    return EventView(
        seq=recorded.seq,
        at=recorded.at.strftime("%H:%M:%S"),
        attempt=event.attempt,
        kind=_kind(event),
        line=first_line(_headline(event, arguments)),
        parts=tuple(part for part in _parts(event, arguments) if part.text),
        tone=_tone(event),
        begun=_call(recorded) if event.type == "tool_started" else "",
        ended=_call(recorded) if event.type == "tool_finished" else "",
    )


def first_line(text: str) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: 8 * LINE].split())
    return line if len(line) <= LINE else f"{line[:LINE]}…"


def _call(recorded: Recorded) -> str:
    event = recorded.event
    if event.type in ("tool_started", "tool_finished"):
        return f"{event.attempt}-{event.call_id}"
    return ""


_KINDS = {
    "model_turned": "turn",
    "run_phase": "phase",
    "snapshot_taken": "snapshot",
    "sandbox_opened": "sandbox",
    "tree_restored": "rolled back",
    "gate_judged": "gate",
    "gate_progressed": "gate runs",
    "note_added": "note",
    "drift_noticed": "drift",
    "model_waiting": "model away",
    "publication_step": "publish",
    "ci_rerun": "CI again",
    "commit_tried": "bisect",
    "culprit_searched": "bisect",
    "question_asked": "question",
    "question_answered": "answer",
}


def _kind(event: AnyEvent) -> str:
    if event.type in ("tool_started", "tool_finished"):
        return first_line(event.name)[:24] or "call"
    if event.type == "hypothesis_resolved":
        return f"hypothesis {event.verdict}"
    return _KINDS.get(event.type, event.type.replace("_", " "))


def _headline(event: AnyEvent, arguments: str) -> str:
    match event.type:
        case "model_turned":
            calls = ", ".join(call.name for call in event.tool_calls)
            words = event.content or event.reasoning
            return f"{words[:LINE]} → {calls}" if calls else words
        case "tool_started":
            return f"{_arguments_summary(event.arguments)} …"
        case "tool_finished":
            return _finished(event, _arguments_summary(arguments) if arguments else "")
        case "sandbox_opened":
            return f"{event.reason}: {event.sandbox_id[:12]}"
        case "snapshot_taken":
            return f"{event.snapshot[:8]} {event.why}"
        case "tree_restored":
            return f"to {event.snapshot[:8]}: {event.why}"
        case "gate_progressed":
            return f"{event.number} of {event.of}: {event.what}"
        case "drift_noticed":
            return f"{event.kind} → {event.answer}"
        case "note_added":
            return f"{event.author or event.source}: {event.text}"
        case "run_ended" | "attempt_ended":
            return f"{event.outcome} {event.diagnosis}"
        case "hypothesis_proposed":
            return f"{event.hypothesis}: {event.claim}"
        case "hypothesis_resolved":
            return f"{event.hypothesis}: {event.evidence}"
        case "gate_judged":
            return f"{event.verdict}: {'; '.join(event.reasons)}".rstrip(": ")
        case "context_cut":
            gone = f", {len(event.pictures)} images removed" if event.pictures else ""
            return f"{len(event.stubs)} old outputs replaced by stubs{gone}"
        case "attempt_started":
            tools = (
                f", {len(event.external_tools)} of the operator's tools"
                if event.external_tools
                else ""
            )
            return f"{event.model}, tests: {event.test_command or 'none found'}{tools}"
        case "reproduction_declared":
            verdict = "accepted" if event.accepted else "refused"
            return f"{verdict}: {event.command or f'none possible: {event.why_none}'}"
        case "submitted":
            return event.root_cause
        case "ci_rerun":
            return f"{event.name} on {event.head[:12]}, {event.status}: {event.evidence}"
        case "publication_step":
            about = event.branch or event.commit[:12] or (f"#{event.pull}" if event.pull else "")
            why = f"{event.kind} {event.detail}".strip()
            return f"{event.step} {event.status.replace('_', ' ')}: {about} {why}".rstrip(": ")
        case "commit_tried":
            return f"{event.outcome}: {event.commit[:12]} {event.subject} {event.why}".rstrip()
        case "culprit_searched":
            said = f"{event.finding.replace('_', ' ')}: {event.commit[:12]} {event.subject}"
            return f"{said.rstrip(': ')} ({event.runs} runs over {event.commits} commits)"
        case "question_asked":
            return event.question
        case "question_answered":
            by = event.author or "nobody in time"
            return f"{event.option}, by {by}: {event.text}".rstrip(": ")
        case "environment_prepared":
            said = f"{event.source}{f': {event.tests}' if event.tests else ''}"
            return f"degraded, {said}: {event.degraded}" if event.degraded else said
        case _:
            return " ".join(
                value
                for name, value in event.model_dump().items()
                if name != "type" and isinstance(value, str)
            )


def _finished(event: ToolFinished, gist: str) -> str:
    """A summary of a call and its result: counts of tests, or its duration and what went wrong."""
    if event.tests:
        counts = Counter(event.tests.values())
        return f"{gist} {', '.join(f'{n} {o}' for o, n in sorted(counts.items()))}"
    first = event.output.lstrip()[:LINE].partition("\n")[0]
    if event.status != "ok":
        return f"{event.status}: {gist[:80]} {event.first_line[:LINE]}"
    seconds = f" ({event.duration_ms / 1000:.1f} s)" if event.duration_ms >= 1000 else ""
    return f"{gist[: LINE - 12]}{seconds}" if gist else f"{first}{seconds}"


def _tone(event: AnyEvent) -> Tone:
    match event.type:
        case "tool_finished":
            failing = event.tests and {"failed", "error"} & set(event.tests.values())
            return "" if event.status == "ok" and not failing else "bad"
        case "gate_judged":
            return "bad" if event.verdict in ("unproven", "refused") else "good"
        case "hypothesis_resolved":
            return "good" if event.verdict == "confirmed" else "soft"
        case "model_waiting" | "drift_noticed":
            return "bad"
        case "commit_tried":
            return "soft" if event.outcome == "skipped" else event.outcome
        case "ci_rerun":
            return "good" if event.status == "passed" else "bad" if event.status == "failed" else ""
        case "publication_step":
            return "bad" if event.status == "refused" else ""
        case "environment_prepared":
            return "bad" if event.degraded else ""
        case "attempt_ended" | "run_ended":
            return "good" if event.outcome == "proven" else "bad"
        case _:
            return ""


def _parts(event: AnyEvent, arguments: str) -> Iterable[Part]:
    match event.type:
        case "model_turned":
            yield Part("reasoning", event.reasoning, folded=True)
            yield Part("content", event.content)
            for call in event.tool_calls:
                yield from _arguments(call.name, call.arguments)
            yield Part("warnings", "\n".join(event.warnings))
            yield Part(
                "tokens",
                f"{event.usage.prompt_tokens} read, {event.usage.cached_tokens} of them cached; "
                f"{event.usage.completion_tokens} written; {event.duration_ms} ms",
            )
        case "tool_started":
            yield from _arguments(event.name, event.arguments)
        case "tool_finished":
            if arguments:
                yield from _arguments(event.name, arguments)
            yield Part("output", event.output, "terminal", log_id=event.log_id)
            yield _images("shown again", event.pictures)
            if event.tests:
                yield Part("tests", "\n".join(f"{o:8} {n}" for n, o in event.tests.items()))
        case "submitted":
            yield Part("root cause", event.root_cause)
            yield Part("summary", event.summary)
            yield Part("risk", event.risk)
            yield Part("patch", event.patch, "patch")
        case "gate_judged":
            yield Part("reasons", "\n".join(event.reasons))
            yield Part("checks", "\n".join(_check(c) for c in event.checks))
            yield Part("hunks", "\n".join(_hunk(hunk) for hunk in event.hunks))
            for one in event.contested:
                renamed = f" (now {one.renamed})" if one.renamed else ""
                yield Part(f"contested: {one.test}{renamed}: {one.reason}", one.diff, "patch")
            yield Part("left out", "\n".join(event.left_out))
            for check in event.checks:
                yield Part(f"{check.name}: before", check.before, "terminal", folded=True)
                yield Part(f"{check.name}: after", check.after, "terminal", folded=True)
            yield Part("patch", event.patch, "patch", folded=True)
        case "reproduction_declared":
            yield Part("command", event.command)
            for path, content in event.files.items():
                yield Part(path, content)
            yield Part("observed", event.observed, "terminal")
        case "question_asked":
            numbered = [f"{n}. {option}" for n, option in enumerate(event.options, 1)]
            yield Part("options", "\n".join(numbered))
            yield Part("default", str(event.default or ""))
            yield Part("waits until", f"{event.due:%Y-%m-%d %H:%M} UTC")
        case "snapshot_taken":
            yield Part("why", event.why or "a snapshot", log_id=event.patch_log)
        case "attempt_started":
            yield Part("system prompt", event.system_prompt, folded=True)
            yield Part("task prompt", event.task_prompt, folded=True)
            yield Part("failing before", "\n".join(event.base_failures))
            seen = "shown to the model" if event.pictures_shown else "the model cannot see"
            yield _images(f"images, {seen}", event.pictures)
            yield Part("tools of the operator", "\n".join(map(_tool, event.external_tools)))
            yield Part("tools left out", "\n".join(event.external_missing))
        case _:
            for name, value in event.model_dump(mode="json", exclude={"type", "attempt"}).items():
                yield Part(name.replace("_", " "), _text(value) if value else "")


def _images(label: str, images: tuple[Picture, ...]) -> Part:
    lines = (f"{i.id}: {i.name} ({i.width} x {i.height} pixels)" for i in images)
    return Part(label, "\n".join(lines), images=images)


def _tool(tool: ExternalTool) -> str:
    return f"{tool.name}{', may change something there' if tool.writes else ''}"


def _check(check: Check) -> str:
    told = "noted " if check.ok and check.advice else "ok    " if check.ok else "not ok"
    return f"{told} {check.name} {check.detail}".rstrip()


def _hunk(hunk: HunkEvidence) -> str:
    nothing = "not exercised by any test" if hunk.tried else "not tried"
    needed = f"needed by {hunk.needed_by}" if hunk.needed_by else nothing
    reason = f" ({hunk.reason})" if hunk.reason else ""
    return f"{hunk.path}:{hunk.line} {needed}{reason}"


def _arguments(name: str, raw: str) -> Iterable[Part]:
    values = _read(raw)
    if values is None:
        yield Part(name, raw)
    elif name == "edit" and isinstance(values.get("old"), str) and isinstance(values["new"], str):
        path = str(values.get("path", ""))
        lines = difflib.unified_diff(
            values["old"][:20_000].splitlines(), values["new"][:20_000].splitlines(), path, path
        )
        yield Part(f"edit {path}", "\n".join(line.rstrip("\n") for line in lines), "patch")
    else:
        for key, value in values.items():
            yield Part(f"{name} {key}", _text(value))


def _arguments_summary(raw: str) -> str:
    """The gist of a call's arguments on a line."""
    values = _read(raw)
    if values is None:
        return raw[:LINE]
    for key in ("command", "path", "pattern", "selection", "id", "claim", "root_cause"):
        if values.get(key):
            return str(values[key])[:LINE]
    return " ".join(f"{k}={str(v)[:60]}" for k, v in values.items())


def _read(raw: str) -> dict[str, Any] | None:
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    return values if "old" not in values or "new" in values else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
