"""Whose turn an onboarding pull request is, with several writers at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from app.github.webhook_events import Installed, InstalledRepository
from app.storage.onboarding import Onboardings
from app.storage.store import SqlStore

WORKERS = 4


@pytest.fixture
def store(postgresql_database: str) -> Iterator[SqlStore]:
    made = SqlStore(postgresql_database)
    yield made
    made.close()


def test_workers_that_end_at_the_same_moment_let_no_more_begin_than_there_is_room_for(
    store: SqlStore,
) -> None:
    known = Onboardings(store.database, at_once=WORKERS)
    repositories = tuple(
        InstalledRepository(id=number, full_name=f"acme/r{number}") for number in range(1, 41)
    )
    event = Installed(installation_id=1, account_id=2, sender="ann", repositories=repositories)
    assert len(known.installed("delivery", "installation", event) or ()) == WORKERS
    together = Barrier(WORKERS)

    def settle(number: int) -> None:
        together.wait(30)
        known.settle(number, "skipped", "it is a fork")

    def states() -> Counter[str]:
        return Counter(one.state for one in known.newest(limit=50))

    with ThreadPoolExecutor(WORKERS) as pool:
        for begin in range(1, 37, WORKERS):
            list(pool.map(settle, range(begin, begin + WORKERS)))
            assert states()["working"] == WORKERS
    assert states() == {"skipped": 36, "working": WORKERS}
