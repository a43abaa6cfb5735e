"""Work that ends when its run has to stop, or when its time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from agent.errors import RunStopped

STOP_POLL_S = 0.25

Value = TypeVar("Value")


async def unless_stopped(stop_reason: Callable[[], str], work: Coroutine[Any, Any, Value]) -> Value:
    """Do the work; once there is a reason to stop it is cancelled, and `RunStopped` raised.

    At once, even in the middle of a turn or a command; nothing is started after a stop request.
    """
    doing = asyncio.create_task(work)
    try:
        while not doing.done():
            if reason := stop_reason():
                raise RunStopped(reason)
            await asyncio.wait({doing}, timeout=STOP_POLL_S)
        return doing.result()
    finally:
        if not doing.done():
            doing.cancel()
            await asyncio.wait({doing})


async def within(seconds: float, work: Coroutine[Any, Any, Value]) -> Value | None:
    """Do the work; when its time is up it is cancelled and gives None.

    A `TimeoutError` of the work itself goes through.
    """
    try:
        async with asyncio.timeout(max(0.0, seconds)) as limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        return None
