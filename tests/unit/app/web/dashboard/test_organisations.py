"""The page of the switches for organisations: the operator's alone, and escaped."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.settings.schema import Settings
from app.storage import organisations
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from tests.support.runs.stored import start, store, url

__all__ = ["store", "url"]

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def operator(store: SqlStore, tmp_path: Path) -> httpx.AsyncClient:
    settings = Settings(state_dir=tmp_path, operator_token="t", public_url="http://pw.test")
    app = create_app(Web(settings, store, lambda _run_id: None))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://pw.test",
        headers={"Authorization": "Bearer t"},
    )


async def test_the_operator_turns_an_organisation_off_and_on(
    operator: httpx.AsyncClient, store: SqlStore
) -> None:
    run_id = start(store)
    page = (await operator.get("/organisations")).text
    assert "octo" in page and "Turn off" in page
    form = {"form_token": page.split('name="form_token" value="')[1].split('"')[0]}
    wrong = {"account": "octo", "switch": "off", "form_token": "x"}
    assert (await operator.post("/organisations", data=wrong)).status_code == 403
    off = form | {"account": "octo", "switch": "off", "reason": EVIL}
    assert (await operator.post("/organisations", data=off)).status_code == 303
    assert (await operator.post("/organisations", data=off)).status_code == 409
    for path in ("/organisations", f"/runs/{run_id}"):
        page = (await operator.get(path)).text
        assert "The operator has turned Patchwright off for octo" in page
        assert "<script>alert" not in page
    on = form | {"account": "octo", "switch": "on"}
    assert (await operator.post("/organisations", data=on)).status_code == 303
    assert organisations.all_off(store.database) == []


async def test_nobody_else_gets_in(operator: httpx.AsyncClient) -> None:
    operator.headers["Authorization"] = "Bearer other"
    assert (await operator.get("/organisations")).status_code in (401, 403)
    assert (await operator.post("/organisations", data={})).status_code in (401, 403)
