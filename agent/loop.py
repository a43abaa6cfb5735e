"""The loop: model turn → tool calls → journal, until the gate holds or the attempt must end.

Everything that happens goes through the journal; the state is what the journal folds to. So a
loop that died is resumed by running it again: it settles the calls that were left open and goes on.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.bisection.bisect import Past
from agent.cancellation import within
from agent.decisions.budget import exhausted, refusal, remaining
from agent.decisions.context_cut import plan_cut
from agent.decisions.drift import answer_to, notice
from agent.errors import BudgetUsedUp, ContextTooLong
from agent.journal.events import (
    FOR_A_PERSON,
    AttemptEnded,
    DriftNoticed,
    HypothesisResolved,
    ModelTurned,
    NoteAdded,
    Outcome,
    SandboxOpened,
    SnapshotTaken,
    ToolFinished,
    ToolStarted,
    TreeRestored,
)
from agent.journal.state import AttemptState, ending_with_best
from agent.journal.writer import Journal
from agent.model import Model, ToolCall, ToolSpec
from agent.people import take_answer, take_hints
from agent.snapshots import keep_change, restore_tree
from agent.task import Task
from agent.text.control_tokens import neutralise
from agent.text.truncate import cut, log_id_of
from agent.tools.external import interruption
from agent.tools.registry import at_tokens, parse_call, tool_specs
from agent.tools.tool import ExternalTools, Judge, Reply, ToolContext
from sandbox.errors import SandboxError, SandboxGone
from sandbox.protocol import Sandbox

EMPTY_TURNS = 3
"""So many turns without a tool call end the attempt; the words become the diagnosis."""
GATE_REFUSALS = 8
"""So many submissions that the gate did not prove end the attempt."""
POLL_EVERY_S = 1.0
"""Commands may change the tree without saying so, and looking costs 30 ms: so often at most."""

Rebuild = Callable[[], Awaitable[Sandbox]]
"""Opens another sandbox with the tree as it was at the last snapshot."""


@dataclass
class Attempt:
    """What one attempt works with; the sandbox changes when it dies."""

    task: Task
    model: Model
    sandbox: Sandbox
    journal: Journal
    judge: Judge
    rebuild: Rebuild
    past: Past | None = None
    external: ExternalTools | None = None
    looked_at: float = -POLL_EVERY_S
    """When a command's change was looked for last, as `time.monotonic` has it."""


async def run_loop(attempt: Attempt) -> AttemptState:
    """Run an attempt to its end, or until it waits for an answer; may be run again from there.

    So may one that raised `ModelAway` or `LostLease`.
    """
    journal = attempt.journal
    tools = tool_specs(journal.state.external_tools)
    while True:
        for call in journal.state.pending:
            await finish_call(attempt, call)
            if not take_answer(journal, attempt.task.budget):
                return journal.state
        state = journal.state
        if ending := end_reason(state, attempt.task, journal.elapsed_s):
            return end_attempt(journal, *ending)
        take_hints(journal)
        await control_drift(attempt)
        if journal.state.outcome is not None:
            return journal.state
        try:
            await take_turn(attempt, tools)
        except ContextTooLong as error:
            return end_attempt(journal, "diagnosis", f"The conversation no longer fits: {error}")
        except BudgetUsedUp as error:
            return end_attempt(journal, "diagnosis", f"No proven fix was found before {error}.")


async def take_turn(attempt: Attempt, tools: Sequence[ToolSpec]) -> None:
    """One turn of the model, unless the time is up before it; its calls are left pending.

    Raises `ContextTooLong` when nothing is left to cut, and what models do.
    """
    journal, model = attempt.journal, attempt.model
    left = attempt.task.budget.calls - journal.state.calls_used
    if planned := plan_cut(journal.state, model.window, model.preserves_thinking, calls_left=left):
        journal.append(planned)
    started = time.monotonic()
    left_s = attempt.task.budget.wall_s - journal.elapsed_s
    try:
        turn = await within(left_s, model.turn(journal.state.messages, tools))
    except ContextTooLong:
        forced = plan_cut(journal.state, model.window, model.preserves_thinking, force=True)
        if forced is None:
            raise
        journal.append(forced)
        return
    if turn is None:
        return
    journal.append(ModelTurned.of(turn, time.monotonic() - started, model.preserves_thinking))
    if not turn.tool_calls:
        answer_empty_turn(journal, turn.content)


async def finish_call(attempt: Attempt, call: ToolCall) -> None:
    """Give an open call its result: run it, or say that it was interrupted."""
    if call.id not in attempt.journal.state.begun:
        await perform_call(attempt, call)
        return
    told = interruption(call.name, attempt.journal.state.external_tools)
    lost = ToolFinished(call_id=call.id, name=call.name, status="interrupted", output=told)
    attempt.journal.append(lost)


async def perform_call(attempt: Attempt, call: ToolCall) -> None:
    """Carry out one call and record its result together with all that it caused."""
    journal, budget = attempt.journal, attempt.task.budget
    journal.append(ToolStarted(call_id=call.id, name=call.name, arguments=call.arguments))
    started = time.monotonic()
    state = journal.state
    parsed = parse_call(call, state.cut_at, state.external_tools)
    if isinstance(parsed, str):
        reply = Reply(parsed, status="refused")
    elif state.verdict is not None and state.verdict.verdict == "proven":
        reply = Reply("refused: the gate has proven the patch; nothing more to do", "refused")
    elif no := refusal(state, budget, parsed[0].name, journal.elapsed_s):
        reply = Reply(no, status="refused")
    else:
        tool, arguments = parsed
        parts = attempt.task, attempt.sandbox, journal, attempt.judge
        context = ToolContext(*parts, call.id, attempt.past, attempt.external)
        try:
            reply = await tool.run(context, arguments)
        except SandboxGone as problem:
            reply = await replace_sandbox(attempt, problem)
        except SandboxError as problem:
            reply = Reply(f"error: {problem}", status="error")
    if reply.waits:
        journal.append(*reply.events)
        return
    kept = await keep_tree(attempt, call) if reply.changed_tree else ()
    log_id = log_id_of(call.id)
    shown = neutralise(cut(reply.text, log_id) if reply.cut else reply.text)
    journal.append(
        *reply.events,
        *kept,
        ToolFinished(
            call_id=call.id,
            name=call.name.removeprefix("functions."),
            status=reply.status,
            output=f"{shown}\n{remaining(state, budget)}",
            log_id=log_id,
            digest=digest(reply),
            duration_ms=int((time.monotonic() - started) * 1000),
            changed_tree=reply.changed_tree,
            tests=reply.tests,
            pictures=reply.pictures,
        ),
        logs={log_id: reply.text.encode()},
    )


async def keep_tree(attempt: Attempt, call: ToolCall) -> tuple[SnapshotTaken, ...]:
    """A snapshot after a change, from which another worker can continue; see `keep_change`."""
    if call.name.removeprefix("functions.") == "bash":
        moment = time.monotonic()
        if moment - attempt.looked_at < POLL_EVERY_S:
            return ()
        attempt.looked_at = moment
    return await keep_change(attempt.sandbox, attempt.journal, call.id)


async def replace_sandbox(attempt: Attempt, problem: SandboxGone) -> Reply:
    """Another sandbox with the last snapshot's tree in place of one that died."""
    # What a dead sandbox left on the engine goes with it; that is no concern of the next one.
    await attempt.sandbox.close()
    attempt.sandbox = await attempt.rebuild()
    attempt.journal.append(SandboxOpened(sandbox_id=attempt.sandbox.id, reason="rebuilt"))
    return Reply(
        f"error: the sandbox died during this call ({problem}). It was rebuilt with the tree of "
        "the last snapshot; changes after that, running programs and shell variables are gone.",
        status="error",
        changed_tree=True,
    )


def end_reason(state: AttemptState, task: Task, elapsed_s: float) -> tuple[Outcome, str] | None:
    """Whether the attempt is over, how, and what to say."""
    if state.outcome is not None:
        return state.outcome, state.diagnosis
    if state.verdict is not None and state.verdict.verdict == "proven":
        return "proven", ""
    if needs_person(state):
        return "draft", "; ".join(state.verdict.reasons) if state.verdict else ""
    if state.gate_refusals >= GATE_REFUSALS:
        return "diagnosis", f"The gate did not prove any of {GATE_REFUSALS} patches."
    if state.empty_turns >= EMPTY_TURNS:
        return "diagnosis", state.last_words
    if reason := exhausted(state, task.budget, elapsed_s):
        return "diagnosis", f"No proven fix was found before {reason}."
    return None


def needs_person(state: AttemptState) -> bool:
    """Whether a person has to decide: all that is missing is what the model said itself."""
    if state.verdict is not None and state.verdict.verdict == "contested":
        return True
    if state.reproduction is None or state.verdict is None or state.verdict.verdict == "refused":
        return False
    missing = {check.name for check in state.verdict.checks if not check.ok}
    if state.reproduction.command:
        return bool(missing) and missing <= FOR_A_PERSON
    return missing <= {"reproduction", *FOR_A_PERSON}


def end_attempt(journal: Journal, outcome: Outcome, diagnosis: str) -> AttemptState:
    """Record the end, once. A patch that passed its reproduction is not lost: it is a draft."""
    if journal.state.outcome is None:
        best = ending_with_best(journal.state, diagnosis) if outcome == "diagnosis" else None
        journal.append(best or AttemptEnded(outcome=outcome, diagnosis=diagnosis))
    return journal.state


async def control_drift(attempt: Attempt) -> None:
    """Answer drift with a nudge, then a forced rollback, then the attempt's end."""
    journal = attempt.journal
    state = journal.state
    drift = notice(state, since=state.drift_seen_at)
    if drift is None:
        return
    answer = answer_to(state.drifts)
    under_test = state.under_test
    noticed = DriftNoticed(kind=drift.kind, answer=answer, calls_used=state.calls_used)
    note = f"{drift.kind}: {drift.text}"
    if answer == "end":
        journal.append(noticed)
        why = f"The attempt went in circles ({drift.kind}) and was ended."
        end_attempt(journal, "diagnosis", why)
    elif answer == "nudge" or under_test is None:
        journal.append(noticed, NoteAdded(source="loop", text=note))
    else:
        try:
            await restore_tree(attempt.sandbox, journal, under_test.snapshot)
        except SandboxGone as problem:
            await replace_sandbox(attempt, problem)
            await restore_tree(attempt.sandbox, journal, under_test.snapshot)
        gone = f"{under_test.id} was abandoned and the tree rolled back to where it was proposed."
        journal.append(
            noticed,
            HypothesisResolved(
                hypothesis=under_test.id, verdict="abandoned", evidence=f"drift: {drift.kind}"
            ),
            TreeRestored(snapshot=under_test.snapshot, why=drift.kind),
            NoteAdded(source="loop", text=f"{note} {gone}"),
        )


def answer_empty_turn(journal: Journal, content: str) -> None:
    """Ask for a tool call. A turn that was not kept is quoted: keeping it costs thinking."""
    cut_at = journal.state.cut_at
    why = "held no tool call"
    if cut_at is not None:
        why = f"was cut off{at_tokens(cut_at)} before it came to a tool call: think less first"
    kept = journal.state.messages[-1].role == "assistant"
    said = f" You had said: {content[:1500]}" if content and not kept else ""
    text = (
        f"Your last answer {why}. Call a tool; or, if you cannot fix this, answer once more "
        f"without one and say what you know.{said}"
    )
    journal.append(NoteAdded(source="loop", text=text))


def digest(reply: Reply) -> str:
    """What tells two results apart."""
    seen = reply.digest_of if reply.digest_of is not None else reply.text
    return hashlib.sha256(f"{reply.status}\n{seen}".encode()).hexdigest()[:16]
