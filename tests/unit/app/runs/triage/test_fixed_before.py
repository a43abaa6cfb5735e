"""Where an issue was written, and which commit since then fixed it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.bisection.records import Commit
from agent.journal.events import ReproductionDeclared
from app.runs.triage.fixed_before import first_parents, fixing_commit, place_then
from tests.doubles.memory_sandbox import MemorySandbox

SHOWN = ReproductionDeclared(
    command="run", expected_failure="wrong total", observed="wrong total", accepted=True
)


def commit(name: str, *parents: str, at: int = 0) -> Commit:
    return Commit(id=name, parents=parents, at=at)


LINE = tuple(commit(f"c{n}", f"c{n - 1}", at=100 * n) for n in range(9, 0, -1))
"""c9 is the newest, c1 the oldest."""


class History:
    """Commits whose reproduction fails up to one of them."""

    places = 1

    def __init__(self, commits: Sequence[Commit], failing: Collection[str]) -> None:
        self.commits = commits
        self._failing = failing
        self.opened: list[str] = []

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        yield

    async def open(self, commit: str) -> Any:
        self.opened.append(commit)
        fails = commit in self._failing
        return MemorySandbox({}, lambda *_: (1, "wrong total") if fails else (0, "fine"))

    async def touching(self, paths: Collection[str]) -> Collection[str]:
        raise AssertionError("what follows a change is as likely as any")


def test_the_branch_goes_by_first_parents() -> None:
    side = commit("s1", "c1")
    merge = commit("m", "c2", "s1")
    line = (merge, side, commit("c2", "c1"), commit("c1", "c0"))
    assert [each.id for each in first_parents(line)] == ["m", "c2", "c1"]
    assert first_parents(()) == ()


@pytest.mark.parametrize(
    ("tagged", "opened", "place"),
    [
        ("c4", 0, 5),
        ("elsewhere", 450, 5),
        ("", 450, 5),
        ("", 950, 0),  # nothing has changed since
        ("", 50, 0),  # older than what is known
        ("", None, 0),
    ],
)
def test_where_an_issue_was_written(tagged: str, opened: int | None, place: int) -> None:
    when = datetime.fromtimestamp(opened, UTC) if opened is not None else None
    assert place_then(LINE, tagged, when) == place


@pytest.mark.parametrize("fixed_in", range(3, 10))
async def test_the_commit_that_made_it_pass(fixed_in: int) -> None:
    failing = {f"c{n}" for n in range(fixed_in)}
    chain = LINE[: place_then(LINE, "c2", None) + 1]
    past = History(LINE, failing)
    assert await fixing_commit(past, chain, SHOWN, 10) == f"c{fixed_in}"
    assert not {"c1", "c0"} & set(past.opened)  # nothing before the issue is tried
