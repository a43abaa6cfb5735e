"""Work that runs beside other work where the machine has room for both."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

from sandbox.errors import SandboxError
from sandbox.protocol import OpenSandbox, Sandbox

T = TypeVar("T")


class Background(Generic[T]):
    """A piece of work whose result is waited for later; begun at once, or when it is asked for."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None

    def begin(self) -> None:
        """Begin; idempotent."""
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def result(self) -> T:
        """The result, as often as it is asked for. Raises what the work raises."""
        self.begin()
        assert self._task is not None
        return await self._task

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._task is not None and not self._task.done()

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        task = self._task
        return task is not None and task.done() and not task.cancelled() and bool(task.exception())

    async def end(self) -> None:
        """Stop it, if it still runs; what it raises then interests nobody."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            _ = self.failed  # looked at, so that asyncio does not report it as overlooked


@asynccontextmanager
async def background(
    work: Callable[[], Coroutine[Any, Any, T]], *, now: bool
) -> AsyncIterator[Background[T]]:
    """Work beside the block (`now`), or in it when its result is asked for; ends with it."""
    begun = Background(work)
    if now:
        begun.begin()
    try:
        yield begun
    finally:
        await begun.end()


class SandboxesAhead:
    """Fresh sandboxes that are opened before they are asked for, while something else runs."""

    def __init__(self, open_fresh: OpenSandbox, *, enabled: bool) -> None:
        self._open_fresh = open_fresh
        self._enabled = enabled
        self._waiting: deque[asyncio.Task[Sandbox]] = deque()

    def prepare(self, count: int) -> None:
        """Let so many be ready, or on their way, besides those that are in use."""
        while self._enabled and len(self._waiting) < count:
            self._waiting.append(asyncio.ensure_future(self._open_fresh()))

    async def open(self) -> Sandbox:
        """A fresh sandbox, as `OpenSandbox` gives it, with the same errors."""
        if self._waiting:
            return await self._waiting.popleft()
        return await self._open_fresh()

    async def end(self) -> None:
        """Close those that nobody asked for; one that could not be opened interests nobody."""
        while self._waiting:
            with suppress(SandboxError):
                await (await self._waiting.popleft()).close()


@asynccontextmanager
async def sandboxes_ahead(
    open_fresh: OpenSandbox, *, enabled: bool
) -> AsyncIterator[SandboxesAhead]:
    """Sandboxes for a block, opened ahead if `enabled`; what is left over is closed with it."""
    ahead = SandboxesAhead(open_fresh, enabled=enabled)
    try:
        yield ahead
    finally:
        await ahead.end()
