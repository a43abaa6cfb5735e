"""The page of proofs: its figures, its filters, who sees what, and that nothing in it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import HTTPException

from app.proving.service import to_report
from app.settings.schema import Settings
from app.storage.proofs import Proof, Proofs
from app.storage.store import SqlStore
from app.web.auth.visitors import ReadableRuns, Visitor
from app.web.dashboard.context import Dashboard, dashboard_of
from app.web.dashboard.proofs import (
    ProofFilter,
    figures_of,
    list_proofs,
    places,
    read_proofs,
    show_proof,
)
from tests.unit.app.proving.test_check_run import ASKED
from tests.unit.app.proving.test_reports import PROVEN

EVIL = "<script>alert(1)</script>"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ANN = Visitor("ann", "", 1)


def made(number: int, **changed: object) -> Proof:
    """A proof that took four minutes, after one of waiting."""
    own = {
        "id": f"id{number}",
        "pull_number": number,
        "created_at": BEGAN + timedelta(hours=number),
        "begun_at": BEGAN + timedelta(hours=number, minutes=1),
        "ended_at": BEGAN + timedelta(hours=number, minutes=5),
        "state": "done",
        "verdict": "proven",
    }
    return ASKED.model_copy(update={**own, **changed})


BOT = {"author": "x[bot]", "author_is_bot": True}
PASSES = "These pass on the base"
ALL = [
    made(1, report=to_report(PROVEN)),
    made(2, **BOT, private=False, verdict="failed", reason="No test."),
    made(3, **BOT, title=EVIL, verdict="unproven", reason=f"No test.\n{PASSES}: a.py::b"),
    made(4, repository_id=9, repository="other/one", verdict="", reason=f"{PASSES}: c::d"),
    made(5, state="queued", verdict="", begun_at=None, ended_at=None),
]


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    settings = Settings(state_dir=tmp_path)
    store = SqlStore(settings.database)
    for proof in ALL:
        Proofs(store.database).ask(proof)
    yield dashboard_of(settings, store, None, lambda _run: None)
    store.close()


def test_the_figures() -> None:
    figures = figures_of(ALL[:4])
    assert figures.verdicts == Counter({"proven": 1, "failed": 1, "unproven": 1, "": 1})
    assert (figures.waited, figures.took) == (1.0, 4.0)
    assert figures.missing == (("No test.", 2), (PASSES, 2))
    assert [(one.author, one.pulls) for one in figures.authors] == [("dev", 2), ("x[bot]", 2)]
    assert figures_of([]).proofs == 0


def test_filters_pages_and_what_may_be_read(dashboard: Dashboard) -> None:
    database = dashboard.store.database

    def ids(readable: ReadableRuns | None = None, **filters: str) -> list[str]:
        chosen = ProofFilter.model_validate(filters)
        return [proof.id for proof in read_proofs(database, chosen, readable)[0]]

    assert ids() == ["id5", "id4", "id3", "id2", "id1"]
    assert ids(kind="bot") == ["id3", "id2"]
    assert ids(kind="person", verdict="proven") == ["id1"]
    assert ids(repository="other/one") == ["id4"]
    assert ids(ReadableRuns(frozenset({9}), frozenset({1}))) == ["id4", "id2"]
    assert ids(ReadableRuns(frozenset(), frozenset())) == []
    assert [(p.repository, p.has_private_runs) for p in places(database)] == [
        ("acme/shop", True),
        ("other/one", True),
    ]
    first, cursor = read_proofs(database, ProofFilter(), None, limit=3)
    second, end = read_proofs(database, ProofFilter(), None, cursor=cursor, limit=3)
    assert [p.id for p in (*first, *second)] == ids()
    assert (end, first[0].report) == ("", "")


def test_what_is_shown_is_escaped_and_only_to_whom_it_may_be(dashboard: Dashboard) -> None:
    listed = bytes(list_proofs(dashboard, ANN, None).body).decode()
    assert "alert(1)" in listed and "<script" not in listed
    nobody = ReadableRuns(frozenset(), frozenset())
    public = ReadableRuns(frozenset(), frozenset({1}))
    assert "id1" not in bytes(list_proofs(dashboard, ANN, nobody).body).decode()
    page = bytes(show_proof(dashboard, ANN, None, "id1").body).decode()
    assert "tests/test_a.py::test_b" in page
    assert "acme/shop/pull/1" in page
    assert "No test." in bytes(show_proof(dashboard, ANN, public, "id2").body).decode()
    for readable, proof_id in ((nobody, "id2"), (public, "id1"), (None, "none")):
        with pytest.raises(HTTPException) as refused:
            show_proof(dashboard, ANN, readable, proof_id)
        assert refused.value.status_code == 404
