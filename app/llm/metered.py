"""A run's model under the operators' hand: it waits where it must, and is counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from agent.model import Message, Model, ToolSpec, Turn
from agent.models.openai_compat import OnWaiting
from app.llm.warm_streams import WarmStreams
from app.spending.account import Account
from app.storage import controls
from app.storage.notices import note_over_budget
from app.storage.run_rows import dialect_insert
from app.telemetry import metrics, tracing

POLL_EVERY_S = 2.0
NOTICE_EVERY_S = 60.0


class ShutdownGate:
    """Brings a process's runs to rest between two tool calls, so that it can end."""

    def __init__(self) -> None:
        self._closed = threading.Event()
        self._running_tools: set[int] = set()
        """Models whose turn is over and whose tool calls are being done."""

    @property
    def closed(self) -> bool:
        """Whether runs must begin no turn."""
        return self._closed.is_set()

    def close(self, patience_s: float) -> bool:
        """Let no turn begin; wait so long for the tool calls under way. Whether all have ended."""
        self._closed.set()
        end = time.monotonic() + patience_s
        while self._running_tools and time.monotonic() < end:
            time.sleep(0.05)
        return not self._running_tools

    def tool_calls_began(self, model: int) -> None:
        """This model's turn is over; its calls are made now."""
        self._running_tools.add(model)

    def tool_calls_ended(self, model: int) -> None:
        """This model's calls have ended."""
        self._running_tools.discard(model)


@dataclass(slots=True)
class GovernedModel:
    """A model whose turns may have to wait. Waiting costs neither tokens nor calls."""

    inner: Model
    database: sa.Engine
    run_id: str
    tokens_per_day: int
    on_waiting: OnWaiting | None
    shutdown_gate: ShutdownGate
    attempt: int = 1
    poll_every_s: float = POLL_EVERY_S
    budget_noted: bool = False
    warm: WarmStreams | None = None
    """Room in the model servers' caches; None: it limits nothing."""
    account: Account | None = None
    """Who pays for it; None: nobody counts."""

    @property
    def name(self) -> str:
        """The profile and model, for the journal."""
        return self.inner.name

    @property
    def window(self) -> int:
        """Context window in tokens."""
        return self.inner.window

    @property
    def preserves_thinking(self) -> bool:
        """Whether the model sees all its earlier thinking."""
        return self.inner.preserves_thinking

    @property
    def sees_images(self) -> bool:
        """Whether it takes images."""
        return self.inner.sees_images

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        """Answer the conversation. Raises `BudgetUsedUp` when there is no money for it."""
        self.shutdown_gate.tool_calls_ended(id(self))
        asked = time.monotonic()
        await self._wait_until_allowed()
        if self.account is not None:
            await asyncio.to_thread(self.account.check)
        waited_s = time.monotonic() - asked
        try:
            with tracing.turn(self.run_id, self.inner.name, self.attempt):
                turn = await self.inner.turn(messages, tools)
        finally:
            metrics.model_wait_ended(self.run_id, self.attempt)
        tokens = turn.usage.prompt_tokens + turn.usage.completion_tokens
        if self.warm is not None:
            self.warm.turned(self._key, tokens)
        await asyncio.to_thread(controls.add_usage, self.database, tokens)
        took_s, cost = time.monotonic() - asked - waited_s, None
        if self.account is not None:
            cost = await asyncio.to_thread(self.account.pay, self.inner.name, turn.usage, took_s)
        self.shutdown_gate.tool_calls_began(id(self))
        return turn.model_copy(update={"waited_s": waited_s, "cost": cost})

    async def close(self) -> None:
        """Release connections. Safe to call twice."""
        self.shutdown_gate.tool_calls_ended(id(self))
        if self.warm is not None:
            self.warm.left(self._key)
        await self.inner.close()

    @property
    def _key(self) -> str:
        return f"{self.run_id}.{self.attempt}"

    async def _wait_until_allowed(self) -> None:
        noticed_at = -NOTICE_EVERY_S
        if self.shutdown_gate.closed:  # until the process ends; the next one takes the turn
            await asyncio.Event().wait()
        while reason := await self._why_wait():
            if self.on_waiting is not None and time.monotonic() - noticed_at >= NOTICE_EVERY_S:
                noticed_at = time.monotonic()
                await self.on_waiting(reason, self.poll_every_s)
            await asyncio.sleep(self.poll_every_s)

    async def _why_wait(self) -> str:
        reason = await asyncio.to_thread(self._reason_to_wait)
        if reason or self.warm is None:
            return reason
        return await self.warm.why_wait(self._key)

    def _reason_to_wait(self) -> str:
        if controls.is_paused(self.database, self.run_id):
            return "An operator paused the run."
        limit = self.tokens_per_day
        if limit and controls.used_today(self.database) >= limit:
            if not self.budget_noted:  # asked every two seconds; the database has it once a day
                note_over_budget(self.database, dialect_insert(self.database), limit)
                self.budget_noted = True
            return f"The installation has used today's {limit:,} tokens; it continues at 0:00 UTC."
        self.budget_noted = False
        return ""
