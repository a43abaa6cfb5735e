"""The offline model: the search policy behind the `Model` protocol.

The policy is a generator of calls. It lives while the conversation only grows; for a conversation
that it does not know (after a restart) it is run again over the recorded results, and every call
that it makes must equal the recorded one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agent.model import Message, ToolCall, ToolSpec, Turn, Usage
from agent.models.offline.policy import policy
from agent.models.offline.protocol import Call, Result, Steps
from agent.text.control_tokens import restore

WINDOW = 4_000_000
"""Tokens: there is no context that could overflow, and results must stay whole for replay."""
CHARACTERS_PER_TOKEN = 4


class Diverged(Exception):
    """A recorded conversation is not the one that the policy would have had."""


@dataclass
class _Session:
    """One live run of the policy."""

    steps: Steps[str]
    taken: int = 0
    """Tool results given to it so far."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    pending: Call | None = None
    diagnosis: str = ""


class OfflineModel:
    """Search-based repair of small Python bugs; no language model, no network, no weights."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._session: _Session | None = None
        self._recorded: list[tuple[str, str]] = []
        self._sent = 0

    @property
    def name(self) -> str:
        """The profile and model, for the journal."""
        return "offline (search-based repair)"

    @property
    def window(self) -> int:
        """Context window in tokens."""
        return WINDOW

    @property
    def preserves_thinking(self) -> bool:
        """It thinks nothing."""
        return False

    @property
    def sees_images(self) -> bool:
        """It reads only text."""
        return False

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        """Answer the conversation.

        The search's own thinking runs in a thread, off the event loop.
        """
        return await asyncio.to_thread(self._turn, list(messages))

    async def close(self) -> None:
        """Nothing to release."""

    def _turn(self, messages: list[Message]) -> Turn:
        exchanges = list(exchanges_of(messages))
        recorded = [(call.name.removeprefix("functions."), call.arguments) for call, _ in exchanges]
        session = self._session
        if session is None or self._recorded != recorded[: session.taken]:
            session = self._session = self._begin(messages)
        try:
            for call, result in exchanges[session.taken :]:
                self._feed(session, call, result)
        except Diverged:
            session = self._session = self._begin(messages)
            session.taken = len(exchanges)
        self._recorded = recorded
        return self._make_turn(session, messages, len(exchanges))

    def _begin(self, messages: Sequence[Message]) -> _Session:
        task = next((m.content for m in messages if m.role == "user"), "")
        session = _Session(policy(restore(task), self._seed))
        _advance(session, None)
        return session

    def _feed(self, session: _Session, call: ToolCall, result: str) -> None:
        expected = session.pending
        name = call.name.removeprefix("functions.")
        if expected is None or (name, call.arguments) != (expected.name, expected.json):
            raise Diverged(f"call {session.taken + 1} is {name}, not what the search would ask")
        session.taken += 1
        _advance(session, Result(restore(result), call.id))

    def _make_turn(self, session: _Session, messages: Sequence[Message], made: int) -> Turn:
        calls: tuple[ToolCall, ...] = ()
        content = reasoning = ""
        if session.pending is not None:
            ask = session.pending
            calls = (
                ToolCall(id=f"functions.{ask.name}:{made}", name=ask.name, arguments=ask.json),
            )
            reasoning = ask.why
        else:
            content = session.diagnosis or "The search has ended; there is nothing more to do."
            reasoning = "Nothing is left to try."
        prompt = sum(_length(m) for m in messages)
        characters = len(reasoning) + len(content) + sum(len(c.arguments) for c in calls)
        cached, self._sent = min(self._sent, prompt), prompt
        return Turn(
            reasoning=reasoning,
            content=content,
            tool_calls=calls,
            usage=Usage(
                prompt_tokens=prompt // CHARACTERS_PER_TOKEN,
                completion_tokens=characters // CHARACTERS_PER_TOKEN,
                cached_tokens=cached // CHARACTERS_PER_TOKEN,
            ),
            finish_reason="tool_calls" if calls else "stop",
        )


def exchanges_of(messages: Sequence[Message]) -> Iterator[tuple[ToolCall, str]]:
    """Each finished call with its result, in order; notes in between are passed over."""
    results = {m.tool_call_id: m.content for m in messages if m.role == "tool"}
    for message in messages:
        for call in message.tool_calls:
            if call.id in results:
                yield call, results[call.id]


def _advance(session: _Session, result: Result | None) -> None:
    """Let the policy think until its next call or its end."""
    try:
        session.pending = next(session.steps) if result is None else session.steps.send(result)
    except StopIteration as done:
        session.pending, session.diagnosis = None, done.value


def _length(message: Message) -> int:
    return (
        len(message.content)
        + len(message.reasoning)
        + sum(len(c.arguments) + len(c.name) for c in message.tool_calls)
    )
