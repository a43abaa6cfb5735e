"""Sessions that ended by signing out: a copy of their cookie proves nothing any more.

They are in the audit log, which all processes of the installation read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from app.storage import audit

IsEnded = Callable[[str], bool]
"""Whether a cookie's session has ended."""

LONGEST_S = 30 * 24 * 3600
"""The longest life of any session, in seconds; nobody asks about an older one."""

_ACTION = "sign-out"


def end_session(database: sa.Engine, who: str, cookie: str) -> None:
    """From now on the cookie proves nothing; on return that is durable."""
    audit.record(database, who, _ACTION, _session_id(cookie))


def ended_in(database: sa.Engine) -> IsEnded:
    """Looks a cookie up in the audit log."""

    def is_ended(cookie: str) -> bool:
        return audit.contains(database, _ACTION, _session_id(cookie), timedelta(seconds=LONGEST_S))

    return is_ended


def _session_id(cookie: str) -> str:
    """A name that tells nobody the cookie."""
    return "session " + hashlib.sha256(cookie.encode()).hexdigest()[:32]
