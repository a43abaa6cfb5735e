"""Fetches missed deliveries from GitHub and processes them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from app.github import deliveries
from app.github.app import GithubApp
from app.github.errors import ForgeError
from app.github.webhooks import ALWAYS_DELIVERED, EVENTS, BadPayload
from app.intake.receive import Intake, accept_delivery
from app.runs.failures import PATIENCE_S, wait_before_retry
from app.storage.inbox import Inbox
from app.telemetry import logs

KEPT_BY_GITHUB = timedelta(days=3)
EVERY_S = 900.0
OVERLAP = timedelta(hours=1)
"""Deliveries may be delayed, or retried by hand."""

_log = logs.get(__name__)


async def recover_periodically(app: GithubApp, intake: Intake, every_s: float = EVERY_S) -> None:
    """Process missed deliveries, at once and then periodically.

    Not only this process may be away, but also its database, or whatever stands between it and
    GitHub, which does not deliver again.
    """
    last = datetime.now(UTC) - KEPT_BY_GITHUB
    while True:
        began = datetime.now(UTC)
        try:
            await recover(app, intake, since=last)
            last = began - OVERLAP
        except Exception:  # noqa: BLE001  the database is away: the next look finds them
            _log.warning("missed deliveries could not be processed", exc_info=True)
        await asyncio.sleep(every_s)


async def recover(
    app: GithubApp,
    intake: Intake,
    patience_s: tuple[float, ...] = PATIENCE_S,
    since: datetime | None = None,
) -> int:
    """Process deliveries that no attempt of GitHub's brought here since then (default: 3 days).

    Returns how many. Raises `ForgeError` when GitHub cannot be asked, which is tried for a while.
    """
    tries = 0
    while True:
        try:
            return await asyncio.to_thread(_recover, app, intake, since)
        except ForgeError as error:
            tries += 1
            wait = wait_before_retry(error, tries, patience_s)
            if wait is None:
                raise
            await asyncio.sleep(wait)


def _recover(app: GithubApp, intake: Intake, since: datetime | None) -> int:
    missed = deliveries.missed_deliveries(app, since or datetime.now(UTC) - KEPT_BY_GITHUB)
    ours = (*EVENTS, *ALWAYS_DELIVERED)
    wanted = [delivery for delivery in missed if delivery.event in ours]
    known = Inbox(intake.store.database).known_deliveries([delivery.guid for delivery in wanted])
    count = 0
    for delivery in wanted:
        if delivery.guid in known:  # it came, but our answer got lost
            continue
        try:
            taken = accept_delivery(
                intake, delivery.event, delivery.guid, deliveries.payload(app, delivery)
            )
        except BadPayload as error:
            _log.warning("a missed delivery is unusable", delivery=delivery.guid, why=str(error))
            continue
        count += taken.result in ("new", "attached", "noted")
        _log.info("missed delivery", delivery=delivery.guid, result=taken.result)
    return count
