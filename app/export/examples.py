"""Attempts as training examples: the chat format that fine-tuning tools read.

One example an attempt. Messages are those of the chat-completions protocol with
`reasoning_content`; arguments of calls and the tools are JSON texts, since Arrow would give every
dictionary the keys of all others. The conversation is whole: cuts of the context are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from agent.journal.events import ContextCut, ModelTurned, NoteAdded, Recorded, RunEnded
from agent.journal.state import AttemptState, fold
from agent.model import Message, Record, ToolSpec
from app.outcomes.rows import PullOutcome
from app.spending.of_journal import RunCost, cost_of
from app.storage.records import Run

MERGED, PROVEN, CLOSED = 1.0, 0.7, 0.3
"""Rewards: proven and merged; proven, not decided or without a pull request; proven, but people
closed the pull request, or reverted it later. Everything else has none."""


class RunMetadata(Record):
    """What is known of a run beside its journal."""

    run_id: str
    repository: str
    issue: str
    closed: str
    """The pull request's outcome: merged, closed, or empty."""
    merged_as: str = ""
    """`untouched`, `edited`; empty: not merged, or not known."""
    reverted: bool = False
    """Whether what was merged was taken back later."""

    @classmethod
    def of(cls, run: Run, became: PullOutcome | None = None) -> RunMetadata:
        """The facts of a run in the store, and of what became of its pull request."""
        known = became is not None and became.is_merged and run.closed == "merged"
        return cls(
            run_id=run.id,
            repository=run.repository,
            issue=f"{run.repository}#{run.issue_number}",
            closed=run.closed,
            merged_as=became.kind if known and became and became.kind != "merged" else "",
            reverted=bool(known and became and became.reverted_by),
        )


def examples(
    facts: RunMetadata, journal: Sequence[Recorded], tools: Sequence[ToolSpec]
) -> list[dict[str, Any]]:
    """The run's attempts that were started and ended, in order."""
    numbers = sorted({r.event.attempt for r in journal} - {0})
    chosen = next(
        (r.event.chosen_attempt for r in reversed(journal) if isinstance(r.event, RunEnded)), 0
    )
    found = []
    for number in numbers:
        state = conversation(journal, number)
        if state.started is not None and state.outcome is not None:
            messages = whole_conversation(journal, number, state)
            cost = cost_of(r.event for r in journal if r.event.attempt == number)
            found.append(_example(facts, state, messages, number, number == chosen, tools, cost))
    return found


def conversation(journal: Sequence[Recorded], attempt: int) -> AttemptState:
    """The attempt's state with its whole conversation, as if its context was never cut."""
    return fold(
        r.event
        for r in journal
        if r.event.attempt == attempt and not isinstance(r.event, ContextCut)
    )


def whole_conversation(
    journal: Sequence[Recorded], attempt: int, state: AttemptState
) -> tuple[Message, ...]:
    """The conversation, with the text that ended it.

    The loop keeps no answer without a call in the context; the last one is the diagnosis, and
    what a model is trained to say. The loop's note that followed it was never read.
    """
    own = [r.event for r in journal if r.event.attempt == attempt]
    place = max((n for n, event in enumerate(own) if isinstance(event, ModelTurned)), default=-1)
    last = own[place] if place >= 0 else None
    if not isinstance(last, ModelTurned) or last.kept or not last.content:
        return state.messages
    unread = sum(isinstance(event, NoteAdded) for event in own[place:])
    heard = state.messages[: len(state.messages) - unread]
    return (*heard, Message(role="assistant", content=last.content, reasoning=last.reasoning))


def _example(
    facts: RunMetadata,
    state: AttemptState,
    messages: Sequence[Message],
    number: int,
    chosen: bool,
    tools: Sequence[ToolSpec],
    cost: RunCost,
) -> dict[str, Any]:
    started, verdict = state.started, state.verdict
    pull_outcome = facts.closed if chosen else ""
    return {
        "id": f"{facts.run_id}.{number}",
        "run_id": facts.run_id,
        "attempt": number,
        "repository": facts.repository,
        "issue": facts.issue,
        "base_commit": started.base_commit if started else "",
        "model": started.model if started else "",
        "prompt_version": started.prompt_version if started else "",
        "messages": [chat_message(m) for m in messages],
        "tools": json.dumps(
            [chat_tool(t) for t in (*tools, *state.external_tools)], ensure_ascii=False
        ),
        "outcome": state.outcome,
        "gate": verdict.verdict if verdict else "none",
        "pull_request": pull_outcome or ("open or none" if chosen else "not chosen"),
        "merged_as": facts.merged_as if chosen else "",
        "reverted": facts.reverted and chosen,
        "reward": reward(
            state.outcome == "proven", "closed" if facts.reverted and chosen else pull_outcome
        ),
        "calls": state.calls_used,
        "prompt_tokens": state.usage.prompt_tokens,
        "completion_tokens": state.usage.completion_tokens,
        "cost": cost.amounts[0].amount if len(cost.amounts) == 1 else None,
        "currency": cost.amounts[0].currency if len(cost.amounts) == 1 else "",
    }


def reward(proven: bool, pull_outcome: str) -> float:
    """From the gate and from people: see `MERGED`."""
    if not proven:
        return 0.0
    return {"merged": MERGED, "closed": CLOSED}.get(pull_outcome, PROVEN)


def chat_message(message: Message) -> dict[str, Any]:
    """A message as the chat-completions protocol has it."""
    out: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.role == "assistant":
        out["reasoning_content"] = message.reasoning
    if message.tool_calls:
        out["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        out["tool_call_id"] = message.tool_call_id
    return out


def chat_tool(tool: ToolSpec) -> dict[str, Any]:
    """A tool as the chat-completions protocol has it."""
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": dict(tool.parameters),
        },
    }


def validation_repositories(of_examples: Sequence[str], part: float, seed: int) -> frozenset[str]:
    """Repositories whose examples are for validation; `of_examples` is one name an example.

    No repository is on both sides, so the part is met only roughly: repositories come in an order
    that the seed decides, until there are enough examples; at least one goes to training.
    """
    counts = Counter(name.lower() for name in of_examples)
    order = sorted(counts, key=lambda n: hashlib.sha256(f"{seed}:{n}".encode()).digest())
    wanted = part * len(of_examples)
    taken: set[str] = set()
    have = 0
    for name in order:
        # Nearer with it than without it?
        if abs(have + counts[name] - wanted) >= abs(have - wanted) and (taken or part == 0):
            continue
        if len(taken) + 1 == len(counts):
            break
        taken.add(name)
        have += counts[name]
    return frozenset(taken)
