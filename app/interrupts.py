"""Commands at a terminal that clean up after themselves however they are asked to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, for which SIGTERM is what Ctrl-C is. Raises `KeyboardInterrupt` on both."""

    async def stoppable() -> T:
        loop, doing = asyncio.get_running_loop(), asyncio.current_task()
        if doing is not None:
            loop.add_signal_handler(signal.SIGTERM, doing.cancel)
        return await work

    try:
        return asyncio.run(stoppable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
