"""A run live: its new events and its head as server-sent events, made of the page's own pieces.

The database is asked once a second, because another process may be the one that works on the run.
A stream ends after some minutes: the browser comes back by itself and shows again who it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool

from app.journal_view.entries import present_all
from app.sanitize.html import SHOWN
from app.storage.records import Run
from app.storage.store import SqlStore
from app.web.rendering import render

EVERY_S = 1.0
LONGEST_S = 300.0
AT_ONCE = 50
"""Events of one message."""
MOST_STREAMS = 200


@dataclass(slots=True)
class Streams:
    """How many are open in this process."""

    open: int = 0

    @property
    def full(self) -> bool:
        """Whether no other may be opened."""
        return self.open >= MOST_STREAMS


def message(event: str, data: str, seq: int | None = None) -> str:
    """One server-sent event; carriage returns would end a line of it too."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = f"event: {event}\n" + (f"id: {seq}\n" if seq is not None else "")
    return head + "".join(f"data: {line}\n" for line in lines) + "\n"


async def stream(
    store: SqlStore, run_id: str, after: int, head: Callable[[Run], str], streams: Streams
) -> AsyncIterator[str]:
    """The events after `after`; then whatever comes, until the run is over."""
    end = time.monotonic() + LONGEST_S
    shown = ""
    streams.open += 1
    try:
        yield "retry: 2000\n\n"
        while time.monotonic() < end:
            # The run first: what it had written when it was over is among the events then.
            run = await run_in_threadpool(store.get_run, run_id)
            new = await run_in_threadpool(store.events, run_id, after, AT_ONCE)
            if new:
                after = new[-1].seq
                text = render("entries.html", run_id=run_id, events=present_all(new), shown=SHOWN)
                yield message("entries", text, after)
            summary = await run_in_threadpool(head, run)
            if summary != shown:
                shown = summary
                yield message("head", summary)
            if run.status == "done" and not new:
                yield message("over", run.outcome)
                return
            if not new:
                yield ": still here\n\n"
                await asyncio.sleep(EVERY_S)
    finally:
        streams.open -= 1
