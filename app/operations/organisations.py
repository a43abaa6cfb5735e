"""Turning the App off for a whole organisation, and on again, as an operator."""

from __future__ import annotations

import re

from app.operations.run_control import NotPossible
from app.storage import audit, organisations
from app.storage.store import SqlStore

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def off_sentence(account: str, reason: str) -> str:
    """What people are told, with the operator's reason, if there is one."""
    why = " ".join(reason.split())[: organisations.LONGEST_REASON - 200]
    because = f": {why.rstrip('.')}" if why else ""
    return f"The operator has turned Patchwright off for {account}{because}."


def turn_off(store: SqlStore, account: str, reason: str = "", by: str = "") -> str:
    """Turn it off; says what follows. Raises `NotPossible`."""
    if not _LOGIN.fullmatch(account):
        raise NotPossible(f"{account} is no login of an organisation or a user")
    by = by or audit.operator()
    said = off_sentence(account, reason)
    if not organisations.turn_off(store.database, account, "operator", by, said):
        raise NotPossible(f"it is off for {account} already")
    return f"off for {account}: runs in hand stop within seconds and say why, nothing else begins"


def turn_on(store: SqlStore, account: str, by: str = "") -> str:
    """Turn it on; says whether the organisation's own file still turns it off.

    Raises `NotPossible`.
    """
    if not organisations.turn_on(store.database, account, "operator", by or audit.operator()):
        raise NotPossible(f"no operator has turned it off for {account}")
    if still := organisations.off_reason(store.database, f"{account}/"):
        return f"on for {account}, as far as the operator is concerned. {still}"
    return f"on for {account}"
