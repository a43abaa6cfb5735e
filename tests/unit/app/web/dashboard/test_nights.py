"""The pages of nights: what is listed, who sees what, and that nothing in it runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import HTTPException

from app.github.records import ListedRepository, Role
from app.nightly.times import day_of, next_night
from app.repo_config.schema import Schedule
from app.settings.schema import Settings
from app.storage.nights.records import PassedOver, Picked
from app.storage.nights.store import Nights
from app.storage.store import SqlStore
from app.web.dashboard.context import Dashboard, dashboard_of
from app.web.dashboard.nights import list_nights, show_night
from tests.support.runs.stored import trigger
from tests.support.visitors import ANN, OPERATOR, roles_of

EVIL = "<script>alert(1)</script>"
ROLES: dict[int, Role] = {1: "write", 2: "none"}
START = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    settings = Settings(state_dir=tmp_path)
    store = SqlStore(settings.database)
    nights, schedule = Nights(store.database), Schedule.model_validate({"at": "02:00"})
    for number, name in enumerate(("acme/shop", "other/one"), 1):
        place = ListedRepository(number, name, 5, "main", True, False, "x")
        text = schedule.model_dump_json()
        nights.set_schedule(place, "x", text, next_night(schedule, START))
    nights.begin_due(
        START + timedelta(days=1),
        lambda _, after: next_night(schedule, after),
        lambda _, due: day_of(schedule, due),
    )
    for night in nights.newest(limit=9):
        asked = trigger(17, night.repository, EVIL, repository_id=night.repository_id)
        asked = asked.model_copy(update={"by": "schedule", "goal": "triage", "sender": ""})
        passed = [PassedOver(why="locked", numbers=(3, 4))]
        [run] = nights.choose(night.id, [Picked(trigger=asked, changed_at=START)], passed, "m")
        nights.found(run, finding="duplicate", words=EVIL, duplicate_of=9, tokens=12345)
    yield dashboard_of(settings, store, roles_of(ROLES, private=True), print)
    store.close()


def night_of(dashboard: Dashboard, repository: str) -> str:
    nights = Nights(dashboard.store.database).newest(repository, limit=9)
    return nights[0].id


async def test_the_list_says_what_was_found_to_those_who_may_read_it(dashboard: Dashboard) -> None:
    whole = bytes((await list_nights(dashboard, OPERATOR)).body).decode()
    assert "acme/shop, 2026-11-29" in whole and "other/one" in whole
    assert "1 × duplicate of an open issue" in whole
    mine = bytes((await list_nights(dashboard, ANN)).body).decode()
    assert "acme/shop" in mine and "other/one" not in mine


async def test_a_nights_page_is_escaped_and_for_those_who_may_read_it(
    dashboard: Dashboard,
) -> None:
    night = night_of(dashboard, "acme/shop")
    page = bytes((await show_night(dashboard, ANN, night)).body).decode()
    assert "<script" not in page and "alert(1)" in page
    assert 'href="https://github.com/acme/shop/issues/9"' in page
    assert "12,345" in page and "2 locked" in page
    assert "the service was not running then" in page  # ten hours after its time
    for hidden in (night_of(dashboard, "other/one"), "nothing"):
        with pytest.raises(HTTPException) as refused:
            await show_night(dashboard, ANN, hidden)
        assert refused.value.status_code == 404
