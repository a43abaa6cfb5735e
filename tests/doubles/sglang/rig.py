"""A client at a stand-in server inside a test, with the waits that it would have slept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agent.model import Message, ToolSpec, Turn
from agent.models.http import Timeouts
from agent.models.openai_compat import OpenAICompatModel
from agent.models.profiles import K2_THINKING, Profile
from tests.doubles.sglang.server import Flags, StandIn
from tests.doubles.sglang.serving import serving
from tests.doubles.sglang.turns import Call, Policy, Say

BASH = ToolSpec(
    name="bash",
    description="Run a command.",
    parameters={
        "type": "object",
        "properties": {"command": {"type": "string"}, "timeout_s": {"type": "integer"}},
        "required": ["command"],
    },
)
VIEW = ToolSpec(
    name="view",
    description="Look at a file.",
    parameters={"type": "object", "properties": {"path": {"type": "string"}}},
)
TOOLS = (BASH, VIEW)
START: tuple[Message, ...] = (
    Message(role="system", content="You debug."),
    Message(role="user", content="Fix it."),
)
LOOK = Say(reasoning="I look first.", content="Looking.", calls=(Call.of("bash", command="ls"),))
END = Say(reasoning="Done.", content="All done.")


@dataclass
class Rig:
    """A model, its server, and the waits that the model would have slept."""

    server: StandIn
    url: str
    waits: list[tuple[str, float]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    now: float = 0.0

    def model(
        self, urls: Sequence[str] = (), profile: Profile = K2_THINKING, **more: Any
    ) -> OpenAICompatModel:
        more.setdefault("timeouts", Timeouts(connect_s=2, first_s=5, idle_s=0.3))
        return OpenAICompatModel(
            profile,
            urls or [self.url],
            on_waiting=self._on_waiting,
            sleep=self._sleep,
            clock=lambda: self.now,
            **more,
        )

    async def _on_waiting(self, reason: str, retry_in_s: float) -> None:
        self.waits.append((reason, retry_in_s))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@asynccontextmanager
async def rig(policy: Policy, flags: Flags | None = None, **more: Any) -> AsyncIterator[Rig]:
    server = StandIn(policy, flags, **more)
    async with serving(server.app) as url:
        yield Rig(server, url)


def grown(messages: Sequence[Message], turn: Turn, output: str = "ok") -> tuple[Message, ...]:
    """The conversation after a turn and the results of its calls."""
    answer = Message(
        role="assistant",
        content=turn.content,
        reasoning=turn.reasoning,
        tool_calls=turn.tool_calls,
    )
    results = [
        Message(role="tool", content=output, tool_call_id=call.id) for call in turn.tool_calls
    ]
    return (*messages, answer, *results)
