"""What a run is told of commits since a version, and of earlier runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.journal.events import (
    AttemptEnded,
    HypothesisResolved,
    NoteAdded,
    ReproductionDeclared,
    RunEnded,
    Submitted,
)
from agent.task import Issue
from app.github.records import Permission, Pull
from app.github.webhook_events import Goal, StartedBy
from app.runs import trees
from app.runs.active_run import ActiveRun
from app.runs.first_round import prepare
from app.runs.related.work import (
    Surroundings,
    keep,
    keep_failure,
    kept_work,
    look_around,
)
from app.runs.results import Ended, Prepared
from tests.support.runs.stored import trigger
from tests.support.runs.world import RunWorld, git

TRACE = """\
Traceback (most recent call last):
  File "/app/shop/api.py", line 3, in checkout
  File "/app/shop/prices.py", line 6, in total
ZeroDivisionError: by 0
"""


def begun(
    world: RunWorld, number: int, *, private: bool | None = None, delivery: str = ""
) -> ActiveRun:
    asked = trigger(number, private=private)
    run_id = world.store.accept(delivery or f"d{number}", "issues", asked, model="m").run_id
    store = world.store.claim(run_id, "here")
    return ActiveRun(world.services(), store, store.get_run(run_id), world.forge)


async def around(
    run: ActiveRun, world: RunWorld, issue: Issue, *, is_private: bool = True
) -> Surroundings:
    commit = git(world.remote, "rev-parse", "main").strip()
    mirror = await trees.mirror_with(run, commit, str(world.remote))
    return await look_around(run, issue, mirror, commit, branches={"main"}, is_private=is_private)


def add(world: RunWorld, subject: str, name: str, text: str) -> None:
    git(
        world.remote,
        "fast-import",
        "--quiet",
        stdin=f"commit refs/heads/main\ncommitter Eve <e@b> 1700001000 +0000\n"
        f"data {len(subject)}\n{subject}\nfrom refs/heads/main^0\n"
        f"M 100644 inline {name}\ndata {len(text)}\n{text}\n",
    )


async def test_commits_since_the_version_that_the_issue_names_are_told(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    add(world, "Before it: #7", "old.txt", "x")
    git(world.remote, "tag", "v1.4.0", "main")
    add(world, "Round prices", "shop/prices.py", "def total():\n    pass\n")
    add(world, "Other words", "other.txt", "x")
    add(world, "Divide by the count (#7)", "third.txt", "x")
    issue = Issue(title="Wrong", body=f"With 1.4.0:\n{TRACE}")
    found = await around(begun(world, 7), world, issue)
    assert [(work.kind, work.title) for work in found.related] == [
        ("commit", "Divide by the count (#7)"),
        ("commit", "Round prices"),
    ]
    assert "merged after v1.4.0, which the issue names, and mentions" in found.related[0].why
    assert "changes files that the issue names" in found.related[1].why
    none = await around(begun(world, 8), world, Issue(title="Wrong", body=TRACE))
    assert none.related == ()


@pytest.mark.parametrize("is_private", [True, False])
async def test_an_earlier_run_on_the_same_failure_is_told_unless_it_was_private(
    tmp_path: Path, is_private: bool
) -> None:
    world = RunWorld(tmp_path)
    past = begun(world, 3, private=True)
    keep(past, Surroundings(), Issue(title="Something else", body=""))
    events = (
        ReproductionDeclared(
            command="pytest", expected_failure="by 0", observed=TRACE, accepted=True
        ),
        HypothesisResolved(hypothesis="H1", verdict="refuted", evidence="It is no rounding."),
        AttemptEnded(outcome="diagnosis"),
    )
    past.store.append(past.record.id, [e.model_copy(update={"attempt": 1}) for e in events])
    keep_failure(past, 1)
    past.store.finish(past.record.id, RunEnded(outcome="diagnosis", diagnosis="Not found."))
    unlike = begun(world, 4)
    unlike.store.finish(unlike.record.id, RunEnded(outcome="failed", attempt=0))
    issue = Issue(title="Again", body=TRACE.replace("line 6", "line 60"))
    run = begun(world, 7)
    found = await around(run, world, issue, is_private=is_private)
    if not is_private:
        assert found.related == ()
        return
    [told] = found.related
    assert (told.kind, told.why) == ("earlier run", "an earlier run, with the same stack trace")
    assert told.name == f"{past.record.id} on #3, ended: diagnosis"
    assert told.detail == "Not found.\nrefuted H1: It is no rounding."
    keep(run, found, issue)
    assert kept_work(run) == found.related


async def test_another_repository_is_told_nothing(tmp_path: Path) -> None:
    world = RunWorld(tmp_path)
    other = world.store.accept("o", "issues", trigger(7, "acme/other"), model="m").run_id
    lease = world.store.claim(other, "here")
    lease.finish(other, RunEnded(outcome="failed", attempt=0))
    found = await around(begun(world, 7), world, Issue(title="Wrong", body=TRACE))
    assert found.related == ()


async def test_pull_requests_are_told_by_what_they_say_and_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = RunWorld(tmp_path)

    def pull(number: int, body: str, author: str = "ann") -> Pull:
        name = f"branch-{number}"
        made = Pull(number, "u", True, False, False, name, "s", f"T{number}", body, "main")
        return replace(made, author=author)

    there = (
        pull(1, "Nothing of it."),
        pull(2, "See octo/calc#7"),
        pull(3, "Changes the file."),
        pull(4, "Fixes #7"),
        pull(5, "Fixes #7", "patchwright[bot]"),
        pull(6, "Fixes #70"),
    )

    async def open_pulls(_most: int) -> tuple[Pull, ...]:
        return there

    async def changed_paths(number: int, *, most: int) -> tuple[str, ...]:
        return ("shop/prices.py", "x.py") if number in (3, 4) else ("x.py",)

    monkeypatch.setattr(world.forge, "open_pulls", open_pulls)
    monkeypatch.setattr(world.forge, "changed_paths", changed_paths)
    found = await around(begun(world, 7), world, Issue(title="Wrong", body="In shop/prices.py."))
    assert [pull.number for pull in found.claims] == [4]
    assert [(work.name, work.detail) for work in found.related] == [
        ("#4", "shop/prices.py"),
        ("#2", ""),
        ("#3", "shop/prices.py"),
    ]
    assert [work.why.rpartition("request ")[2] for work in found.related] == [
        "says that it fixes this issue",
        "mentions this issue",
        "changes files that the issue names",
    ]


CLAIM = Pull(
    9, "u", True, False, False, "x", "s", "Start at nothing", "Fixes #7", "main", author="ann"
)


class Claimed:
    """An issue that these pull requests are about; runs on it come one after the other."""

    def __init__(self, folder: Path, *pulls: Pull) -> None:
        self.world = RunWorld(folder)
        self.pulls: Sequence[Pull] = pulls
        self.asked: list[str] = []
        self.world.forge.open_pulls = self._open_pulls  # type: ignore[method-assign]
        self.world.forge.permission = self._permission  # type: ignore[method-assign]

    async def _open_pulls(self, _most: int) -> tuple[Pull, ...]:
        return tuple(self.pulls)

    async def _permission(self, user: str, *, user_id: int = 0) -> Permission:
        self.asked.append(user)
        role = "write" if user == "ann" else "read"
        return Permission(role, role)

    async def begins(self, by: StartedBy = "label", goal: Goal = "fix") -> bool:
        """Whether a run that is asked for so begins to work."""
        store = self.world.store
        asked = trigger(7).model_copy(update={"by": by, "goal": goal})
        delivery = f"d{len(store.ended_before(asked.repository_id, '', 99))}"
        run_id = store.accept(delivery, "x", asked, model="m").run_id
        lease = store.claim(run_id, self.world.settings.executor)
        lease.set_running(run_id)
        run = ActiveRun(self.world.services(), lease, store.get_run(run_id), self.world.forge)
        found = await prepare(run)
        self.remarks = run.facts().remarks
        self.told = kept_work(run)
        await run.finish(Ended("failed", reason="x"))
        return isinstance(found, Prepared)


async def test_a_claim_of_somebody_who_may_write_holds_a_run_off(tmp_path: Path) -> None:
    assert not await Claimed(tmp_path, CLAIM).begins()


@pytest.mark.parametrize(
    "pull",
    [
        replace(CLAIM, author="eve"),
        replace(CLAIM, author="eve", from_fork=True, draft=True),
        replace(CLAIM, author="eve", title="Fixes #7", body=""),
    ],
)
async def test_a_strangers_claim_is_a_remark_and_no_more(tmp_path: Path, pull: Pull) -> None:
    issue = Claimed(tmp_path, pull)
    assert await issue.begins()
    assert [remark for remark in issue.remarks if "#9" in remark]
    assert "says that it fixes this issue" in issue.told[0].why
    assert issue.asked == ["eve"]


async def test_a_pull_request_onto_another_branch_claims_nothing(tmp_path: Path) -> None:
    issue = Claimed(tmp_path, replace(CLAIM, base_branch="wip"))
    assert await issue.begins()
    assert issue.asked == []
    assert [work.why for work in issue.told] == ["an open pull request mentions this issue"]


async def test_many_strangers_hide_no_claim_and_are_not_all_asked_about(tmp_path: Path) -> None:
    strange = [replace(CLAIM, number=n, author=f"eve-{n}", from_fork=True) for n in range(100, 160)]
    issue = Claimed(tmp_path, *strange, CLAIM)
    assert not await issue.begins()
    assert len(issue.asked) == 10
    assert issue.told[0].name == "#9"


async def test_every_command_after_the_first_word_begins_the_work(tmp_path: Path) -> None:
    issue = Claimed(tmp_path, CLAIM)
    assert not await issue.begins("command")
    assert await issue.begins("command")
    assert await issue.begins("command")
    assert await issue.begins("command", "culprit")
    assert await issue.begins("mention")
    issue.pulls = [CLAIM, replace(CLAIM, number=10)]
    assert await issue.begins("command")


async def test_a_label_after_the_word_begins_the_work_unless_there_is_a_new_claim(
    tmp_path: Path,
) -> None:
    issue = Claimed(tmp_path, CLAIM)
    assert not await issue.begins("label")
    assert not await issue.begins("failed_check")
    assert await issue.begins("label")
    issue.pulls = [CLAIM, replace(CLAIM, number=10)]
    assert not await issue.begins("label")
    assert await issue.begins("assignment")


async def test_of_earlier_runs_only_those_that_are_told_are_read_and_off_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = RunWorld(tmp_path)
    for number in range(6):
        past = begun(world, 7, delivery=f"p{number}")
        said = [
            NoteAdded(attempt=1, source="loop", text=f"{number}" * 6000),
            Submitted(attempt=1, root_cause=f"cause {number}", summary="s", patch="p"),
            AttemptEnded(attempt=1, outcome="draft"),
        ]
        past.store.append(past.record.id, said)
        past.store.finish(past.record.id, RunEnded(outcome="draft", attempt=1))
    run = begun(world, 7)
    read: list[str] = []
    newest_of = run.store.newest_of

    def reading(run_id: str, *more: object) -> object:
        read.append(run_id)
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return newest_of(run_id, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(run.store, "newest_of", reading)
    found = await around(run, world, Issue(title="Wrong", body="x"))
    assert [work.detail for work in found.related] == [
        f"root cause: cause {number}" for number in (5, 4, 3, 2)
    ]
    assert len(read) == 4
