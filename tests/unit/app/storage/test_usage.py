"""What proven attempts used, as the journals of a store tell it."""

from __future__ import annotations

from app.storage.store import SqlStore
from app.storage.usage import MOST_RUNS, tokens_of_proven
from tests.support.runs.kept import run, store

__all__ = ["store"]


def test_only_proven_attempts_of_the_profile_count(store: SqlStore) -> None:
    run(store, 1)
    run(store, 2, outcome="diagnosis")  # none of its attempts was proven
    run(store, 3, repository="octo/other")
    assert tokens_of_proven(store.database, "offline") == (5, 5)
    assert tokens_of_proven(store.database, "k3") == ()


def test_no_more_than_the_newest_runs_are_read(store: SqlStore) -> None:
    for number in range(MOST_RUNS + 3):
        run(store, number + 1)
    assert len(tokens_of_proven(store.database, "offline")) == MOST_RUNS
