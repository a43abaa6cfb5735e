"""Begins nights at their time, and looks for new schedules, beside a worker's runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.background import repeated
from app.github.app import GithubApp
from app.intake.nightly import begin_due_nights, look_for_schedules
from app.runs.services import Services

EVERY_S = 20.0
AGAIN_S = 300.0
"""When the repositories are looked through again after a look that failed."""


@contextmanager
def nights_running(services: Services, app: GithubApp) -> Iterator[None]:
    """Begin the nights that are due, in the background, until the end of the block."""
    every_s = services.settings.nightly_look_minutes * 60
    next_look = 0.0

    async def look() -> None:
        nonlocal next_look
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + min(every_s, AGAIN_S)  # should GitHub be away
            await look_for_schedules(services, app)
            next_look = time.monotonic() + every_s

    async def act() -> None:
        await asyncio.to_thread(begin_due_nights, services)
        await look()

    with repeated("nights", EVERY_S, act, "nights could not be begun"):
        yield
