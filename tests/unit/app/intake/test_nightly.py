"""What is written of a night, and what not."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from app.github.records import ListedRepository
from app.github.webhook_events import NightOver
from app.intake.nightly import begin_due_nights, report_night
from app.repo_config.schema import Schedule
from app.storage.nights.records import Picked
from app.storage.nights.store import Nights
from app.storage.store import SqlStore
from tests.support.runs.stored import id_of, trigger

MOMENT = datetime(2026, 11, 28, 3, tzinfo=UTC)
PLACE = ListedRepository(id_of("octo/calc"), "octo/calc", 11, "main", False, False, "2026")
TEXT = Schedule.model_validate({"at": "02:00", "report": "issue"}).model_dump_json()


@pytest.mark.parametrize(("is_on", "written"), [(True, ["open", "edit"]), (False, [])])
async def test_the_report_of_who_turned_the_app_off_since_is_on_its_page_only(
    store: SqlStore, is_on: bool, written: list[str]
) -> None:
    nights = Nights(store.database)
    nights.set_schedule(PLACE, "x", TEXT, MOMENT.replace(hour=2))
    services: Any = SimpleNamespace(
        store=store,
        settings=SimpleNamespace(public_url="", github_web_url="https://github.com"),
        config=lambda _: _answer(SimpleNamespace(enabled=is_on)),
    )
    begin_due_nights(services, MOMENT)
    [night] = nights.newest(limit=1)
    asked = trigger(7).model_copy(update={"by": "schedule", "goal": "triage", "sender": ""})
    [run_id] = nights.choose(night.id, [Picked(trigger=asked, changed_at=MOMENT)], (), "m")
    store.claim(run_id, "one").finish(run_id, None)
    assert nights.queue_over() == 1
    acts: list[str] = []
    event = NightOver.model_construct(night_id=night.id)
    await report_night(services, _forge(acts), event)
    assert acts == written
    told = nights.get(night.id)
    assert (told.state, told.report_issue) == ("reported", 9 if is_on else 0)


def _forge(acts: list[str]) -> Any:
    async def open_issue(*_: object) -> int:
        acts.append("open")
        return 9

    async def edit_issue(*_: object, **__: object) -> None:
        acts.append("edit")

    async def repository() -> Any:
        return SimpleNamespace(archived=False)

    return SimpleNamespace(open_issue=open_issue, edit_issue=edit_issue, repository=repository)


async def _answer(value: object) -> object:
    return value
