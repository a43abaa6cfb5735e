"""Tools that the operator provides, e.g. a look into an issue tracker.

They act outside the sandbox. What they answer is data that others wrote: it is marked as such,
and no hypothesis is confirmed by it alone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any

from pydantic import model_validator

from agent.journal.state import AttemptState
from agent.model import ExternalTool
from agent.prompting import external_answer
from agent.text.control_tokens import restore
from agent.text.truncate import log_id_of
from agent.tools.tool import Arguments, Reply, Tool, ToolContext, refusal_reply

INTERRUPTED = (
    "[interrupted] The worker stopped while this call ran; what it did may be partial. "
    "Call it again if you need its result."
)
INTERRUPTED_WRITE = (
    "[interrupted] The worker stopped while this call ran; whether it was carried out is not "
    "known. It will not be made again: look with another tool whether it was."
)


class ExternalArguments(Arguments):
    """Whatever the server of the tool asks for; it checks that itself."""

    values: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _take_all(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError("must be a JSON object")
        return {"values": data}


def external_tool(known: ExternalTool) -> Tool:
    """A tool that the model was told of, as the loop carries it out."""
    return Tool(known.name, ExternalArguments, partial(_call, known))


async def _call(known: ExternalTool, context: ToolContext, args: ExternalArguments) -> Reply:
    if context.external is None:
        return refusal_reply("the operator's tools cannot be reached here; go on without them")
    if known.writes and _broke_off(context, known.name, args.values):
        return refusal_reply(
            "this very call broke off before, and it may change something there: it is not made "
            "again. Look with another tool whether it was carried out"
        )
    answer = await context.external.call(known, _restored(args.values), context.time_left_s)
    if answer.status == "refused":
        return refusal_reply(answer.text)
    if answer.status != "ok" and not answer.text:
        return Reply("error: there was no answer", status=answer.status)
    told = external_answer(known.name, answer.text, secrets.token_hex(8))
    return Reply(told, status=answer.status, digest_of=answer.text)


def _broke_off(context: ToolContext, name: str, values: dict[str, Any]) -> bool:
    """Whether the run made this call before and does not know what became of it."""
    journal, began = context.journal, dict[tuple[int, str], str]()
    for recorded in journal.store.events(journal.run_id):
        event = recorded.event
        if event.type == "tool_started":
            began[event.attempt, event.call_id] = event.arguments
        elif (
            event.type == "tool_finished"
            and event.name.removeprefix("functions.") == name
            and event.status in ("interrupted", "timeout")
            and _parsed(began.get((event.attempt, event.call_id), "")) == values
        ):
            return True
    return False


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return None


def _restored(value: Any) -> Any:
    """The arguments without what keeps markers of the model's own template apart."""
    if isinstance(value, str):
        return restore(value)
    if isinstance(value, list):
        return [_restored(item) for item in value]
    if isinstance(value, dict):
        return {name: _restored(item) for name, item in value.items()}
    return value


def interruption(name: str, external: Sequence[ExternalTool]) -> str:
    """What the model is told of a call that has no result because the worker stopped."""
    own = name.removeprefix("functions.")
    writes = any(tool.writes for tool in external if tool.name == own)
    return INTERRUPTED_WRITE if writes else INTERRUPTED


def only_external(state: AttemptState, calls: Sequence[str]) -> bool:
    """Whether all that is named as evidence are answers of the operator's tools."""
    external = {tool.name for tool in state.external_tools}
    names = {
        log_id_of(call.id): call.name.removeprefix("functions.")
        for message in state.messages
        for call in message.tool_calls
    }
    return bool(calls) and all(names.get(log_id_of(call)) in external for call in calls)
