"""Calls that a thread makes soon, one after the other, leaving room for other work.

For telling the durable engine of work: the work is in the outbox already, so that a call which
fails or is never made loses nothing, and deliveries that come in bursts must not wait for it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from app.telemetry import logs

SHARE = 0.25
"""Share of its time that the thread may work while there is more to do."""

_log = logs.get(__name__)


class BackgroundCalls:
    """A thread with a list of calls; it ends with the process, even if calls are left."""

    def __init__(self, share: float = SHARE) -> None:
        self._pause = 1 / share - 1
        self._calls: queue.SimpleQueue[tuple[Callable[[str], None], str]] = queue.SimpleQueue()
        threading.Thread(target=self._make_calls, name="background calls", daemon=True).start()

    def deferred(self, call: Callable[[str], None]) -> Callable[[str], None]:
        """The same call, made soon instead of now. What it raises is logged."""
        return lambda argument: self._calls.put((call, argument))

    def _make_calls(self) -> None:
        while True:
            call, argument = self._calls.get()
            began = time.monotonic()
            try:
                call(argument)
            except Exception:  # noqa: BLE001  the outbox keeps it
                _log.warning("the engine could not be notified yet", about=argument, exc_info=True)
            if not self._calls.empty():
                time.sleep((time.monotonic() - began) * self._pause)
