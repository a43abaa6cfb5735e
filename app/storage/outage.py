"""Waits for a database that is temporarily unavailable: that is no failure of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,
)

from app.telemetry import logs

T = TypeVar("T")

RETRY_EVERY_S = 2.0
_TRANSIENT = ("locked", "busy", "disk is full", "disk I/O", "unable to open")
"""SQLite's messages for temporary failures; a missing table is not one."""

_log = logs.get(__name__)


def is_unavailable(error: BaseException) -> bool:
    """Whether this error means that the database does not respond, not that it refuses.

    It does so too where all connections stay in use: they wait for the database, or for each other.
    """
    if isinstance(error, TimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if type(error.orig).__module__.startswith("sqlite3"):
        return any(words in str(error.orig) for words in _TRANSIENT)
    return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated


def driver_message(error: SQLAlchemyError) -> str:
    """What the database's driver said, or the pool of connections, in one line."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).split("\n")[0]


async def retry_while_unavailable(what: str, act: Callable[[], Awaitable[T]]) -> T:
    """Repeat an idempotent operation as long as the database is unavailable."""
    while True:
        try:
            return await act()
        except SQLAlchemyError as error:
            if not is_unavailable(error):
                raise
            _log.warning("the database is away", what=what, why=driver_message(error))
        await asyncio.sleep(RETRY_EVERY_S)
