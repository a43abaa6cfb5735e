"""Who writes a reproduction where a change brings no test."""

from __future__ import annotations

from pathlib import Path

from agent.proving.records import Change
from agent.task import Issue
from app.proving.command import ProveRequest, reproduction_writer
from app.settings.schema import Settings

ISSUE = Issue(title="Total leaves out the first row", body="")
CHANGE = Change(base="b" * 40, head="c" * 40, patch="", issue=ISSUE)


def test_a_model_writes_only_where_there_is_one_and_an_issue_was_given(tmp_path: Path) -> None:
    about, bare = (ProveRequest(tmp_path, "main", issue=issue) for issue in (ISSUE, None))
    offline = Settings(state_dir=tmp_path, model="offline")
    served = Settings(model="k2-thinking", model_url=("http://127.0.0.1:1",))
    assert reproduction_writer(served, about, CHANGE, "prove-1") is not None
    assert reproduction_writer(served, bare, CHANGE, "prove-1") is None
    assert reproduction_writer(offline, about, CHANGE, "prove-1") is None
