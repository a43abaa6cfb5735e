"""The request body: each message is encoded once, and a longer conversation costs its new part."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.model import Message, ToolSpec
from agent.models.normalize import unique_ids
from agent.models.profiles import Profile
from agent.models.stream import AnsweredCall
from agent.text.control_tokens import guard

MALFORMED = "malformed_arguments"
"""Key under which arguments go back that are no JSON object: servers refuse anything else."""


@dataclass(slots=True)
class _Encoded:
    message: Message
    end: int
    """Where its bytes end in the buffer."""
    ids: dict[str, list[str]]
    """Of an assistant message: call id → ids sent for it, in order; kept for its results."""
    sent: list[str] = field(default_factory=list)
    picture_tokens: int = 0
    picture_bytes: int = 0
    last_answer: int = -1
    """Place of the last assistant message without calls, up to this one."""


@dataclass(slots=True)
class _Shown:
    """The images of a message as content parts."""

    parts: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0
    bytes: int = 0


PictureBytes = Callable[[str], bytes | None]
"""The bytes of an image by its id; None where they are no longer kept."""


def no_pictures(_: str) -> None:
    """Where no images are kept."""


class Conversation:
    """The encoded form of a conversation that grows from call to call."""

    def __init__(self, profile: Profile, picture: PictureBytes = no_pictures) -> None:
        self.taken: set[str] = set()
        """Ids of all calls so far, as the caller and as the server know them."""
        self.calls = 0
        """How many calls the conversation holds."""
        self.picture_tokens = 0
        """What its images take of the window."""
        self.picture_bytes = 0
        """Bytes of its encoded form that are images."""
        self._profile = profile
        self._picture = picture
        self._buffer = bytearray()
        self._encoded: list[_Encoded] = []
        self._known: tuple[Message, ...] = ()
        """Their messages."""
        self._answers: dict[str, list[str]] = {}
        self._last_answer = -1
        """Of all messages; thinking up to it is dropped."""

    def encode(self, messages: Sequence[Message]) -> bytearray:
        """The messages as JSON, comma-separated, without brackets. Not to be kept or changed.

        Only messages after the longest common beginning with the last call are encoded.
        """
        common = self._common(messages)
        last_answer = self._last_answer_in(messages, common)
        if last_answer != self._last_answer:
            common = min(common, last_answer + 1, self._last_answer + 1)
            self._last_answer = last_answer
        self._shrink_to(common)
        for message in messages[common:]:
            self._append(message)
        self._known = tuple(messages)
        return self._buffer

    def _common(self, messages: Sequence[Message]) -> int:
        known = self._known
        # Nearly always the same objects as last time, which tuples see at once.
        if known == tuple(messages[: len(known)]):
            return len(known)
        for place, (old, new) in enumerate(zip(known, messages, strict=False)):
            if old is not new and old != new:
                return place
        return min(len(known), len(messages))

    def _last_answer_in(self, messages: Sequence[Message], common: int) -> int:
        if self._profile.reasoning_history != "since_last_answer":
            return -1
        for place in range(len(messages) - 1, common - 1, -1):
            if _is_answer(messages[place]):
                return place
        return self._encoded[common - 1].last_answer if common else -1

    def _shrink_to(self, length: int) -> None:
        if length == len(self._encoded):
            return
        del self._encoded[length:]
        self._known = self._known[:length]
        del self._buffer[self._encoded[-1].end if self._encoded else 0 :]
        kept = [known.message for known in self._encoded]
        self.calls = sum(len(message.tool_calls) for message in kept)
        self.taken = {call.id for message in kept for call in message.tool_calls}
        self.taken.update(sent for known in self._encoded for sent in known.sent)
        self.picture_tokens = sum(known.picture_tokens for known in self._encoded)
        self.picture_bytes = sum(known.picture_bytes for known in self._encoded)
        self._answers = {}
        for known in self._encoded:
            if known.message.role == "assistant":
                self._answers = {old: list(new) for old, new in known.ids.items()}
            elif known.message.role == "tool":
                self._answer_id(known.message.tool_call_id)

    def _append(self, message: Message) -> None:
        sent: list[str] = []
        fields: dict[str, Any] = {"role": message.role}
        if message.role == "tool":
            fields["tool_call_id"] = self._answer_id(message.tool_call_id)
        fields["content"] = self._text(message.content)
        shown = self._shown(message)
        if shown.parts:
            # The server takes the parts in order; see docs/models.md.
            fields["content"] = [{"type": "text", "text": fields["content"]}, *shown.parts]
        ids: dict[str, list[str]] = {}
        if message.role == "assistant":
            sent = self._sent_ids(message)
            for call, new in zip(message.tool_calls, sent, strict=True):
                ids.setdefault(call.id, []).append(new)
            self._answers = {old: list(new) for old, new in ids.items()}
            fields.update(self._assistant_fields(message, sent))
        if self._buffer:
            self._buffer += b","
        self._buffer += compact_json(fields)
        place = len(self._encoded)
        before = self._encoded[-1].last_answer if place else -1
        answer = place if _is_answer(message) else before
        self._encoded.append(
            _Encoded(message, len(self._buffer), ids, sent, shown.tokens, shown.bytes, answer)
        )
        self.picture_tokens += shown.tokens
        self.picture_bytes += shown.bytes

    def _shown(self, message: Message) -> _Shown:
        shown = _Shown()
        for picture in message.pictures if self._profile.sees_images else ():
            data = self._picture(picture.id)
            if data is None:
                shown.parts.append({"type": "text", "text": f"[{picture.id} is no longer kept.]"})
                continue
            url = f"data:{media_type(data)};base64,{base64.b64encode(data).decode()}"
            shown.parts.append({"type": "image_url", "image_url": {"url": url}})
            shown.tokens += picture.tokens
            shown.bytes += len(url)
        return shown

    def _sent_ids(self, message: Message) -> list[str]:
        calls = [AnsweredCall(id=c.id, name=c.name) for c in message.tool_calls]
        sent = unique_ids(calls, self.taken, self.calls, self._profile.markup)
        self.calls += len(sent)
        self.taken.update(sent, (call.id for call in calls))
        return sent

    def _answer_id(self, call_id: str) -> str:
        """The id under which the call was sent; an id that no call has goes as it is."""
        waiting = self._answers.get(call_id)
        return waiting.pop(0) if waiting else call_id

    def _assistant_fields(self, message: Message, sent: Sequence[str]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if self._profile.reasoning_history != "none":
            rendered = len(self._encoded) > self._last_answer
            reasoning = self._text(message.reasoning) if rendered else ""
            # With calls the field goes back even when empty: some servers refuse its absence.
            if message.tool_calls or reasoning or self._profile.reasoning_history == "all":
                fields.update(dict.fromkeys(self._profile.reasoning_fields, reasoning))
        if message.tool_calls:
            fields["tool_calls"] = [
                {
                    "id": new,
                    "type": "function",
                    "function": {
                        "name": call.name,
                        "arguments": self._text(as_object(call.arguments)),
                    },
                }
                for call, new in zip(message.tool_calls, sent, strict=True)
            ]
        return fields

    def _text(self, text: str) -> str:
        return guard(text) if self._profile.markup else text


def _is_answer(message: Message) -> bool:
    return message.role == "assistant" and not message.tool_calls


def media_type(data: bytes) -> str:
    """Of an image that the host made: PNG or JPEG."""
    return "image/png" if data.startswith(b"\x89PNG\r\n\x1a\n") else "image/jpeg"


def as_object(arguments: str) -> str:
    """The arguments unchanged if they are a JSON object, else wrapped into one.

    SGLang answers 400 to a history in which they are not ("Assistant tool call
    function.arguments must be valid JSON."), so one cut call would end the run.
    """
    try:
        parsed = json.loads(arguments, parse_constant=_refuse_constant)
        # A lone surrogate passes here but not in the server's stricter parser.
        json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, dict):
        return arguments
    return json.dumps({MALFORMED: arguments}, ensure_ascii=False)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def compact_json(value: object) -> bytes:
    """Compact JSON in UTF-8; a lone surrogate becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def body_head(model: str, tools: Sequence[ToolSpec]) -> bytes:
    """The body up to the messages."""
    fields: dict[str, object] = {"model": model}
    if tools:
        fields["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in tools
        ]
    return compact_json(fields)[:-1] + b',"messages":['


def body_tail(profile: Profile, max_tokens: int, seed: int | None = None) -> bytes:
    """The body after the messages."""
    fields: dict[str, object] = {
        **profile.extra_body,
        "max_tokens": max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    chosen = {
        "temperature": profile.temperature,
        "top_p": profile.top_p,
        "reasoning_effort": profile.reasoning_effort or None,
        "seed": seed,
    }
    fields.update({name: value for name, value in chosen.items() if value is not None})
    return b"]," + compact_json(fields)[1:]
