"""The commit that broke it, in a pull request's text."""

from __future__ import annotations

from types import SimpleNamespace

from agent.journal.events import CulpritSearched
from app.publishing.rendering import render
from app.sanitize.markdown import inline


def test_a_commit_whose_time_is_no_date_is_named_too() -> None:
    found = CulpritSearched(finding="found", commit="c" * 40, subject="S", author="Eve", at=10**14)
    state = SimpleNamespace(culprit=found, submitted=None)
    text = render("pull_cause.md.j2", inline, state=state)
    assert "(no date, Eve: S)" in text
