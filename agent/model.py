"""The model seam: one turn of a conversation with tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen, typed record."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(Record):
    """One call that a model asks for; `arguments` is the raw JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class Usage(Record):
    """Tokens of one turn, as the server counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Of both together."""
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
        )


class Money(Record):
    """What something cost, in the currency that the operator's prices are in."""

    amount: float
    currency: str
    """Its three letters (ISO 4217): EUR, USD …"""

    def __str__(self) -> str:
        """For people: cents, and what is less in ten-thousandths."""
        return f"{self.figure} {self.currency}"

    @property
    def figure(self) -> str:
        """The amount without its currency."""
        small = 0 < self.amount < 0.1
        return f"{self.amount:.4f}" if small else f"{self.amount:,.2f}"


class Picture(Record):
    """An image that came with an issue; its bytes, which the host made, are stored under `id`."""

    id: str
    """`attached:image-1` …"""
    name: str
    """Its author's words: untrusted."""
    width: int
    height: int
    """Pixels."""
    size: int
    """Bytes."""

    @property
    def number(self) -> int:
        """Its place among the run's images, from 1."""
        return int(self.id.rpartition("-")[2])

    @property
    def tokens(self) -> int:
        """About what it takes of a model's window.

        Kimi's encoder cuts an image into patches of 14 pixels and merges four of them into a token
        (`patch_size` and `merge_kernel_size` of the models' `preprocessor_config.json`).
        """
        across, down = -(-self.width // PIXELS_PER_TOKEN), -(-self.height // PIXELS_PER_TOKEN)
        return across * down + TOKENS_AROUND_PICTURE


PIXELS_PER_TOKEN = 28
TOKENS_AROUND_PICTURE = 8
"""Marks of where it begins and ends."""

FinishReason = Literal["tool_calls", "stop", "length", "abort"]


class Turn(Record):
    """What the model answered."""

    reasoning: str = ""
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    finish_reason: FinishReason = "stop"
    warnings: tuple[str, ...] = ()
    """What the client had to fix, in words for the operator."""
    waited_s: float = 0.0
    """Seconds for which the turn was not allowed to begin; they are not the attempt's time."""
    cost: Money | None = None
    """At the prices of that moment; None: the model had none."""


class Message(Record):
    """One message of the conversation, in the shape of the chat-completions protocol."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    pictures: tuple[Picture, ...] = ()
    """Shown after the text, in order."""


class ToolSpec(Record):
    """A tool as the model sees it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments."""


class ExternalTool(ToolSpec):
    """A tool that the operator provides, outside the sandbox; what it says was written by others.

    `description` and `parameters` are what is left of its own words and schema once checked.
    """

    server: str
    own_name: str
    """As its server calls it."""
    writes: bool = False
    """Whether it may change something there; such a call is not made twice."""


class Model(Protocol):
    """Something that continues a conversation."""

    @property
    def name(self) -> str:
        """The profile and model, for the journal."""
        ...

    @property
    def window(self) -> int:
        """Context window in tokens."""
        ...

    @property
    def preserves_thinking(self) -> bool:
        """Whether the model sees its thinking of all earlier turns, plain answers' too.

        If not, an answer without tool calls must not stay in the conversation: the thinking
        before it would be dropped, and with it the server's cached prefix.
        """
        ...

    @property
    def sees_images(self) -> bool:
        """Whether it takes the images of messages; else it must be given none."""
        ...

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        """Answer the conversation.

        `messages` only ever grows from call to call, except after an announced context cut.
        Cancelling the awaiting task aborts the generation. Raises `ModelAway` when the server
        cannot be reached within the retry budget, `ContextTooLong` when the server refuses the
        length, `ModelRefused` for what a retry cannot fix.
        """
        ...

    async def close(self) -> None:
        """Release connections. Safe to call twice."""
        ...
