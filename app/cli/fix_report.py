"""The JSON report of `patchwright fix`: written from the start on, so that there always is one."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from agent.best_of import final_patch
from agent.journal.state import AttemptState
from agent.task import Issue

UNFINISHED = "unfinished"
"""The outcome of a run that broke off and can be resumed."""
NOT_STARTED = "failed"
"""The outcome of a run that broke off before anything was done."""


def report_of(
    run_id: str, issue: Issue, states: Sequence[AttemptState], chosen: int, problem: str = ""
) -> dict[str, object]:
    """The JSON report: the chosen attempt in full, the others in brief.

    `problem`: what kept the run from its end, where something did.
    """
    state = states[chosen - 1]
    verdict = state.verdict
    return {
        "run": run_id,
        "title": issue.title,
        "outcome": state.outcome or (UNFINISHED if state.started else NOT_STARTED),
        "diagnosis": state.diagnosis or problem,
        "root_cause": state.submitted.root_cause if state.submitted else "",
        "summary": state.submitted.summary if state.submitted else "",
        "patch": final_patch(state),
        "reproduction": state.reproduction.model_dump() if state.reproduction else None,
        "gate": verdict.model_dump() if verdict else None,
        "hypotheses": [
            {"id": h.id, "claim": h.claim, "verdict": h.verdict, "evidence": h.evidence}
            for h in state.hypotheses
        ],
        "calls": state.calls_used,
        "turns": state.turns,
        "tokens": state.usage.model_dump(),
        "chosen_attempt": chosen,
        "attempts": [
            {"number": n + 1, "outcome": s.outcome or UNFINISHED, "calls": s.calls_used}
            for n, s in enumerate(states)
        ],
    }


def write_report(path: Path, report: dict[str, object]) -> None:
    """Write the report whole: a process that is killed leaves the old one or the new one."""
    text = json.dumps(report, indent=2, ensure_ascii=False)
    target = path.resolve()
    if (target.exists() and not target.is_file()) or not os.access(target.parent, os.W_OK):
        target.write_text(text, "utf-8")
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    partial.write_text(text, "utf-8")
    partial.replace(target)
