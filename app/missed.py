"""Deliveries that did not reach us while we were away, fetched from GitHub and taken in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from app import forge_app, logs
from app.forge_github import GithubApp
from app.forge_records import ForgeError
from app.inbox import Inbox
from app.intake import Intake, take_in
from app.run_failures import PATIENCE_S, wait_before_retry
from app.webhooks import EVENTS, BadPayload

KEPT_BY_GITHUB = timedelta(days=3)

_log = logs.get(__name__)


async def recover(
    app: GithubApp, intake: Intake, patience_s: tuple[float, ...] = PATIENCE_S
) -> int:
    """Take in what no attempt of GitHub's brought here in the last three days; gives how many.

    When GitHub cannot be asked, that is logged: the service works all the same.
    """
    tries = 0
    while True:
        try:
            return await asyncio.to_thread(_recover, app, intake)
        except ForgeError as error:
            tries += 1
            wait = wait_before_retry(error, tries, patience_s)
            if wait is None:
                _log.warning("missed deliveries could not be looked for", why=str(error))
                return 0
            await asyncio.sleep(wait)


def _recover(app: GithubApp, intake: Intake) -> int:
    missed = forge_app.missed(app, datetime.now(UTC) - KEPT_BY_GITHUB)
    wanted = [delivery for delivery in missed if delivery.event in EVENTS]
    known = Inbox(intake.store.engine).delivered([delivery.guid for delivery in wanted])
    count = 0
    for delivery in wanted:
        if delivery.guid in known:  # it came, but our answer got lost
            continue
        try:
            taken = take_in(intake, delivery.event, delivery.guid, forge_app.payload(app, delivery))
        except BadPayload as error:
            _log.warning("a missed delivery is no use", delivery=delivery.guid, why=str(error))
            continue
        count += taken.result in ("new", "attached", "noted")
        _log.info("missed delivery", delivery=delivery.guid, result=taken.result)
    return count
