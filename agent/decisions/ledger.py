"""The hypothesis ledger as text: restated after a context cut, in reports and on request."""

from __future__ import annotations

from agent.journal.state import AttemptState


def render(state: AttemptState) -> str:
    """The ledger, one line a hypothesis with its verdict and evidence."""
    if not state.hypotheses:
        return "No hypothesis has been proposed yet."
    lines = []
    for h in state.hypotheses:
        lines.append(f"{h.id} [{h.verdict}] {h.claim}")
        if h.evidence:
            calls = f" ({', '.join(h.evidence_calls)})" if h.evidence_calls else ""
            lines.append(f"    evidence: {h.evidence}{calls}")
        elif h.verdict == "open":
            lines.append(f"    predicts: {h.prediction}; test: {h.test}")
    return "\n".join(lines)


def restate(state: AttemptState) -> str:
    """What the model must know after old outputs were taken from its context."""
    parts = ["[Note] Old tool outputs were removed to save context. Where you stand:"]
    if state.reproduction is not None:
        parts.append(
            f"Reproduction (accepted): `{state.reproduction.command}`"
            if state.reproduction.command
            else f"No reproduction is possible: {state.reproduction.why_none}"
        )
    else:
        parts.append("No reproduction has been accepted yet.")
    parts.append("Hypotheses:\n" + render(state))
    if state.asked is not None and state.answered is not None and state.answered.option:
        chosen = state.asked.options[state.answered.option - 1]
        parts.append(f"You asked: {state.asked.question}\nThe answer was: {chosen}")
    if state.verdict is not None:
        parts.append("The gate's last answer: " + "; ".join(state.verdict.reasons))
    return "\n".join(parts)
