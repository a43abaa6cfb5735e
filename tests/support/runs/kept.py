"""Runs in a store, for tests of what is done with them afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.journal.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    ContextCut,
    GateJudged,
    HypothesisProposed,
    ModelTurned,
    NoteAdded,
    RunEnded,
    RunPhase,
    Submitted,
    ToolFinished,
    ToolStarted,
)
from agent.model import ToolCall, Usage
from app.github.webhook_events import Trigger
from app.storage.store import SqlStore
from tests.support.runs.stored import id_of, trigger


def a_run(store: SqlStore, number: int = 7, ended: bool = True) -> str:
    run_id = store.accept(f"d{number}", "issues", trigger(number), model="m").run_id
    lease = store.claim(run_id, "worker-0")
    lease.set_running(run_id)
    lease.append(run_id, [RunPhase(attempt=0, phase="queued"), finished(1)])
    lease.put_log(run_id, "bash:1", bytes(range(256)) * 50)
    if ended:
        lease.finish(run_id, RunEnded(attempt=0, outcome="diagnosis", diagnosis="\u2603"))
    return run_id


def finished(number: int, status: Any = "ok") -> ToolFinished:
    return ToolFinished(call_id=f"c{number}", name="bash", status=status, output="o" * 500)


PATCH = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-old\n+new\n"


def attempt(number: int, outcome: str = "proven", output: str = "ok") -> list[AnyEvent]:
    """An attempt with two turns, a cut of the context, and a verdict."""
    call = ToolCall(id=f"c{number}", name="bash", arguments='{"command": "ls  -a"}')
    verdict = "proven" if outcome == "proven" else "unproven"
    events: list[AnyEvent] = [
        AttemptStarted(
            model="offline",
            prompt_version="3",
            base_commit="a" * 40,
            system_prompt="You debug.",
            task_prompt="octo/calc: it breaks, says reporter",
            test_command="pytest",
        ),
        ModelTurned(reasoning="I look.", tool_calls=(call,), usage=Usage(prompt_tokens=5)),
        ToolStarted(call_id=call.id, name="bash", arguments=call.arguments),
        ToolFinished(call_id=call.id, name="bash", status="ok", output=output),
        ContextCut(
            stubs={call.id: "cut"}, blanked=(call.id,), restated="…", prompt_tokens_before=9
        ),
        HypothesisProposed(hypothesis="H1", claim="c", prediction="p", test="t", snapshot="s"),
        NoteAdded(source="human", author="mia-tainer", text="Look at a.py", hint_id=4),
        ModelTurned(content="Done.", reasoning="It is clear."),
        Submitted(root_cause="r", summary="s", patch=PATCH),
        GateJudged(verdict=verdict, patch=PATCH),  # type: ignore[arg-type]
        AttemptEnded(outcome=outcome, diagnosis="d"),  # type: ignore[arg-type]
    ]
    return [e.model_copy(update={"attempt": number}) for e in events]


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return SqlStore(f"sqlite:///{tmp_path / 'x.db'}")


def run(store: SqlStore, number: int, repository: str = "octo/calc", *, output: str = "ok",
        outcome: str = "proven", model: str = "offline") -> str:  # fmt: skip
    trigger = Trigger(
        installation_id=11,
        repository=repository,
        repository_id=id_of(repository),
        default_branch="main",
        archived=False,
        issue_number=number,
        issue_title="It breaks",
        issue_body="Ask @colleague about it.",
        issue_author="reporter",
        issue_open=True,
        is_pull_request=False,
        label="patchwright",
        sender="mia-tainer",
        sender_is_bot=False,
    )
    run_id = store.accept(f"{repository}{number}", "issues", trigger, model=model).run_id
    store.append(run_id, [RunPhase(attempt=0, phase="preparing"), *attempt(1, "diagnosis")])
    store.append(run_id, attempt(2, outcome, output))
    ended = RunEnded(attempt=0, outcome="proven", chosen_attempt=2)
    store.finish(run_id, ended)
    return run_id
