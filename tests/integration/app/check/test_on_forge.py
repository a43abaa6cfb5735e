"""A check of a repository on GitHub, in the service's own sandboxes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from app.check.service import check_on_forge
from app.git.mirror import Mirror
from app.github.client import GithubForge
from app.repo_config.effective import effective_config
from app.repo_config.schema import RepoConfig
from app.runs.services import Services
from app.sandboxes.docker import DockerSandboxes
from app.settings.schema import Settings
from app.storage.store import SqlStore
from sandbox.docker.engine import DockerEngine
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.support.github.app import app_of, installation_of

TESTS = "def test_good(): pass\ndef test_bad(): assert 1 == 2\n"


@pytest.mark.docker
@pytest.mark.parametrize(
    ("config", "ready"),
    [(RepoConfig(), True), (RepoConfig(setup=("echo no way; exit 7",)), False)],
)
async def test_the_default_branch_is_checked_where_runs_are(
    github_server: GithubServer,
    github_world: GithubWorld,
    tmp_path: Path,
    config: RepoConfig,
    ready: bool,
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "pytest.ini").write_text("[pytest]\naddopts = -q\n")
    (files / "test_shop.py").write_text(TESTS)
    repo = github_world.create_repo(f"checked-{ready}/shop".lower(), folder=files, private=True)
    settings = Settings(state_dir=tmp_path / "state", setup_network=False)
    engine, app = DockerEngine(settings.docker_url), app_of(github_server)
    sandboxes, store = DockerSandboxes(settings, engine), SqlStore(settings.database)
    services = Services(
        settings=settings,
        store=store,
        forge=partial(GithubForge, app),
        mirror=lambda url, repository_id=0: Mirror.of_remote(
            settings.state_dir / "mirrors", url, repository_id=repository_id
        ),
        sandboxes=sandboxes,
        make_model=lambda *_: None,  # type: ignore[arg-type]
        prepare=sandboxes.prepare,
    )
    forge = services.forge(installation_of(github_server, repo), repo, 0)
    try:
        found = await check_on_forge(services, forge, effective_config(settings, config), "check0")
    finally:
        await forge.close()
        await sandboxes.close()
        await engine.sweep((), installation=settings.installation)
        await engine.close()
        store.close()
    assert (found.repository, found.ready) == (repo, ready)
    if ready:
        assert (found.tests, found.runs) == ({"passed": 1, "failed": 1}, 3)
        assert found.failing == ("test_shop.py::test_bad",)
    else:
        assert "exit 7" in found.degraded
    assert list((settings.state_dir / "trees").iterdir()) == []
