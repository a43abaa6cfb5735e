"""Nights in the database: one a day, whoever begins it; runs that are asked for go first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from agent.journal.events import now
from app.github.records import ListedRepository
from app.github.webhook_events import NightDue
from app.nightly.times import day_of, next_night
from app.repo_config.schema import Schedule
from app.storage.inbox import Inbox
from app.storage.nights.records import PassedOver, Picked
from app.storage.nights.store import Nights
from app.storage.notices import Notices
from app.storage.store import SqlStore
from tests.support.runs.stored import id_of, store, trigger, url

__all__ = ["store", "url"]

PLACE = ListedRepository(id_of("octo/calc"), "octo/calc", 11, "main", False, False, "2026")
TEXT = Schedule.model_validate({"at": "02:00"}).model_dump_json()
START = datetime(2026, 11, 28, 12, tzinfo=UTC)


def nights_with_schedule(store: SqlStore) -> Nights:
    nights = Nights(store.database)
    schedule = Schedule.model_validate_json(TEXT)
    nights.set_schedule(PLACE, "2026", TEXT, next_night(schedule, START))
    return nights


def begin(nights: Nights, moment: datetime) -> int:
    return nights.begin_due(
        moment,
        lambda text, after: next_night(Schedule.model_validate_json(text), after),
        lambda text, due: day_of(Schedule.model_validate_json(text), due),
    )


def picked(number: int = 7) -> Picked:
    asked = trigger(number).model_copy(update={"by": "schedule", "goal": "triage", "sender": ""})
    return Picked(trigger=asked, changed_at=START)


def test_of_many_processes_one_begins_a_night(store: SqlStore) -> None:
    nights, moment = nights_with_schedule(store), START + timedelta(days=1)
    assert begin(nights, START + timedelta(hours=13)) == 0  # not its time yet
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: begin(nights, moment), range(8))) == 1
    [night] = nights.newest(limit=9)
    assert (night.day, night.state, night.begun_at) == ("2026-11-29", "begun", moment)
    inbox = Inbox(store.database)
    [event] = [inbox.get(event_id) for event_id in inbox.unqueued()]
    assert isinstance(event, NightDue) and event.night_id == night.id


def test_after_days_without_any_process_one_night_is_held(store: SqlStore) -> None:
    nights, moment = nights_with_schedule(store), START + timedelta(days=9)
    assert [begin(nights, moment), begin(nights, moment)] == [1, 0]
    known = nights.known()[PLACE.id]
    assert known.next_at == datetime(2026, 12, 8, 2, tzinfo=UTC)


def test_a_time_that_is_set_anew_makes_no_second_night_of_a_day(store: SqlStore) -> None:
    nights, moment = nights_with_schedule(store), START + timedelta(hours=15)
    assert begin(nights, moment) == 1
    later = TEXT.replace("02:00", "04:00")
    due = next_night(Schedule.model_validate_json(later), moment)
    nights.set_schedule(PLACE, "2027", later, due)
    assert begin(nights, moment + timedelta(hours=4)) == 0
    assert begin(nights, moment + timedelta(days=1, hours=4)) == 1


def test_the_same_schedule_seen_again_keeps_its_time(store: SqlStore) -> None:
    nights = nights_with_schedule(store)
    before = nights.known()[PLACE.id].next_at
    nights.set_schedule(PLACE, "later", TEXT, START + timedelta(days=3))
    assert nights.known()[PLACE.id].next_at == before
    nights.set_schedule(PLACE, "later", "", None)
    assert begin(nights, START + timedelta(days=9)) == 0
    nights.forget([PLACE.id])
    assert nights.known() == {}


def test_issues_are_chosen_once_and_nobody_is_told_of_their_runs(store: SqlStore) -> None:
    nights = nights_with_schedule(store)
    begin(nights, START + timedelta(days=1))
    [night] = nights.newest(limit=1)
    asked_for = store.accept("d1", "issues", trigger(8), model="m").run_id
    Notices(store.database).share_out(lambda _notice: ["all"])
    left = [PassedOver(why="locked", numbers=(3,))]
    [run_id] = nights.choose(night.id, [picked(7), picked(8)], left, "m")
    assert nights.choose(night.id, [picked(9)], [], "m") == []
    assert [each.issue_number for each in nights.triages_of(night.id)] == [7]
    assert nights.get(night.id).passed_over[0].numbers == (3,)
    assert store.live() == {run_id, asked_for}
    assert Notices(store.database).share_out(lambda _notice: ["all"]) == 0
    assert nights.asked_for_runs(PLACE.id) == {8}
    # Its report is due once the run has ended.
    assert nights.queue_over() == 0
    store.claim(run_id, "w").finish(run_id, None)
    assert [nights.queue_over(), nights.queue_over()] == [1, 0]
    assert nights.get(night.id).state == "over"


def test_a_run_that_a_night_started_gives_way_to_people(store: SqlStore) -> None:
    nights = nights_with_schedule(store)
    begin(nights, START + timedelta(days=1))
    [run_id] = nights.choose(nights.newest(limit=1)[0].id, [picked()], [], "m")
    accepted = store.accept("d1", "issues", trigger(), model="m")
    assert (accepted.how, store.live()) == ("new", {run_id, accepted.run_id})
    assert store.stop_reason(run_id)
    assert store.accept("d2", "issues", trigger(), model="m").how == "attached"


def test_what_was_found_is_kept_and_an_issue_is_asked_once(store: SqlStore) -> None:
    nights = nights_with_schedule(store)
    begin(nights, START + timedelta(days=1))
    [run_id] = nights.choose(nights.newest(limit=1)[0].id, [picked()], [], "m")
    assert not nights.asked_before(PLACE.id, 7, "another")
    nights.found(run_id, finding="needs_info", words="It\0 lacks something.", asked=True)
    kept = nights.of_run(run_id)
    assert kept is not None
    assert (kept.finding, kept.words) == ("needs_info", "It lacks something.")
    assert nights.asked_before(PLACE.id, 7, "another")
    assert not nights.asked_before(PLACE.id, 7, run_id)
    nights.unchanged(run_id, now())
    assert nights.looked_at(PLACE.id)[7].changed_at > START
    assert nights.counts([kept.night_id]) == {kept.night_id: {"needs_info": 1}}
