"""Work that a process does again and again beside its main work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from app.telemetry import logs

_log = logs.get(__name__)


@contextmanager
def repeated(
    name: str, every_s: float, act: Callable[[], Awaitable[object]], failed: str
) -> Iterator[None]:
    """Do it every so many seconds in a thread of that name, until the end of the block.

    What it raises is logged under the words of `failed`, and it is done again the next time.
    """
    stop = threading.Event()

    async def act_periodically() -> None:
        while not await asyncio.to_thread(stop.wait, every_s):
            try:
                await act()
            except Exception:  # noqa: BLE001  whatever it is, the next time may do better
                _log.warning(failed, exc_info=True)

    thread = threading.Thread(
        target=lambda: asyncio.run(act_periodically()), name=name, daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(every_s)
