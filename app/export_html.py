"""A run's journal as one HTML file for a colleague: nothing is loaded, every text is escaped.

Control characters and marks that reorder text are shown by their names, so that an output cannot
hide what it says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from agent.attempts import final_patch
from agent.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    ContextCut,
    DriftNoticed,
    GateJudged,
    HypothesisProposed,
    HypothesisResolved,
    ModelTurned,
    ModelWaiting,
    NoteAdded,
    Recorded,
    ReproductionDeclared,
    RunEnded,
    RunPhase,
    SandboxOpened,
    SnapshotTaken,
    Submitted,
    ToolFinished,
    ToolStarted,
    TreeRestored,
)
from agent.state import Hypothesis, fold

_PAGES = Environment(
    loader=PackageLoader("app", "templates/export"), autoescape=True, undefined=StrictUndefined
)
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
LONGEST = 200_000
"""Characters of one text; more is cut from its middle."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event on the page."""

    time: str
    title: str
    parts: tuple[tuple[str, str], ...] = ()
    open: bool = False


@dataclass(frozen=True, slots=True)
class AttemptOnPage:
    """One attempt on the page."""

    number: int
    outcome: str
    facts: str
    diagnosis: str
    patch: tuple[tuple[str, str], ...]
    hypotheses: tuple[Hypothesis, ...]
    entries: tuple[Entry, ...]


def trace_page(title: str, journal: Sequence[Recorded]) -> str:
    """The page of a run. Pure."""
    numbers = sorted({r.event.attempt for r in journal})
    return _PAGES.get_template("trace.html").render(
        title=plain(title),
        attempts=[_attempt(n, [r for r in journal if r.event.attempt == n]) for n in numbers],
    )


def plain(text: str) -> str:
    """Text without colours, with other unseen characters shown as U+XXXX."""
    if len(text) > LONGEST:
        cut = len(text) - LONGEST
        text = f"{text[: LONGEST // 2]}\n[{cut} characters left out]\n{text[-LONGEST // 2 :]}"
    text = _ANSI.sub("", text.replace("\r\n", "\n"))
    return _UNSEEN.sub(lambda m: f"[U+{ord(m[0]):04X}]", text)


def _attempt(number: int, journal: Sequence[Recorded]) -> AttemptOnPage:
    state = fold(r.event for r in journal)
    started = state.started
    facts = f"{state.turns} turns, {state.calls_used} calls, "
    facts += f"{state.usage.prompt_tokens} tokens read, {state.usage.completion_tokens} written"
    if started is not None:
        facts = f"{started.model}, base {started.base_commit[:12]}, {facts}"
    return AttemptOnPage(
        number=number,
        outcome=state.outcome or ("the run as a whole" if number == 0 else "not ended"),
        facts=plain(facts),
        diagnosis=plain(state.diagnosis),
        patch=diff_lines(final_patch(state)),
        hypotheses=tuple(_plain_hypothesis(h) for h in state.hypotheses),
        entries=tuple(
            Entry(f"{r.at:%H:%M:%S}", plain(entry.title), _plain_parts(entry.parts), entry.open)
            for r in journal
            if (entry := _entry(r.event)) is not None
        ),
    )


def _plain_hypothesis(h: Hypothesis) -> Hypothesis:
    return Hypothesis(
        id=plain(h.id),
        claim=plain(h.claim),
        prediction=plain(h.prediction),
        test=plain(h.test),
        snapshot=h.snapshot,
        verdict=h.verdict,
        evidence=plain(h.evidence),
    )


def _plain_parts(parts: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, plain(text)) for name, text in parts if text)


def diff_lines(patch: str) -> tuple[tuple[str, str], ...]:
    """Lines of a patch, each with its kind: add, del or ctx."""
    kinds = {"+": "add", "-": "del"}
    return tuple((kinds.get(line[:1], "ctx"), line) for line in plain(patch).splitlines())


def _entry(event: AnyEvent) -> Entry | None:
    told: tuple[tuple[str, str], ...]
    match event:
        case AttemptStarted():
            parts = (("system", event.system_prompt), ("task", event.task_prompt))
            return Entry("", f"started: {event.model}, tests by {event.test_command}", parts)
        case ModelTurned():
            calls = "\n".join(f"{c.name} {c.arguments}" for c in event.tool_calls)
            told = (("reasoning", event.reasoning), ("says", event.content), ("calls", calls))
            return Entry("", _first(event.content or event.reasoning) or "turn", told)
        case ToolFinished():
            return Entry("", f"{event.name}: {event.status}", (("output", event.output),))
        case HypothesisProposed():
            told = (("prediction", event.prediction), ("test", event.test))
            return Entry("", f"{event.hypothesis}? {event.claim}", told)
        case HypothesisResolved():
            return Entry("", f"{event.hypothesis} {event.verdict}", (("evidence", event.evidence),))
        case ReproductionDeclared():
            files = tuple(event.files.items())
            told = (("command", event.command), *files, ("observed", event.observed))
            return Entry("", f"reproduction {'accepted' if event.accepted else 'refused'}", told)
        case Submitted():
            told = (("root cause", event.root_cause), ("summary", event.summary))
            return Entry("", "submitted", (*told, ("patch", event.patch)))
        case GateJudged():
            checks = "\n".join(
                f"{'ok    ' if c.ok else 'not ok'} {c.name} {c.detail}" for c in event.checks
            )
            told = (("checks", checks), ("reasons", "\n".join(event.reasons)))
            return Entry("", f"gate: {event.verdict}", told, open=True)
        case NoteAdded():
            who = event.author or event.source
            return Entry("", f"note from {who}", (("text", event.text),))
        case ContextCut():
            return Entry("", "context cut", (("restated", event.restated),))
        case DriftNoticed():
            return Entry("", f"drift: {event.kind} → {event.answer}")
        case ModelWaiting():
            return Entry("", f"the model's server is away: {event.reason}")
        case AttemptEnded():
            return Entry("", f"ended: {event.outcome}", (("diagnosis", event.diagnosis),))
        case RunPhase():
            return Entry("", f"{event.phase} {event.detail}")
        case RunEnded():
            return Entry("", f"run ended: {event.outcome} {event.pull_request}")
        case TreeRestored():
            return Entry("", f"tree rolled back: {event.why}")
        case ToolStarted() | SandboxOpened() | SnapshotTaken():
            return None


def _first(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 120 else line[:119] + "…"
