"""What the App says when it is asked what is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agent.journal.events import CulpritSearched
from agent.journal.state import AttemptState
from app.intake.replies import explanation
from app.storage.store import SqlStore
from tests.support.runs.stored import start


def test_the_commit_that_broke_it_is_part_of_what_is_known(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'p.db'}")
    run = store.get_run(start(store))
    found = CulpritSearched(finding="found", commit="c" * 40, subject="Sum <b>up</b> @team")
    said = explanation(run, replace(AttemptState(), culprit=found), "")
    assert "Introduced by `cccccccccccc` (Sum " in said
    assert "<b>" not in said
    assert "@team" not in said
    unknown = CulpritSearched(finding="range", suspects=("c" * 40,))
    assert "Introduced" not in explanation(run, replace(AttemptState(), culprit=unknown), "")
