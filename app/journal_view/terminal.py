"""A journal entry as one line for a terminal, or nothing."""

from __future__ import annotations

import json

from agent.journal.events import (
    AttemptEnded,
    AttemptStarted,
    CommitTried,
    ContextCut,
    CulpritSearched,
    DriftNoticed,
    GateJudged,
    GateProgressed,
    HypothesisProposed,
    HypothesisResolved,
    ModelWaiting,
    NoteAdded,
    QuestionAnswered,
    QuestionAsked,
    Recorded,
    ReproductionDeclared,
    RunEnded,
    RunPhase,
    Submitted,
    ToolFinished,
    ToolStarted,
)

WIDTH = 110


def progress_line(entry: Recorded) -> str:
    """What to show of an event; empty for those that a watcher need not see."""
    text = _text(entry)
    if not text:
        return ""
    clean = printable(text)
    return clean if len(clean) <= WIDTH else clean[: WIDTH - 1] + "…"


def printable(text: str) -> str:
    """Untrusted text on one line of a terminal: nothing in it moves a cursor or turns words."""
    return "".join(c if c.isprintable() else " " for c in text)


def _text(entry: Recorded) -> str:
    match entry.event:
        case RunPhase(phase=phase, detail=detail):
            return f"== {phase} {detail}".rstrip()
        case AttemptStarted() as started:
            return f"attempt {started.attempt}: {started.model}, tests: {started.test_command}"
        case ToolStarted(name=name, arguments=arguments):
            return f"  {name} {_short(arguments)}"
        case ToolFinished(status=status) as finished if status not in ("ok",):
            return f"    {status}: {finished.first_line}"
        case ToolFinished(tests=tests, output=output) if tests:
            return f"    {output.splitlines()[0]}"
        case ReproductionDeclared(accepted=True, command=command) if command:
            return f"reproduced: {command}"
        case HypothesisProposed(hypothesis=name, claim=claim):
            return f"{name}? {claim}"
        case HypothesisResolved(hypothesis=name, verdict=verdict, evidence=evidence):
            return f"{name} {verdict}: {evidence}"
        case Submitted(summary=summary):
            return f"submitted: {summary}"
        case GateProgressed(what=what, number=number, of=of):
            return f"    gate, {number} of {of}: {what}"
        case GateJudged(verdict=verdict, reasons=reasons):
            return f"gate: {verdict} {'; '.join(reasons)}".rstrip()
        case CommitTried(outcome=outcome, commit=commit, subject=subject):
            return f"    bisect, {outcome}: {commit[:12]} {subject[:60]}"
        case CulpritSearched(finding="found", commit=commit, subject=subject):
            return f"introduced by {commit[:12]} {subject}"
        case ModelWaiting(reason=reason, retry_in_s=seconds):
            return f"waiting for the model: {reason}; again in {seconds:.0f} s"
        case DriftNoticed(kind=kind, answer=answer):
            return f"drift: {kind} → {answer}"
        case ContextCut(stubs=stubs):
            return f"context cut: {len(stubs)} old outputs"
        case NoteAdded(source="human", author=author, text=text):
            return f"note from {author}: {text}"
        case QuestionAsked(question=question):
            return f"asks: {question}"
        case QuestionAnswered(option=option, author=author):
            return f"answer: {option}, by {author or 'nobody: the default'}"
        case AttemptEnded(outcome=outcome):
            return f"attempt {entry.event.attempt} ended: {outcome}"
        case RunEnded(outcome=outcome, pull_request=url):
            return f"== ended: {outcome} {url}".rstrip()
        case _:
            return ""


def _short(arguments: str) -> str:
    try:
        values = json.loads(arguments)
    except ValueError:
        return arguments
    if not isinstance(values, dict):
        return arguments
    return " ".join(f"{k}={' '.join(str(v).split())[:60]}" for k, v in values.items())
