"""The page of onboarding: what is listed, who sees what, and that nothing in it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.journal.events import now
from app.github.records import Role
from app.github.webhook_events import Installed, InstalledRepository
from app.settings.schema import Settings
from app.storage.onboarding import Onboardings
from app.storage.store import SqlStore
from app.web.auth.visitors import Visitor
from app.web.dashboard import onboarding
from app.web.dashboard.context import Dashboard, dashboard_of
from app.web.dashboard.onboarding import list_onboarding
from tests.support.visitors import ANN, OPERATOR, roles_of

EVIL = "<script>alert(1)</script>"
ROLES: dict[int, Role] = {1: "read", 2: "triage", 3: "none"}
"""Ann's in each repository; all of them are public now."""


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    settings = Settings(state_dir=tmp_path)
    store = SqlStore(settings.database)
    known = Onboardings(store.database, at_once=3)
    names = {1: "acme/shop", 2: "acme/tools", 3: "other/one"}
    repositories = tuple(InstalledRepository(id=n, full_name=name) for n, name in names.items())
    event = Installed(installation_id=5, account_id=6, sender="ann", repositories=repositories)
    known.installed("delivery", "installation", event)
    for number in (1, 2):
        known.settle(number, "skipped", f"{EVIL} in {number}")
    known.proposed(3, 17)
    yield dashboard_of(settings, store, roles_of(ROLES, private=False), print)
    store.close()


async def page(dashboard: Dashboard, visitor: Visitor, search: str = "") -> str:
    return bytes((await list_onboarding(dashboard, visitor, search)).body).decode()


async def test_the_operator_sees_all_and_everything_is_escaped(dashboard: Dashboard) -> None:
    whole = await page(dashboard, OPERATOR)
    assert "<script" not in whole and "alert(1)" in whole
    assert whole.index("other/one") < whole.index("acme/tools") < whole.index("acme/shop")
    assert 'href="https://github.com/other/one/pull/17"' in whole
    assert "pull request is open" in whole
    assert f"{now():%Y-%m-%d}" in whole
    searched = await page(dashboard, OPERATOR, " ACME/S ")
    assert "acme/shop" in searched and "acme/tools" not in searched
    assert "No repositories match" in await page(dashboard, OPERATOR, "%")


async def test_a_visitor_sees_what_they_may(dashboard: Dashboard) -> None:
    seen = await page(dashboard, ANN)
    assert "acme/shop" in seen and "acme/tools" in seen
    assert "other/one" not in seen
    assert "in 2" in seen
    assert "in 1" not in seen, "it may quote what was private then"
    alone = replace(dashboard, access=dashboard_of(dashboard.settings, dashboard.store, None,
                                                   print).access)  # fmt: skip
    assert "No repositories yet" in await page(alone, ANN)


async def test_a_long_list_says_that_it_is_cut(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Only the latest" not in await page(dashboard, OPERATOR)
    monkeypatch.setattr(onboarding, "LISTED", 2)
    cut = await page(dashboard, OPERATOR)
    assert "Only the latest 2" in cut and "acme/shop" not in cut
