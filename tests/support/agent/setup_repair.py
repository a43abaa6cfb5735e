"""A scripted model for repairs of a set-up."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agent.model import Message, ToolCall, ToolSpec, Turn, Usage


class Scripted:
    """A model that proposes these arguments, one turn each; None: it answers in words."""

    name, window = "scripted", 100_000

    def __init__(self, *turns: str | None) -> None:
        self._turns = list(turns)
        self.heard: list[Message] = []

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        self.heard = list(messages)
        text = self._turns.pop(0)
        if text is None:
            return Turn(content="it cannot work")
        calls = (
            ToolCall(id=f"c{len(messages)}", name="functions.setup", arguments=text),
            ToolCall(id=f"d{len(messages)}", name="setup", arguments=text),
        )
        return Turn(tool_calls=calls, usage=Usage(prompt_tokens=5), finish_reason="tool_calls")

    async def close(self) -> None:
        pass


def asks(*commands: str) -> str:
    return json.dumps({"why": "because", "commands": commands})
