"""Organisations: for which the App is off, and the operator's switch for each."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse

from app.operations import organisations as switches
from app.operations.run_control import NotPossible
from app.storage import organisations
from app.storage.organisations import OffSwitch
from app.storage.store import SqlStore
from app.web.auth.visitors import Visitor
from app.web.dashboard.context import Context, Guest
from app.web.rendering import render
from app.web.request_body import form_fields

router = APIRouter()


def read_switches(store: SqlStore) -> list[tuple[str, list[OffSwitch]]]:
    """Each organisation that is known, with what turns the App off for it; those first. Blocks."""
    off: dict[str, list[OffSwitch]] = {}
    for switch in organisations.all_off(store.database):
        off.setdefault(switch.account, []).append(switch)
    names = {name.casefold(): name for name in organisations.known_accounts(store.database)}
    rows = [(names.get(account, account), found) for account, found in off.items()]
    return rows + [(name, []) for account, name in names.items() if account not in off]


@router.get("/organisations", response_class=HTMLResponse)
def show_organisations(dashboard: Context, visitor: Guest) -> HTMLResponse:
    """The page of the switches, for operators only."""
    _require_operator(visitor)
    found = read_switches(dashboard.store)
    return HTMLResponse(render("organisations.html", visitor=visitor, found=found))


@router.post("/organisations")
async def switch(request: Request, dashboard: Context, visitor: Guest) -> Response:
    """Turn it off or on for the organisation that the form names."""
    _require_operator(visitor)
    fields = await form_fields(request)
    dashboard.access.check_form(request, visitor, fields.get("form_token", ""))
    account, by = fields.get("account", "").strip(), visitor.name
    try:
        if fields.get("switch") == "off":
            reason = fields.get("reason", "")
            await run_in_threadpool(switches.turn_off, dashboard.store, account, reason, by)
        else:
            await run_in_threadpool(switches.turn_on, dashboard.store, account, by)
    except NotPossible as error:
        raise HTTPException(409, f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    return RedirectResponse("/organisations", status_code=303)


def _require_operator(visitor: Visitor) -> None:
    if visitor.login:
        raise HTTPException(403, "Only the operator may do this.")
