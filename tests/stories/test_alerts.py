"""Alerts over HTTP: one issue each, one run, and the source told once, whatever dies.

A few stories with a crash in their middle are told with the tests; `make check-stories` tells all
of them, with a crash after every outward act.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.journal.events import now
from app.alerts import locate as locate_module
from app.alerts import source_api
from app.intake import alerts as intake
from app.intake.alerts import accept_alerts
from app.storage import alerts as storage
from app.storage.alerts import Alerts, KeptAlert
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.doubles.github.state import Issue
from tests.doubles.sentry import TOKEN, SentryApi, sentry_api
from tests.stories.crashes import Crashes
from tests.stories.test_stories import WHOLE
from tests.stories.world import StoryWorld
from tests.support.alerts import payloads as p
from tests.support.github.app import git

SECRET = "s3cret-of-the-source"
ACTS = {"resolve_in_next_release": source_api.resolve_in_next_release}
"""What is done at the source, which counts as an outward act."""


class AlertWorld:
    """A repository with a release, and a Sentry that watches the program."""

    def __init__(
        self, world: StoryWorld, sentry: SentryApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.world, self.sentry = world, sentry
        self.ahead = timedelta()
        monkeypatch.setattr(storage, "now", lambda: now() + self.ahead)
        for method in ACTS:
            self._watch(method, monkeypatch)
        git(world.bare, "tag", "v1.4.2", "main")

    def _watch(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Telling the source is an outward act, after which a worker may die."""
        act = ACTS[method]

        async def watched(*arguments: Any) -> Any:
            done = await act(*arguments)
            self.world.crashes.did(method)
            return done

        monkeypatch.setattr(source_api, method, watched)

    @property
    def alerts(self) -> Alerts:
        return Alerts(self.world.store.database)

    def comes(self, payload: Any, resource: str = "event_alert") -> str:
        """A delivery; what became of it."""
        body = json.dumps(payload).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"sentry-hook-resource": resource, "sentry-hook-signature": signature}
        settings = self.world.settings
        return accept_alerts(settings, self.alerts, "sentry", headers, body).result

    def event(self, issue: str = "16", *, release: str = "1.4.2", nth: int = 1) -> str:
        """An error in the shop."""
        found = p.sentry_event(issue, p.PYTHON_FRAMES, release=release)
        found["event_id"] = f"{nth:032x}"
        return self.comes(p.event_alert(found))

    def later(self, **time: float) -> None:
        self.ahead += timedelta(**time)
        self.alerts.queue_due()

    def kept(self) -> KeptAlert:
        [found] = self.alerts.newest(limit=10)
        return found

    def issues(self) -> list[Issue]:
        """The App's issues."""
        marker = "<!-- patchwright:alert"
        return [each for each in self.world.issues() if (each.body or "").startswith(marker)]


def alerts_file(folder: Path, repo: str, sentry: SentryApi) -> Path:
    for name, text in (("secret", SECRET), ("token", TOKEN)):
        (folder / name).write_text(text)
    file = folder / "alerts.toml"
    file.write_text(
        f"""\
[[source]]
name = "sentry"
kind = "sentry"
secret_file = "{folder}/secret"
api_url = "{sentry.url}"
api_token_file = "{folder}/token"

[[route]]
repository = "{repo}"
match = {{ project = "shop-api" }}
paths = {{ "/app/shop" = "shop" }}
"""
    )
    return file


def configure(world: StoryWorld, text: str) -> None:
    world.commit_on("main", ".github-patchwright", "x\n")
    clone = world.folder / "configured"
    git(world.folder, "clone", "-q", world.person("ann").git_remote(world.repo), str(clone))
    (clone / ".github").mkdir()
    (clone / ".github" / "patchwright.yml").write_text(text)
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Configure")
    git(clone, "push", "-q", "origin", "main")


RUNS = "triggers:\n  alert: true\n"


async def told_and_fixed(there: AlertWorld) -> None:
    """An alert opens an issue and starts a run; recurrences edit it; the fix is told back."""
    world = there.world
    configure(world, RUNS)
    there.sentry.put("16")
    there.event()
    there.event(nth=1)
    await world.work()
    [issue] = there.issues()
    assert "`shop/cart.py` line 4 in `total`" in (issue.body or "")
    assert "1 times" in (issue.body or "")
    assert (world.runs(), world.run().trigger.by) == (1, "alert")
    assert world.run().issue_number == issue.number
    for nth in range(2, 30):
        there.event(nth=nth)
    await world.work()
    there.later(minutes=20)
    await world.work()
    [issue] = there.issues()
    assert "29 times" in (issue.body or "")
    assert world.runs() == 1
    world.person("max").merge(world.repo, world.pull()["number"])
    await world.work()
    assert there.sentry.changes == [
        ("16", {"status": "resolved", "statusDetails": {"inNextRelease": True}})
    ]
    assert there.kept().state == "fixed"
    assert "resolved" in there.kept().reason
    # Not deployed yet: nothing is opened again.
    there.event(nth=40)
    there.later(minutes=20)
    await world.work()
    assert (len(there.issues()), world.runs()) == (1, 1)
    assert there.kept().state == "fixed"
    # The next release has it again, and its source did not notice.
    world.root("PATCH", f"/issues/{issue.number}", {"state": "closed"})
    there.event(nth=41, release="1.4.3")
    await world.work()
    [issue] = there.issues()
    assert (issue.state, world.runs()) == ("open", 2)


async def comes_back(there: AlertWorld) -> None:
    """The source says that it is there again: the same issue, opened again, and another run."""
    world = there.world
    configure(world, RUNS)
    there.sentry.put(
        "16", p.api_event("1.4.2", [p.api_frame("shop/cart.py", 4, "total", "t += x")])
    )
    there.comes(p.issue("created", "16"), "issue")
    await world.work()
    world.person("max").merge(world.repo, world.pull()["number"])
    await world.work()
    [issue] = there.issues()
    world.root("PATCH", f"/issues/{issue.number}", {"state": "closed"})
    await world.work()
    there.comes(p.issue("unresolved", "16"), "issue")
    await world.work()
    [issue] = there.issues()
    assert issue.state == "open"
    assert world.runs() == 2
    assert len(there.sentry.changes) == 1


async def without_a_trace(there: AlertWorld) -> None:
    """A delivery without a stack trace: the source's API has it; no run, as nobody wants one."""
    world = there.world
    there.sentry.put(
        "16", p.api_event("1.4.2", [p.api_frame("shop/cart.py", 4, "total", "t += x")])
    )
    there.comes(p.issue("created", "16"), "issue")
    await world.work()
    [issue] = there.issues()
    for said in ("`shop/cart.py` line 4 in `total`", "which is `v1.4.2`", "17 times"):
        assert said in (issue.body or "")
    assert world.runs() == 0
    there.comes(p.issue("resolved", "16"), "issue")
    await world.work()
    [issue] = there.issues()
    assert "Over, says" in (issue.body or "")
    assert issue.state == "open"


async def the_source_is_away(there: AlertWorld) -> None:
    """Its API is away or refuses: the issue is opened all the same, without what it would say."""
    world = there.world
    there.sentry.answers = [503]
    there.comes(p.issue("created", "16"), "issue")
    await world.work()
    [issue] = there.issues()
    assert "`shop/cart.py`" in (issue.body or "")
    assert there.kept().state == "open"


Tell = Callable[[AlertWorld], Awaitable[None]]
STORIES: dict[str, Tell] = {
    tell.__name__: tell
    for tell in (told_and_fixed, comes_back, without_a_trace, the_source_is_away)
}
REPRESENTATIVE = {
    "told_and_fixed": 1,
    "comes_back": 0,
    "without_a_trace": 1,
    "the_source_is_away": 0,
}


@pytest.fixture
def sentry() -> Iterator[SentryApi]:
    with sentry_api() as made:
        yield made
        assert made.violations == []


@pytest.fixture
def make(
    server: GithubServer, github: GithubWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AlertWorld]:
    def made(name: str, sentry: SentryApi, at: int = 0, **options: Any) -> AlertWorld:
        folder = tmp_path / str(at)
        folder.mkdir()
        repo = f"alert-{name}-{at}/shop"
        file = alerts_file(folder, repo, sentry)
        world = StoryWorld(
            server,
            github,
            folder,
            repo,
            Crashes(at),
            options={"alerts_file": file, **options},
            own_config=True,
        )
        world.give_results(monkeypatch)
        return AlertWorld(world, sentry, monkeypatch)

    return made


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(STORIES) if WHOLE else list(REPRESENTATIVE))
async def test_one_issue_one_run_and_told_once_whatever_dies(
    name: str, make: Callable[..., AlertWorld]
) -> None:
    async def told(at: int) -> AlertWorld:
        with sentry_api() as sentry:
            there = make(name.replace("_", "-"), sentry, at)
            try:
                await STORIES[name](there)
            except AssertionError as error:
                error.add_note(f"with a crash after act {at} of {there.world.crashes.acts}")
                raise
            assert sentry.violations == []
            return there

    if not WHOLE:
        await told(REPRESENTATIVE[name])
        return
    plain = await told(0)
    for at in range(1, len(plain.world.crashes.acts) + 1):
        await told(at)


async def test_a_crash_after_the_source_was_told(
    make: Callable[..., AlertWorld], sentry: SentryApi
) -> None:
    there = make("told", sentry)
    world = there.world
    configure(world, RUNS)
    sentry.put("16")
    there.event()
    await world.work()
    world.person("max").merge(world.repo, world.pull()["number"])
    world.crashes.at = len(world.crashes.acts) + 1
    while "resolve_in_next_release" not in world.crashes.acts:
        world.crashes.at = len(world.crashes.acts) + 1
        await world.lap()
    world.crashes.at = 0
    assert there.kept().state == "open"
    await world.work()
    assert len(sentry.changes) == 1
    assert there.kept().state == "fixed"
    assert "already" in there.kept().reason


async def test_an_app_that_is_not_installed_and_settings_that_say_no(
    make: Callable[..., AlertWorld], sentry: SentryApi
) -> None:
    there = make("off", sentry)
    world = there.world
    configure(world, "enabled: false\n")
    there.event()
    await world.work()
    assert there.issues() == []
    assert there.kept().state == "refused"
    assert "turn the App off" in there.kept().reason
    world.github.admin("uninstall", account=world.owner())
    there.later(days=1)
    there.event(nth=2)
    await world.work()
    assert "no longer installed" in there.kept().reason


async def test_an_issue_that_was_opened_and_closed_while_the_worker_was_dead(
    make: Callable[..., AlertWorld], sentry: SentryApi
) -> None:
    there = make("dead", sentry, at=1)
    there.event()
    while not there.world.crashes.acts:
        await there.world.lap()
    [issue] = there.issues()
    there.world.root("PATCH", f"/issues/{issue.number}", {"state": "closed"})
    await there.world.work()
    assert len(there.issues()) == 1
    assert there.kept().issue_number == issue.number


async def test_an_alert_that_comes_back_while_its_issue_is_being_written(
    make: Callable[..., AlertWorld], sentry: SentryApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = make("meanwhile", sentry)
    world = there.world
    sentry.put("16")
    there.event()
    await world.work()
    [issue] = there.issues()
    world.root("PATCH", f"/issues/{issue.number}", {"state": "closed"})
    located = locate_module.locate
    regressions = [p.issue("unresolved", "16")]

    def slow(*arguments: Any) -> Any:
        while regressions:
            there.comes(regressions.pop(), "issue")
        return located(*arguments)

    monkeypatch.setattr(intake, "locate", slow)
    there.event(nth=2)
    there.later(minutes=20)
    await world.work()
    assert not regressions
    [issue] = there.issues()
    assert issue.state == "open"


async def test_a_storm_opens_so_many_issues_and_edits(
    make: Callable[..., AlertWorld], sentry: SentryApi
) -> None:
    there = make("storm", sentry, alert_issues_per_day=2)
    for nth in range(60):
        there.event(str(nth % 6), nth=nth)
    await there.world.work()
    assert len(there.issues()) == 2
    acts = [a.kind for a in there.world.server.world_state.acts if there.world.owner() in a.path]
    assert acts.count("issues/create") == 2
    assert acts.count("issues/update") == 0
    there.later(minutes=20)
    await there.world.work()
    assert all("10 times" in (each.body or "") for each in there.issues())
