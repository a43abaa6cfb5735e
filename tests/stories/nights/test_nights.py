"""Nights over HTTP: each issue is looked at once, and nothing is written without evidence.

A night with a crash in its middle is told with the tests; `make check-stories` tells all of them,
with a crash after every outward act.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.journal.events import AttemptStarted, ReproductionDeclared
from agent.journal.writer import Journal
from agent.proving.reproduce import NothingWritten
from agent.task import Task
from app.github.calls.backlog import covered_repositories
from app.intake import nightly
from app.intake.nightly import begin_due_nights, look_for_schedules
from app.runs.triage import look
from app.storage.nights.records import Night, Triage
from app.storage.nights.store import Nights
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.description.versions import NEWEST
from tests.doubles.github.server import GithubServer
from tests.doubles.github.state import Issue
from tests.stories.crashes import Crashes
from tests.stories.test_stories import WHOLE
from tests.stories.world import SHOWN, StoryWorld
from tests.support.github.app import app_of, git
from tests.support.long import few

SCHEDULE = """\
schedule:
  at: "02:00"
  timezone: Europe/Berlin
  most: {most}
  then: {then}
  report: {report}
  issues:
    older_than_days: 0
    without_labels: [wontfix]
"""
TRACE = """\
```
Traceback (most recent call last):
  File "/srv/shop/cart.py", line 4, in total
    t += x
TypeError: unsupported operand type(s) for +=: 'int' and 'str'
```
"""
NAMES = SHOWN.model_copy(
    update={
        "command": 'python3 -c \'from shop.names import full; assert full("a") == "A", "low"\'',
        "expected_failure": "low",
        "observed": "AssertionError: low",
    }
)
FILLER = "and a few words more about what was done there, which are of no use to anybody at all"


class NightWorld:
    """A repository with a backlog, and a model that writes what each issue shows."""

    def __init__(self, world: StoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.moment = datetime(2027, 1, 4, 12, tzinfo=UTC)
        """After all that the stand-in's clock and git's say."""
        self.written: list[str] = []
        monkeypatch.setattr(look, "write_reproduction", self._write)
        monkeypatch.setattr(  # the other stories' repositories have nights of their own
            nightly,
            "covered_repositories",
            lambda app: [r for r in covered_repositories(app) if r.full_name == world.repo],
        )

    async def _write(
        self, task: Task, _model: object, _open: object, *, journal: Journal
    ) -> ReproductionDeclared | NothingWritten:
        """What a model would write."""
        self.written.append(f"{task.issue.title} at {task.base_commit[:12]}")
        tip = git(self.world.bare, "rev-parse", "main")
        shown = None
        if "Total" in task.issue.title:
            shown = SHOWN
        if "Names" in task.issue.title and task.base_commit != tip:
            shown = NAMES
        started = AttemptStarted(
            model="m",
            prompt_version="1",
            base_commit=task.base_commit,
            system_prompt="",
            task_prompt="",
            test_command="pytest -q",
        )
        journal.append(started, *([shown] if shown else []))
        return shown or NothingWritten()

    @property
    def nights(self) -> Nights:
        return Nights(self.world.store.database)

    def configure(self, *, then: str = "diagnose", report: str = "issue", most: int = 5) -> None:
        text = SCHEDULE.format(then=then, report=report, most=most)
        self.commit({".github/patchwright.yml": text, "shop/__init__.py": ""})

    def commit(self, files: dict[str, str], when: datetime | None = None) -> str:
        """A commit on the default branch, and a push."""
        clone = Path(tempfile.mkdtemp(dir=self.world.folder))
        remote = self.world.person("ann").git_remote(self.world.repo)
        git(self.world.folder, "clone", "-q", remote, str(clone))
        for name, text in files.items():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_text(text)
        git(clone, "add", "-A")
        at = (when or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
        git(clone, "commit", "-qm", f"Change {', '.join(files)}", f"--date={at}")
        if when:  # the committer's date, which is what counts
            script = f"GIT_COMMITTER_DATE={at} git -c user.name=D -c user.email=d@x.com"
            git(clone, "-c", f"alias.again=!{script} commit -q --amend --no-edit", "again")
        git(clone, "push", "-q", "origin", "HEAD")
        return git(clone, "rev-parse", "HEAD")

    def open(self, title: str, body: str = "") -> int:
        world = self.world
        return world.person(world.reporter, "read").open_issue(world.repo, title, body)

    async def night(self) -> Night:
        """The next night, to its end: all work that there is."""
        await self.begin()
        for _ in range(3):
            await self.world.work()
            begin_due_nights(self.world.services(), self.moment)
        return self.nights.newest(limit=1)[0]

    async def begin(self) -> int:
        services = self.world.services()
        await look_for_schedules(services, app_of(self.world.server, NEWEST))
        self.moment += timedelta(days=1)
        return begin_due_nights(services, self.moment)

    def found(self) -> dict[int, Triage]:
        """What the last night found."""
        night = self.nights.newest(limit=1)[0]
        return {each.issue_number: each for each in self.nights.triages_of(night.id)}

    def reports(self) -> list[Issue]:
        marker = "<!-- patchwright:nightly"
        return [each for each in self.world.issues() if (each.body or "").startswith(marker)]


async def a_backlog(there: NightWorld) -> None:
    """Reproduced, a duplicate, something missing, fixed already: each said where it belongs."""
    world = there.world
    there.configure()
    old = there.commit({"shop/names.py": "def full(name):\n    return name\n"})
    total = there.open("Total is wrong", f"`total([])` returns 1, it should be 0. {FILLER}")
    vague = there.open("It is broken")
    traced = there.open("Crash in the cart", TRACE)
    again = there.open("The cart crashes", f"Since today.\n\n{TRACE}")
    names = there.open("Names are not upper", f"`full('a')` should return 'A'. {FILLER}")
    wontfix = there.open("Total is wrong, too", "`total([])`")
    world.person("max").label(world.repo, wontfix, "wontfix")
    locked = there.open("Total is wrong once more", "`total([])`")
    world.root("PUT", f"/issues/{locked}/lock", {})
    later = datetime.now(UTC) + timedelta(minutes=1)
    fix = there.commit({"shop/names.py": "def full(name):\n    return name.upper()\n"}, later)
    there.commit({"notes.txt": "more\n"}, later + timedelta(minutes=1))
    night = await there.night()
    assert night.state == "reported", night.reason
    found = there.found()
    assert {number: each.finding for number, each in found.items()} == {
        total: "reproduced",
        vague: "needs_info",
        traced: "not_reproduced",
        again: "duplicate",
        names: "fixed",
    }
    assert found[again].duplicate_of == traced
    assert found[names].commit_id == fix
    assert {each.why: each.numbers for each in night.passed_over} == {
        "with a label that is left out": (wontfix,),
        "locked": (locked,),
    }
    # What is said on the issues.
    [said] = world.said(total)
    assert "could reproduce this on the default branch" in said
    assert "from shop.cart import total" in said
    [said] = world.said(names)
    assert f"since `{fix[:12]}`" in said
    [asked] = world.said(vague)
    assert "how to get there" in asked
    assert [world.said(number) for number in (traced, again, wontfix, locked)] == [[]] * 4
    assert not any("patchwright:status" in c.body for i in world.issues() for c in i.comments)
    assert old[:12] in found[names].words or "fails at" in found[names].words
    # The report, and another night: one issue, edited.
    [report] = there.reports()
    assert f"#{again}" in (report.body or "")
    assert "Needs information" in (report.body or "")
    written = list(there.written)
    night = await there.night()
    assert there.found() == {}
    assert there.written == written
    assert len(there.reports()) == 1
    unchanged = next(e for e in night.passed_over if e.why == "looked at before, unchanged since")
    assert set(unchanged.numbers) == {total, vague, traced, again, names}
    # The author says more: looked at again, and not asked again.
    world.person(world.reporter, "read").comment(world.repo, vague, "It is still broken.")
    await there.night()
    assert {number: each.finding for number, each in there.found().items()} == {vague: "needs_info"}
    assert len(world.said(vague)) == 1
    assert "asked for it before" in there.found()[vague].words


async def a_proven_fix(there: NightWorld) -> None:
    """With `then: fix` a proven fix becomes a pull request; nothing else is said on the issue."""
    world = there.world
    there.configure(then="fix", report="issue_each_night")
    number = there.open("Total is wrong", f"`total([])` returns 1, it should be 0. {FILLER}")
    night = await there.night()
    assert night.state == "reported"
    assert there.found()[number].finding == "proven"
    assert world.said(number) == []
    assert "found and proved a fix" in world.status(number)
    assert world.pull()["draft"] is False
    assert world.run().outcome == "proven"
    [report] = there.reports()
    assert world.pull()["html_url"] in (report.body or "")
    await there.night()
    assert len(there.reports()) == 1
    assert world.runs() == 1


async def no_proof_no_word(there: NightWorld) -> None:
    """With `then: report` nothing is written on issues, whatever is found; a page has it."""
    world = there.world
    there.configure(then="report", report="page")
    total = there.open("Total is wrong", f"`total([])` returns 1, it should be 0. {FILLER}")
    there.open("It is broken")
    night = await there.night()
    assert sorted(each.finding for each in there.found().values()) == ["needs_info", "reproduced"]
    assert night.report_issue == 0
    assert world.crashes.acts == []  # no outward act at all
    assert all(not (i.comments or i.reactions) for i in world.issues())
    assert len(world.issues()) == 2
    assert total in there.found()


async def an_unproven_fix(there: NightWorld) -> None:
    """No fix is proven: the reproduction is all that is said."""
    world = there.world
    world.finds = False
    there.configure(then="fix", report="page")
    number = there.open("Total is wrong", f"`total([])` returns 1, it should be 0. {FILLER}")
    await there.night()
    assert there.found()[number].finding == "reproduced"
    [said] = world.said(number)
    assert "could reproduce this" in said
    assert world.github.pulls(world.repo) == []


STORIES: dict[str, Callable[[NightWorld], Awaitable[None]]] = {
    "a-backlog": a_backlog,
    "a-proven-fix": a_proven_fix,
    "no-proof-no-word": no_proof_no_word,
    "an-unproven-fix": an_unproven_fix,
}
REPRESENTATIVE = {"a-backlog": 2, "a-proven-fix": 2, "no-proof-no-word": 0, "an-unproven-fix": 1}
"""Stories that are told with the tests, all but the first with the long ones, and the act that a
crash follows."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(STORIES) if WHOLE else few(REPRESENTATIVE, 1))
async def test_a_night_ends_the_same_whatever_dies(
    name: str,
    server: GithubServer,
    github: GithubWorld,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def told(at: int) -> StoryWorld:
        folder = tmp_path / str(at)
        folder.mkdir()
        world = StoryWorld(
            server, github, folder, f"{name}-{at}/shop", Crashes(at), own_config=True
        )
        world.give_results(monkeypatch)
        try:
            await STORIES[name](NightWorld(world, monkeypatch))
        except AssertionError as error:
            error.add_note(f"with a crash after act {at} of {world.crashes.acts}")
            raise
        return world

    if not WHOLE:
        await told(REPRESENTATIVE[name])
        return
    plain = await told(0)
    for at in range(1, len(plain.crashes.acts) + 1):
        await told(at)
