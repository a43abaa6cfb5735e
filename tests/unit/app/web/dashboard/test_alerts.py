"""The page of alerts: what is listed, who sees what, and that nothing in it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.github.records import Role
from app.settings.schema import Settings
from app.storage.alerts import Alerts, EditLimits, Occurrence
from app.storage.store import SqlStore
from app.web.auth.visitors import Visitor
from app.web.dashboard.alerts import list_alerts
from app.web.dashboard.context import Dashboard, dashboard_of
from tests.support.visitors import ANN, OPERATOR, roles_of

EVIL = "<script>alert(1)</script>"
ROLES: dict[int, Role] = {1: "write", 2: "none"}


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    settings = Settings(state_dir=tmp_path)
    store = SqlStore(settings.database)
    known = Alerts(store.database)
    for number, repository in enumerate(("acme/shop", "other/one", ""), 1):
        came = Occurrence(f"f{number}", repository, f"{EVIL} in {number}", "{}")
        known.take("sentry", f"{number}", [came], EditLimits(9, 9, 15))
    for one in known.newest(limit=9):
        if one.repository:
            known.placed(one.id, 1 if one.repository == "acme/shop" else 2, 5)
            known.opened(one.id, 17)
            known.settle(one.id, "open", EVIL)
    yield dashboard_of(settings, store, roles_of(ROLES, private=True), print)
    store.close()


async def page(dashboard: Dashboard, visitor: Visitor, search: str = "") -> str:
    return bytes((await list_alerts(dashboard, visitor, search)).body).decode()


async def test_the_operator_sees_all_and_everything_is_escaped(dashboard: Dashboard) -> None:
    whole = await page(dashboard, OPERATOR)
    assert "<script" not in whole and "alert(1)" in whole
    assert 'href="https://github.com/acme/shop/issues/17"' in whole
    assert "belongs to no repository" in whole
    searched = await page(dashboard, OPERATOR, " OTHER/ ")
    assert "other/one" in searched and "acme/shop" not in searched


async def test_people_see_what_they_may_read(dashboard: Dashboard) -> None:
    whole = await page(dashboard, ANN)
    assert "acme/shop" in whole and "other/one" not in whole
    assert "in 3" not in whole
