"""Repairs a set-up that fails: the model proposes commands, each try runs them from the beginning.

The budget is its own and small: so many tries, whatever a run may do later. Nothing is kept of a
try but its output, so the commands that work in the end are a recipe that works from nothing.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import Field, ValidationError

from agent.journal.events import SetupTried
from agent.model import Message, Model, ToolCall, ToolSpec
from agent.prompting import setup_description, setup_prompt
from agent.text.control_tokens import neutralise, restore
from agent.tools.tool import Arguments

TOOL = "setup"
_MOST_FILES = 200
_MOST_TEXT = 4_000
_MOST_OUTPUT = 6_000


class SetupArguments(Arguments):
    """A whole set-up."""

    why: str = Field(description="What failed and what this changes, in one or two sentences.")
    commands: tuple[str, ...] = Field(
        min_length=1, max_length=30, description="Shell commands, in their order."
    )


@dataclass(frozen=True, slots=True)
class FailedSetup:
    """A set-up that failed."""

    failures: tuple[str, ...]
    """What was tried, and how it failed."""
    files: tuple[str, ...]
    texts: tuple[tuple[str, str], ...]
    """The manifests."""


@dataclass(frozen=True, slots=True)
class TryResult:
    """What a try gave."""

    ok: bool
    output: str


Try = Callable[[tuple[str, ...]], Awaitable[TryResult]]
"""Runs commands as a set-up from the beginning, and then the tests."""


async def propose_setup(
    model: Model,
    broken: FailedSetup,
    attempt: Try,
    *,
    tries: int,
    note: Callable[[SetupTried], None] = lambda _: None,
) -> tuple[str, ...] | None:
    """Commands that work; None when none were found within the tries.

    `note` is told about each try. Raises `ModelError`.
    """
    spec = ToolSpec(
        name=TOOL,
        description=setup_description(),
        parameters={
            name: value
            for name, value in SetupArguments.model_json_schema().items()
            if name not in ("title", "description")
        },
    )
    messages = [
        Message(role="system", content=setup_prompt()),
        Message(role="user", content=_assignment(broken, tries)),
    ]
    for number in range(1, tries + 1):
        turn = await model.turn(messages, [spec])
        if not turn.tool_calls:
            return None
        first, *others = turn.tool_calls
        arguments, commands = _parse_arguments(first), tuple[str, ...]()
        if isinstance(arguments, str):
            tried = TryResult(False, arguments)
        else:
            commands = tuple(restore(command) for command in arguments.commands)
            tried = await attempt(commands)
        note(
            SetupTried(
                number=number,
                why="" if isinstance(arguments, str) else arguments.why,
                commands=commands,
                ok=tried.ok,
                said=tried.output[-_MOST_OUTPUT:],
                usage=turn.usage,
                cost=turn.cost,
            )
        )
        if tried.ok:
            return commands
        left = tries - number
        answer = (
            f"{neutralise(tried.output[-_MOST_OUTPUT:])}\n[it does not work; {left} tries left]"
        )
        messages += [
            Message(
                role="assistant",
                content=turn.content,
                reasoning=turn.reasoning,
                tool_calls=turn.tool_calls,
            ),
            Message(role="tool", content=answer, tool_call_id=first.id),
            *(
                Message(role="tool", content="refused: one call at a time", tool_call_id=other.id)
                for other in others
            ),
        ]
    return None


def _parse_arguments(call: ToolCall) -> SetupArguments | str:
    if call.name.removeprefix("functions.") != TOOL:
        return f"refused: the only tool is {TOOL}"
    try:
        return SetupArguments.model_validate(json.loads(call.arguments or "{}"))
    except (ValueError, ValidationError, RecursionError) as problem:
        return f"refused: {str(problem)[:500]}"


def _assignment(broken: FailedSetup, tries: int) -> str:
    parts = ["What was tried, and how it failed:"]
    parts += [f"\n{failure[-_MOST_OUTPUT:]}" for failure in broken.failures]
    parts.append("\nFiles (the first of them):")
    parts += sorted(broken.files, key=lambda name: (name.count("/"), name))[:_MOST_FILES]
    for name, text in broken.texts:
        parts.append(f"\n{name}:\n{text[:_MOST_TEXT]}")
    parts.append(f"\nYou have {tries} tries.")
    return neutralise("\n".join(parts))
