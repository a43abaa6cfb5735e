"""Work that runs beside other work where the machine has room for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

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
