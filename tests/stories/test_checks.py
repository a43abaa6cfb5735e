"""`/patchwright check` over HTTP: who may ask, what is answered, and that it is answered once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.check import service
from app.check.report import CheckReport
from app.github.forge import Forge
from app.intake import checks
from app.repo_config.effective import EffectiveConfig
from app.runs.services import Services
from app.storage.inbox import Inbox
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.stories.crashes import Crashes, WorkerDied
from tests.stories.test_stories import WHOLE
from tests.stories.world import StoryWorld

HOSTILE = """\
import pytest

def test_a(): pass

@pytest.mark.parametrize("x", ["<b>@root #1"])
def test_b(x): assert 0
"""


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the repositories that were measured."""
    names: list[str] = []
    real = service.measure

    async def measure(repository: str, *rest: object, **more: object) -> CheckReport:
        names.append(repository)
        return await real(repository, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(service, "measure", measure)
    return names


@pytest.mark.parametrize("at", range(4) if WHOLE else [3])
async def test_a_check_is_answered_once_whatever_dies(
    at: int, server: GithubServer, github: GithubWorld, tmp_path: Path, counted: list[str]
) -> None:
    world = StoryWorld(server, github, tmp_path, f"check-{at}/shop", Crashes(at))
    world.commit_on("main", "test_cart.py", HOSTILE)
    issue = world.person("rita", "read").open_issue(world.repo, "Is it ready?", "")
    world.person("rita", "read").comment(world.repo, issue, "/patchwright check")
    await world.work()
    assert world.said(issue) == []  # those who may not give commands are not heard
    world.person("ann").comment(world.repo, issue, "/patchwright check")
    await world.work()
    assert len(world.crashes.acts) >= max(3, at)
    [said] = world.said(issue)
    assert "<!-- patchwright:check-report to=" in said
    assert "| tests | 1 failed, 1 passed |" in said
    assert "Failing in every run: 1" in said
    assert "<b>" not in said
    assert "@root" not in said
    assert "#1" not in said
    assert counted == [world.repo]
    assert not world.services().inbox.open_checks()
    assert list((world.settings.state_dir / "trees").glob("*")) == []


@pytest.mark.parametrize("ends", ["killed", "stopped"])
async def test_a_check_that_kills_three_workers_ends(
    ends: str,
    server: GithubServer,
    github: GithubWorld,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = StoryWorld(server, github, tmp_path, f"check-deadly-{ends}/shop")
    tries: list[str] = []
    real = checks.check_on_forge

    async def check_on_forge(
        services: Services, forge: Forge, config: EffectiveConfig, check_id: str, **more: Any
    ) -> CheckReport:
        tries.append(check_id)
        if ends == "killed" or len(tries) < 6:
            raise WorkerDied
        return await real(services, forge, config, check_id, **more)

    monkeypatch.setattr(checks, "check_on_forge", check_on_forge)
    if ends == "killed":
        monkeypatch.setattr(Inbox, "hand_back", lambda *_: None)  # who is killed does nothing more
    issue = world.person("rita", "read").open_issue(world.repo, "Is it ready?", "")
    world.person("ann").comment(world.repo, issue, "/patchwright check")
    await world.work()
    [said] = world.said(issue)
    assert not world.services().inbox.open_checks()
    if ends == "stopped":  # by their operators: no death of the check's doing
        assert len(tries) == 6
        assert "**Not ready:** No tests were found." in said
        return
    assert len(tries) == 3
    assert "could not be checked: The worker died 3 times" in said
    world.person("ann").comment(world.repo, issue, "/patchwright check")
    await world.work()
    assert len(tries) == 6  # another check is counted by itself


async def test_one_check_of_a_repository_at_a_time(
    server: GithubServer, github: GithubWorld, tmp_path: Path, counted: list[str]
) -> None:
    world = StoryWorld(server, github, tmp_path, "check-twice/shop")
    issue = world.person("rita", "read").open_issue(world.repo, "Is it ready?", "")
    for _ in range(2):
        world.person("ann").comment(world.repo, issue, "/patchwright check")
    await world.work()
    first, second = sorted(world.said(issue), key=len)
    assert "being checked already" in first
    assert "**Not ready:** No tests were found." in second
    assert counted == [world.repo]
