"""Looks whether organisations with work in hand have turned the App off by their own file.

Before anything begins that file is read anyway; this is for what has begun. Every worker looks, and
writes the same.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

from app.background import repeated
from app.github.errors import ForgeError
from app.repo_config.effective import is_off_by_file, off_by_file
from app.repo_config.schema import ORGANISATION_REPOSITORY
from app.runs.services import Services
from app.storage import organisations
from app.telemetry import logs

EVERY_S = 60.0

_log = logs.get(__name__)


def off_switches_watched(services: Services) -> AbstractContextManager[None]:
    """Look again and again, in the background, until the end of the block."""
    act = partial(look_at_files, services)
    return repeated("off switches", EVERY_S, act, "organisations' files could not be read")


async def look_at_files(services: Services) -> None:
    """Note which organisations with work in hand are off by their own file, and which no longer."""
    database = services.store.database
    for account, place in organisations.places_to_ask(database).items():
        forge = services.forge(place.installation_id, place.repository, place.repository_id)
        try:
            is_off = await is_off_by_file(forge)
        except ForgeError as error:
            _log.warning("an organisation's file is not read", account=account, why=str(error))
            continue
        finally:
            await forge.close()
        by = f"{account}/{ORGANISATION_REPOSITORY}"
        if not is_off:
            organisations.turn_on(database, account, "file", by)
        elif organisations.turn_off(database, account, "file", by, off_by_file(account)):
            _log.info("an organisation turned the App off", account=account)
