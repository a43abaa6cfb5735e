"""What the App says in a conversation."""

from __future__ import annotations

from agent.journal.state import AttemptState
from app.sanitize.markdown import COMMENT_LIMIT, Markdown, code, fenced, fit, inline
from app.storage.records import Run

_STATUS = {
    "queued": "is queued",
    "running": "is in progress",
    "waiting": "waits for an answer",
    "done": "is over",
}


def help_text(why: str, name: str) -> Markdown:
    """What was wrong, followed by the list of commands."""
    lines = (
        (
            "fix [budget=N] [hint]",
            "start a run on this issue, with the rest of the line as a hint; `budget=5` lets it "
            "cost 5 of the operator's currency at most",
        ),
        ("plan [hint]", "the same, but propose the change first; another plan, if one waits"),
        ("go [hint]", "approve the plan that waits"),
        (
            "bisect [good]",
            "only find the commit that broke it; `good` is a commit, tag or branch that worked",
        ),
        ("stop", "stop the current run"),
        ("retry", "start over"),
        ("publish", "try again to publish a fix that was kept because something was in the way"),
        ("check", "say whether the repository is ready: environment, tests, what would help"),
        ("prove", "prove a pull request, whoever wrote it, by the tests that it brings"),
        ("answer N", "answer the question of a run; the number or the words alone will do, too"),
        ("hint …", "give the run a hint, while it works or in a review"),
        ("keep", "let a pull request of mine stay open, however long nobody looks at it"),
        ("reopen", "open a closed pull request of mine again, with its branch"),
        ("explain", "say what is known so far"),
    )
    commands = "\n".join(f"- `/{name} {command}`: {what}" for command, what in lines)
    return Markdown(
        f"{why}\n\nI understand these commands at the beginning of a line:\n\n{commands}".strip()
    )


def explanation(run: Run, state: AttemptState, public_url: str, cost: str = "") -> Markdown:
    """A summary of everything that a run knows; `cost` is what it cost, empty: not known."""
    parts = [f"Run `{run.id}` {_STATUS[run.status]}{f': {run.outcome}' if run.outcome else ''}."]
    if run.pull_request:
        parts.append(f"Pull request: {run.pull_request}")
    repro = state.reproduction
    if repro is not None and repro.command:
        times = f"in {repro.failures} of {repro.runs} runs"
        parts.append(f"Reproduced by this command, {times}:\n{fenced(repro.command, 'sh')}")
    elif repro is not None:
        parts.append(f"No command reproduces it: {inline(repro.why_none)}")
    else:
        parts.append("Not reproduced yet.")
    if state.culprit is not None and state.culprit.finding == "found":
        found = f"{code(state.culprit.commit[:12])} ({inline(state.culprit.subject)})"
        parts.append(f"Introduced by {found}.")
    rows = [
        f"| {h.id} | {inline(h.claim)} | {h.verdict} | {inline(h.evidence)} |"
        for h in state.hypotheses[-20:]
    ]
    if rows:
        table = ["| | Hypothesis | Verdict | Evidence |", "|---|---|---|---|", *rows]
        parts.append("\n".join(table))
    if state.submitted is not None:
        parts.append(f"Root cause: {inline(state.submitted.root_cause, 2000)}")
    if state.verdict is not None:
        reasons = "; ".join(state.verdict.reasons)
        parts.append(f"The gate says: {state.verdict.verdict}. {inline(reasons, 2000)}".strip())
    if state.diagnosis:
        parts.append(inline(state.diagnosis, 3000))
    spent = f", cost: {cost}" if cost else ""
    parts.append(f"Tool calls: {state.calls_used}, model turns: {state.turns}{spent}.")
    if public_url:
        parts.append(f"[Every step of this run]({public_url}/runs/{run.id})")
    return Markdown(fit("\n\n".join(parts), COMMENT_LIMIT - 500))
