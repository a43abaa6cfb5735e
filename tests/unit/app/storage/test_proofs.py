"""Proofs in the database: one live for a pull request, each ended once; on PostgreSQL as well."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.journal.events import now
from app.storage.proofs import LIMIT_PERIOD, Proof, Proofs, UnknownProof
from app.storage.store import SqlStore
from tests.support.runs.stored import store, url
from tests.unit.app.proving.test_check_run import ASKED

__all__ = ["store", "url"]


def asked(name: str, **changed: object) -> Proof:
    """A proof that is asked for now."""
    return ASKED.model_copy(update={"id": name, "created_at": now(), **changed})


def test_a_newer_proof_replaces_those_of_its_pull_request_alone(store: SqlStore) -> None:
    proofs = Proofs(store.database)
    assert proofs.ask(asked("a")) == []
    assert proofs.ask(asked("other", pull_number=8)) == []
    assert proofs.ask(asked("group", pull_number=0)) == []
    assert proofs.ask(asked("groups", pull_number=0)) == []
    [old] = proofs.ask(asked("b", head_sha="d" * 40))
    assert (old.id, old.state) == ("a", "cancelled")
    assert "d" * 12 in old.reason
    assert proofs.ask(asked("b")) == []
    assert proofs.live() == {"b", "other", "group", "groups"}
    assert [proof.id for proof in proofs.of_pull(1, 7)] == ["b", "a"]
    proofs.ask(asked("another group", pull_number=0, head_sha="e" * 40))
    assert [proof.id for proof in proofs.of_group(1, "e" * 40)] == ["another group"]


def test_what_is_over_stays_as_it_is(store: SqlStore) -> None:
    proofs = Proofs(store.database)
    proofs.ask(asked("a", title="nul\0"))
    assert proofs.begin("a")
    begun = proofs.get("a").begun_at
    proofs.hand_back("a")
    assert proofs.get("a").state == "queued"
    assert proofs.begin("a")
    assert proofs.get("a").begun_at == begun
    assert proofs.why_not_live("a") == ""
    assert proofs.finish("a", "proven", report="{}")
    assert not proofs.finish("a", "failed")
    assert not proofs.cancel("a", "Late.")
    assert not proofs.begin("a")
    proofs.hand_back("a")
    found = proofs.get("a")
    assert (found.state, found.verdict, found.report) == ("done", "proven", "{}")
    assert [each.report for each in proofs.of_pull(1, 7)] == [""]
    assert proofs.why_not_live("a") == "done"
    with pytest.raises(UnknownProof):
        proofs.get("nowhere")


def test_only_the_same_change_in_the_same_repository_that_is_proven_counts(store: SqlStore) -> None:
    proofs = Proofs(store.database)
    for number, (name, more) in enumerate(
        {
            "right": {},
            "theirs": {"repository_id": 2},
            "unproven": {},
            "different": {"trees": "x..y"},
        }.items()
    ):
        own = {"trees": "t..u", "pull_number": number + 1, **more}
        proofs.ask(asked(name, **own))
        proofs.finish(name, "unproven" if name == "unproven" else "proven")
    group = asked("group", pull_number=0)
    proofs.ask(group)
    assert proofs.same_change(proofs.get("group")) is None  # not known yet
    proofs.place("group", "b" * 40, "t..u")
    same = proofs.same_change(proofs.get("group"))
    assert same is not None
    assert same.id == "right"


def test_a_repository_has_the_name_that_came_last(store: SqlStore) -> None:
    proofs = Proofs(store.database)
    proofs.ask(asked("a"))
    proofs.ask(asked("theirs", repository_id=2))
    proofs.ask(asked("b", repository="new/name", installation_id=5))
    found = proofs.get("a")
    assert (found.repository, found.installation_id) == ("new/name", 5)
    assert proofs.get("theirs").repository == "acme/shop"


def test_a_day_is_counted(store: SqlStore) -> None:
    proofs = Proofs(store.database)
    proofs.ask(asked("a"))
    proofs.ask(asked("b", pull_number=8))
    proofs.ask(asked("c", repository_id=2))
    old = asked("old", pull_number=9)
    before = old.created_at - LIMIT_PERIOD - timedelta(minutes=1)
    proofs.ask(old.model_copy(update={"created_at": before}))
    assert proofs.asked_lately(repository_id=1) == 2
    assert proofs.asked_lately(repository_id=1, but="a") == 1
    assert proofs.asked_lately(installation_id=2) == 3
    assert proofs.any_of(2)
    assert not proofs.any_of(3)


def test_what_was_refused_or_cancelled_before_its_turn_does_not_count(store: SqlStore) -> None:
    proofs = Proofs(store.database)
    names = ("waiting", "at-work", "refused", "cancelled", "cancelled-at-work")
    for number, name in enumerate(names, 1):
        proofs.ask(asked(name, pull_number=number))
    for name in ("at-work", "cancelled-at-work"):
        proofs.begin(name)
    proofs.finish("refused", "", reason="The limit is reached.")
    for name in ("cancelled", "cancelled-at-work"):
        proofs.cancel(name, "The pull request was closed.")
    assert proofs.asked_lately(repository_id=1) == 3


def test_a_refused_proof_replaces_the_older_ones_too(store: SqlStore) -> None:
    proofs = Proofs(store.database)
    proofs.ask(asked("old", head_sha="e" * 40))
    refused = asked("new").model_copy(update={"state": "done", "reason": "The limit is reached."})
    assert [proof.id for proof in proofs.ask(refused)] == ["old"]
    assert proofs.get("old").state == "cancelled"
    proofs.ask(asked("live", head_sha="d" * 40))
    same = refused.model_copy(update={"id": "same", "head_sha": "d" * 40})
    assert proofs.ask(same) == [], "it is no answer for the commit that is being proven"
    assert proofs.get("live").is_live
