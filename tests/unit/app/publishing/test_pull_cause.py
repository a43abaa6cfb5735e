"""The commit that broke it, in a pull request's text."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from agent.journal.events import CulpritSearched, ReproductionDeclared
from agent.journal.state import AttemptState
from app.publishing.comments import diagnosis_comment
from app.publishing.rendering import render
from app.repo_config.schema import Language
from app.sanitize.markdown import inline
from tests.support.runs.proven import FACTS


def test_a_commit_whose_time_is_no_date_is_named_too() -> None:
    found = CulpritSearched(finding="found", commit="c" * 40, subject="S", author="Eve", at=10**14)
    state = SimpleNamespace(culprit=found, submitted=None)
    text = render("pull_cause.md.j2", inline, state=state, facts=FACTS)
    assert "(no date, Eve: S)" in text


@pytest.mark.parametrize("template", ["pull_cause.md.j2", "de/pull_cause.md.j2"])
def test_what_a_commit_says_of_itself_is_text(template: str) -> None:
    hostile = "\x1b[31m\u202e@acme/team fixes #1 </details><img src=x>\r![x](http://e)"
    found = CulpritSearched(finding="found", commit="c" * 40, subject=hostile, author=hostile)
    state = SimpleNamespace(culprit=found, submitted=None)
    text = render(template, inline, state=state, facts=FACTS)
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)
    for word in ("@acme", "#1", "<img", "![x](", "</details>"):
        assert word not in text


@pytest.mark.parametrize("finding", ["range", "unfinished", "since_beginning", "contradiction"])
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_diagnosis_tells_every_end_of_a_search(finding: Any, language: Language) -> None:
    suspects = ("a" * 40, "b" * 40)
    found = CulpritSearched(finding=finding, commit="c" * 40, suspects=suspects, runs=3)
    state = replace(AttemptState(), culprit=found)
    text = diagnosis_comment(replace(FACTS, language=language, goal="culprit"), state)
    assert {"range": "`aaaaaaaaaaaa`", "unfinished": "`bbbbbbbbbbbb`"}.get(finding, "") in text
    assert ("`cccccccccccc`" in text) == (finding == "since_beginning")
    assert "Introduced by" not in text


def test_commits_are_linked_where_the_repositorys_page_is_known() -> None:
    found = CulpritSearched(finding="found", commit="c" * 40, subject="S", author="Eve")
    facts = replace(FACTS, repository_url="https://github.com/acme/shop")
    state = SimpleNamespace(culprit=found, submitted=None)
    text = render("pull_cause.md.j2", inline, state=state, facts=facts)
    link = f"[`cccccccccccc`](https://github.com/acme/shop/commit/{'c' * 40})"
    assert f"Introduced by {link} (1970-01-01, Eve: S), found by" in text


def test_a_diagnosis_shows_the_files_of_the_reproduction_as_text() -> None:
    shown = ReproductionDeclared(
        command="pytest test_a.py",
        files={"test_<b>.py": "```\n</details>@team\n" + "x" * 9000},
        expected_failure="E",
        observed="E",
        accepted=True,
    )
    text = diagnosis_comment(FACTS, replace(AttemptState(), reproduction=shown))
    assert "<summary>test" in text and "<b>" not in text
    assert "````\n```\n</details>@team\nxxx" in text
    assert text.count("x") < 6100
