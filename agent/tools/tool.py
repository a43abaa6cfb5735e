"""What a tool is: typed arguments in, a reply out, with the events that it causes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from agent.bisection.bisect import Past
from agent.gate.claims import Claims
from agent.journal.events import AnyEvent, GateJudged, ToolStatus
from agent.journal.state import AttemptState
from agent.journal.writer import Journal
from agent.model import ExternalTool, Picture
from agent.task import Task
from sandbox.protocol import Sandbox


class Arguments(BaseModel):
    """Arguments of a tool; the JSON schema that the model sees is made from the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a tool call gave."""

    text: str
    """The whole result; the loop cuts what the model sees and keeps all of it as a log."""
    status: ToolStatus = "ok"
    events: tuple[AnyEvent, ...] = ()
    """Recorded in the same transaction as the result."""
    digest_of: str | None = None
    """What decides whether two results are the same, where `text` holds times and the like."""
    tests: dict[str, str] | None = None
    changed_tree: bool = False
    cut: bool = True
    """False where the tool has cut its own output to what was asked for."""
    waits: bool = False
    """The call has no result yet: it is an answer of people that the events ask for."""
    pictures: tuple[Picture, ...] = ()
    """Images to show after the turn's last result."""


def refusal_reply(why: str) -> Reply:
    """A call that was not carried out, with the reason and what to do."""
    return Reply(text=f"refused: {why}", status="refused")


Judge = Callable[[AttemptState, str, Claims], Awaitable[GateJudged]]
"""Puts a patch before the gate, with what the model says about it."""


@dataclass(frozen=True, slots=True)
class ExternalAnswer:
    """What a tool of the operator answered: its words, cleaned, or why there are none."""

    text: str
    status: ToolStatus = "ok"


class ExternalTools(Protocol):
    """What carries out calls of the operator's tools, outside the sandbox."""

    async def call(
        self, tool: ExternalTool, arguments: Mapping[str, Any], timeout_s: float
    ) -> ExternalAnswer:
        """Carry out a call. What goes wrong is an answer, too: nothing is raised for it."""
        ...


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool works with."""

    task: Task
    sandbox: Sandbox
    journal: Journal
    judge: Judge
    call_id: str = ""
    past: Past | None = None
    """Older commits to run things at; None: there are none."""
    external: ExternalTools | None = None
    """What carries out calls of the operator's tools; None: they cannot be reached."""

    @property
    def state(self) -> AttemptState:
        """The state as of now."""
        return self.journal.state

    @property
    def time_left_s(self) -> float:
        """Seconds of the attempt that are left, at least one."""
        return max(1.0, self.task.budget.wall_s - self.journal.elapsed_s)

    @property
    def test_command(self) -> str:
        """The repository's test command, as found when the attempt started."""
        started = self.state.started
        return started.test_command if started is not None else self.task.test_command


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool's name, its arguments and what runs it; its description is a prompt file."""

    name: str
    arguments: type[Arguments]
    run: Callable[[ToolContext, Any], Awaitable[Reply]]
