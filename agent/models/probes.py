"""Requests that show what a server's chat template renders and what it takes, for `doctor`.

A server counts the tokens of each prompt: two prompts that differ in one thing tell whether that
thing reaches the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.model import Message, Record, ToolCall, ToolSpec
from agent.models.profiles import Profile
from agent.models.request_body import Conversation, body_head, body_tail, compact_json

MAX_TOKENS = 16
"""Of a probe's answer, which nobody reads."""
FEWEST_TOKENS = 40
"""By so many tokens a prompt is longer, at the least, if the model sees `THOUGHT`."""
THOUGHT = "I weigh what is known and what is not before I say anything at all. " * 12
_SYSTEM = Message(role="system", content="You check a connection.")
_ASK = Message(role="user", content="Say A.")
_PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAADgAAAA4CAIAAAAn5KxJAAAARElEQVR42u3OQQkAAAgEsItiNKMazYcphMECLNXz"
    "QkRFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRc8C0xVQ4jR87J4AAAAASUVORK5CYII="
)
"""A blue square of 56 pixels."""


class Thinking(Record):
    """Which earlier thinking a server was seen to render; None: it does not count its prompts."""

    with_calls: bool | None = None
    """That of messages with tool calls, after the last plain answer."""
    before_answer: bool | None = None
    """That of plain answers, and so of all before them."""


def body_of(
    profile: Profile, model: str, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
) -> bytes:
    """A request for a very short answer, with all thinking in it."""
    whole = profile.model_copy(update={"reasoning_history": "all"})
    encoded = Conversation(whole).encode(messages)
    return b"".join((body_head(model, tools), encoded, body_tail(profile, MAX_TOKENS)))


def after_call(thought: str, tool: ToolSpec) -> tuple[Message, ...]:
    """A conversation with a call and its result."""
    call = ToolCall(id=f"functions.{tool.name}:0", name=tool.name, arguments='{"a": 1, "b": 1}')
    asked = Message(role="assistant", reasoning=thought, tool_calls=(call,))
    result = Message(role="tool", content="2", tool_call_id=call.id)
    return (_SYSTEM, _ASK, asked, result)


def after_answer(thought: str) -> tuple[Message, ...]:
    """A conversation with an answer without calls, and what a person says then."""
    answer = Message(role="assistant", content="A.", reasoning=thought)
    return (_SYSTEM, _ASK, answer, Message(role="user", content="Say B."))


def with_picture(profile: Profile, model: str, *, picture: bool) -> bytes:
    """A request about a picture, or the same without it."""
    parts: list[Mapping[str, Any]] = [{"type": "text", "text": "What colour is this?"}]
    if picture:
        parts.append({"type": "image_url", "image_url": {"url": _PICTURE}})
    message = compact_json({"role": "user", "content": parts})
    return b"".join((body_head(model, ()), message, body_tail(profile, MAX_TOKENS)))


def beyond_window(profile: Profile, model: str) -> bytes:
    """A request that no server with the profile's window or less can take."""
    encoded = Conversation(profile).encode((_SYSTEM, _ASK))
    return b"".join((body_head(model, ()), encoded, body_tail(profile, profile.window)))
