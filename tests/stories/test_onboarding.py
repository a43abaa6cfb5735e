"""Onboarding over HTTP: one pull request per repository, and nothing before it is merged.

A few stories with a crash in their middle are told with the tests; `make check-stories` tells all
of them, with a crash after every outward act.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.check.report import CheckReport
from app.intake import checks
from app.repo_config.parser import read_repo_config
from app.storage.onboarding import Onboarding, Onboardings
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.stories.crashes import Crashes
from tests.stories.test_stories import WHOLE
from tests.stories.world import StoryWorld
from tests.support.github.app import git
from tests.support.postgresql import fresh_database

BRANCH = "patchwright/configure"


@dataclass
class Installed:
    """An account that installed the App on its repositories, and what the App does there."""

    world: StoryWorld
    names: list[str]
    checked: list[str] = field(default_factory=list)

    def proposal(self, name: str) -> Onboarding | None:
        """What the App knows of a repository's proposal."""
        repo = self.world.server.world_state.repo(name)
        assert repo is not None
        known = Onboardings(self.world.store.database, self.world.settings.onboarding_at_once)
        return known.get(repo.id)

    def states(self) -> Counter[str]:
        """How many proposals are in which state."""
        found = [self.proposal(name) for name in self.names]
        return Counter(each.state for each in found if each is not None)

    def pulls(self, name: str) -> list[dict[str, object]]:
        """All pull requests of a repository, whatever their state."""
        return list(self.world.github.pulls(name))

    def merge(self, name: str) -> None:
        """A maintainer merges the proposal."""
        found = self.proposal(name)
        assert found is not None
        self.world.person("max", "write", name).merge(name, found.pull_number)

    def close(self, name: str) -> None:
        """A maintainer closes it."""
        found = self.proposal(name)
        assert found is not None
        self.world.person("max", "write", name).close(name, found.pull_number)

    def labelled(self, name: str) -> int:
        """An issue with the label."""
        issue = self.world.person("rita", "read", name).open_issue(name, "Total is wrong", "")
        self.world.person("tom", "triage", name).label(name, issue, "patchwright")
        return issue

    def app_wrote(self, name: str) -> list[str]:
        """The App's acts in a repository, under all of its names."""
        acts = self.world.server.world_state.acts
        return [act.kind for act in acts if act.by_app and name.split("/")[0] in act.path]


def ready(repository: str, commit: str) -> CheckReport:
    """A report that a check could give; its texts are as hostile as they may be."""
    return CheckReport(
        repository=repository,
        commit=commit,
        ready=True,
        environment="pyproject.toml\n@root <b>",
        image="i",
        cached=False,
        setup_s=1.0,
        test_command='pytest -q "a: b" # x',
        suite_s=2.0,
        tests={"passed": 3},
        runs=3,
        flaky=("test_a[<b>@root #1]",),
        recipe="setup:\n  - 'pip install -e .'\n",
    )


def install(world: StoryWorld, more: int, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """The App is installed on the world's repository and so many more."""
    names = [world.repo, *(f"{world.owner()}/more-{n}" for n in range(more))]
    made = Installed(world, names)

    async def check_on_forge(_services: object, forge: object, *_: object, **__: object) -> object:
        name = str(forge.name)  # type: ignore[attr-defined]
        made.checked.append(name)
        return ready(name, git(bare(world, name), "rev-parse", "HEAD"))

    monkeypatch.setattr(checks, "check_on_forge", check_on_forge)
    world.github.admin("uninstall", account=world.owner())
    for name in names[1:]:
        files = world.folder / "files-more"
        files.mkdir(exist_ok=True)
        (files / "a.py").write_text("x = 1\n")
        world.github.admin("create-repo", repo=name, folder=str(files), install=False)
    world.github.admin("install", account=world.owner())
    return made


def bare(world: StoryWorld, name: str) -> Path:
    """A repository at GitHub, on disk."""
    found = world.server.world_state.repo(name)
    assert found is not None
    return found.git


def configure(world: StoryWorld) -> None:
    """A maintainer adds the file."""
    clone = world.folder / "configured"
    git(world.folder, "clone", "-q", world.person("ann").git_remote(world.repo), str(clone))
    (clone / ".github").mkdir()
    (clone / ".github" / "patchwright.yml").write_text("enabled: true\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Configure")
    git(clone, "push", "-q", "origin", "main")


Tell = Callable[[StoryWorld, pytest.MonkeyPatch], Awaitable[Installed]]


async def merged(world: StoryWorld, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Proposed, merged; before that a labelled issue starts nothing, after it one does."""
    made = install(world, 0, monkeypatch)
    await world.work()
    assert made.states() == {"proposed": 1}
    issue = made.labelled(world.repo)
    world.person("ann").comment(world.repo, issue, "/patchwright check")
    await world.work()
    assert world.runs() == 0
    assert world.said(issue) == []
    [pull] = made.pulls(world.repo)
    body = str(pull["body"])
    assert "**Ready.**" in body
    assert "<b>" not in body
    assert "@root" not in body
    text = git(world.bare, "show", f"{BRANCH}:.github/patchwright.yml")
    found = read_repo_config(text.encode())
    assert found.problems == ()
    assert (found.config.enabled, found.config.setup) == (True, ())
    assert found.config.test_command == 'pytest -q "a: b" # x'
    made.merge(world.repo)
    await world.work()
    made.labelled(world.repo)
    await world.work()
    assert world.runs() == 1
    return made


async def closed(world: StoryWorld, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Closed: left alone for good, also when the App is installed again under another name."""
    made = install(world, 0, monkeypatch)
    await world.work()
    made.close(world.repo)
    await world.work()
    world.rename("store")
    made.names = [world.repo]
    world.install_again()
    await world.work()
    before = made.app_wrote(world.repo)
    made.labelled(world.repo)
    await world.work()
    assert made.states() == {"closed": 1}
    assert made.app_wrote(world.repo) == before
    assert world.runs() == 0
    configure(world)  # they changed their mind
    made.labelled(world.repo)
    await world.work()
    assert made.states() == {"enabled": 1}
    assert world.runs() == 1
    return made


async def renamed_and_installed_again_at_work(
    world: StoryWorld, monkeypatch: pytest.MonkeyPatch
) -> Installed:
    """The repository has another name and the App another installation when its turn comes."""
    made = install(world, 0, monkeypatch)
    world.rename("store")
    made.names = [world.repo]
    world.install_again()
    await world.work()
    world.rename("shelf")
    made.names = [world.repo]
    made.merge(world.repo)
    await world.work()
    assert made.states() == {"enabled": 1}
    return made


async def with_settings_already(world: StoryWorld, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """A repository that has the file gets no pull request, and is worked for."""
    made = install(world, 0, monkeypatch)
    configure(world)
    made.labelled(world.repo)
    await world.work()
    assert made.states() == {"enabled": 1}
    assert world.runs() == 1
    return made


async def branch_of_theirs(world: StoryWorld, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Somebody has a branch with the name, and one that is the name's folder."""
    git(world.bare, "update-ref", "refs/heads/patchwright", "main")
    made = install(world, 0, monkeypatch)
    await world.work()
    assert made.states() == {"proposed": 1}
    assert [p["head"]["ref"] for p in made.pulls(world.repo)] == [  # type: ignore[index]
        "patchwright-configure"
    ]
    return made


STORIES: dict[str, Tell] = {
    tell.__name__: tell
    for tell in (
        merged,
        closed,
        renamed_and_installed_again_at_work,
        with_settings_already,
        branch_of_theirs,
    )
}
REPRESENTATIVE = {"merged": 2, "renamed_and_installed_again_at_work": 1}
SQLITE, POSTGRESQL = "sqlite", "postgresql"
TOLD = [
    *((name, SQLITE) for name in (STORIES if WHOLE else REPRESENTATIVE)),
    ("merged", POSTGRESQL),
]
"""Each with its database: PostgreSQL has more than one writer at a time, and a lock for it."""


@pytest.fixture
def database_of(request: pytest.FixtureRequest) -> Callable[[str], dict[str, str]]:
    """The settings of a new database of a kind."""

    def settings(kind: str) -> dict[str, str]:
        if kind == SQLITE:
            return {}
        return {"database_url": fresh_database(request.getfixturevalue("postgresql"))}

    return settings


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "database"), TOLD)
async def test_there_is_one_proposal_whatever_dies(
    name: str,
    database: str,
    database_of: Callable[[str], dict[str, str]],
    server: GithubServer,
    github: GithubWorld,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def told(at: int) -> StoryWorld:
        folder = tmp_path / str(at)
        folder.mkdir()
        repo = f"on-{name.replace('_', '-')[:20]}-{database}-{at}/shop"
        world = StoryWorld(
            server,
            github,
            folder,
            repo,
            Crashes(at),
            options={"onboarding": True, **database_of(database)},
            own_config=True,
        )
        world.give_results(monkeypatch)
        made = await STORIES[name](world, monkeypatch)
        from_configure = [
            pull
            for pull in made.pulls(world.repo)
            if "configure" in pull["head"]["ref"]  # type: ignore[index]
        ]
        assert len(from_configure) == (name != "with_settings_already")
        assert len(made.checked) <= 1
        return world

    if not WHOLE:
        await told(REPRESENTATIVE[name])
        return
    plain = await told(0)
    for at in range(1, len(plain.crashes.acts) + 1):
        await told(at)


@pytest.mark.timeout(600)
async def test_closed_while_the_worker_is_dead(
    server: GithubServer, github: GithubWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pull request was opened, nobody heard of it, and people closed it: it is the answer."""
    options = {"onboarding": True}
    world = StoryWorld(
        server, github, tmp_path, "on-dead/shop", Crashes(2), options=options, own_config=True
    )
    made = install(world, 0, monkeypatch)
    while len(world.crashes.acts) < 2:
        await world.lap()
    assert made.states() == {"working": 1}
    [pull] = made.pulls(world.repo)
    world.person("max").close(world.repo, int(str(pull["number"])))
    await world.work()
    assert made.states() == {"closed": 1}
    assert len(made.pulls(world.repo)) == 1


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("database", [SQLITE, POSTGRESQL])
async def test_thirty_repositories_wait_for_each_other(
    database: str,
    database_of: Callable[[str], dict[str, str]],
    server: GithubServer,
    github: GithubWorld,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count, at_once = (30, 20) if WHOLE else (6, 3)
    world = StoryWorld(
        server,
        github,
        tmp_path,
        f"on-thirty-{database}/shop",
        options={"onboarding": True, "onboarding_at_once": at_once, **database_of(database)},
        own_config=True,
    )
    made = install(world, count - 1, monkeypatch)
    archived, forked, empty = made.names[-3:]
    github.admin("change-repo", repo=archived, archived=True)
    github.admin("change-repo", repo=forked, fork=True)
    git(bare(world, empty), "update-ref", "-d", "refs/heads/main")
    await world.work()
    assert made.states() == {"proposed": at_once, "waiting": count - at_once}
    assert sum(len(made.pulls(name)) for name in made.names) == at_once
    made.merge(made.names[0])
    made.close(made.names[1])
    await world.work()
    room = min(at_once, count - 3 - 2)
    assert made.states()["proposed"] == room
    for name in made.names[2:-3]:
        found = made.proposal(name)
        if found is not None and found.state == "proposed":
            made.merge(name)
    await world.work()
    for name in made.names[2:-3]:
        found = made.proposal(name)
        if found is not None and found.state == "proposed":
            made.close(name)
    await world.work()
    assert made.states()["skipped"] == 3
    assert {made.proposal(name).reason for name in made.names[-3:]} == {  # type: ignore[union-attr]
        "it is archived",
        "it is a fork",
        "it is empty",
    }
    assert Counter(made.checked) == Counter(made.names[:-3])
    assert [len(made.pulls(name)) for name in made.names] == [1] * (count - 3) + [0] * 3
