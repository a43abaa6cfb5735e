"""Organisations for which the App is off: who turned it off, whom it holds, and who is told."""

from __future__ import annotations

import pytest

from app.operations import organisations as switches
from app.operations.run_control import NotPossible
from app.storage import audit, organisations
from app.storage.store import SqlStore
from tests.support.runs.stored import start, store, trigger, url

__all__ = ["store", "url"]


def test_an_organisation_is_off_until_both_take_it_back(
    store: SqlStore,
) -> None:
    run_id = start(store)
    other = store.accept("d9", "issues", trigger(9, "octopus/calc"), model="m").run_id
    database = store.database
    assert store.stop_reason(run_id) == ""
    said = switches.turn_off(store, "Octo", " spent\ntoo much. ", by="op")
    assert "off for Octo" in said
    assert organisations.turn_off(database, "octo", "file", "octo/.github", "Its file says so.")
    assert not organisations.turn_off(database, "octo", "file", "octo/.github", "Again.")
    why = "The operator has turned Patchwright off for Octo: spent too much."
    assert store.stop_reason(run_id) == why
    assert store.stop_reason(other) == ""
    with pytest.raises(NotPossible, match="already"):
        switches.turn_off(store, "octo")
    assert "Its file says so." in switches.turn_on(store, "OCTO", by="op")
    assert store.stop_reason(run_id) == "Its file says so."
    assert organisations.turn_on(database, "octo", "file", "octo/.github")
    assert store.stop_reason(run_id) == ""
    with pytest.raises(NotPossible, match="no operator"):
        switches.turn_on(store, "octo")
    entries = [(e.actor, e.action) for e in reversed(audit.entries(database, subject="octo"))]
    assert entries == [
        ("op", "organisation off"),
        ("octo/.github", "organisation off"),
        ("op", "organisation on"),
        ("octo/.github", "organisation on"),
    ]


@pytest.mark.parametrize("name", ["", "octo/calc", "o" * 200, "../x", "a b"])
def test_what_is_no_organisation_is_refused(store: SqlStore, name: str) -> None:
    with pytest.raises(NotPossible, match="no login"):
        switches.turn_off(store, name)


def test_whose_files_are_read_again(store: SqlStore) -> None:
    start(store)
    ended = store.accept("d9", "issues", trigger(9, "under_score/calc"), model="m").run_id
    store.accept("d8", "issues", trigger(9, "underXscore/calc"), model="m")
    for each in store.live():
        if store.get_run(each).repository != "octo/calc":
            store.claim(each, "w").finish(each, None)
    assert list(organisations.places_to_ask(store.database)) == ["octo"]
    organisations.turn_off(store.database, "under_score", "file", "x", "Off.")
    places = organisations.places_to_ask(store.database)
    assert places["under_score"].repository == store.get_run(ended).repository
    assert organisations.known_accounts(store.database) == ["octo", "under_score", "underXscore"]
