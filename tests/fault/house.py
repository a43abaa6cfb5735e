"""The whole of it on this machine: a stand-in GitHub, a stand-in model, Patchwright's processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx
from docker.models.containers import Container

from app.cli.demo import free_port
from app.settings.schema import Settings
from app.storage.store import SqlStore
from sandbox.spec import INSTALLATION_LABEL
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.fixtures import require_description
from tests.doubles.github.server import GithubServer
from tests.doubles.github.state import Urls
from tests.doubles.seeded_policy import FILES, TITLE
from tests.fault.database import Database, database
from tests.fault.link import Link
from tests.fault.parts import ROOT, Part
from tests.support.github.app import api_version
from tests.support.postgresql import programs

LABEL = "patchwright"
OWNERS = ("acme", "umbrella")
REPOSITORIES = ("acme/one", "acme/two", "acme/three", "acme/four")
_UP_S = 120.0


@dataclass(frozen=True, slots=True)
class Issue:
    """Where a bug was reported."""

    repository: int
    """GitHub's id, which stays when the repository is renamed or transferred."""
    number: int


@dataclass(frozen=True, slots=True)
class House:
    """All parts, and the people at GitHub."""

    world: GithubWorld
    github: Link
    model: Link
    database: Database | None
    """None: SQLite."""
    parts: tuple[Part, ...]
    """The first takes deliveries."""
    settings: Settings
    """Those of the first part."""
    installations: tuple[str, ...]
    """How the parts' sandboxes are labelled."""
    names: dict[int, str]
    """The repositories by id, as they are called now."""

    def part(self, name: str) -> Part:
        """The part of that name."""
        return next(part for part in self.parts if part.name == name)

    def tend(self) -> None:
        """Start what is to be started."""
        for part in self.parts:
            part.tend()

    def wait_until_up(self) -> SqlStore:
        """Start all; gives the store, once the service takes deliveries and made its tables."""
        end = time.monotonic() + _UP_S
        while True:
            self.tend()
            try:
                if httpx.get(f"{self.settings.base_url}/readyz", trust_env=False).is_success:
                    return SqlStore(self.settings.database)
            except httpx.TransportError:
                pass
            assert time.monotonic() < end, self.parts[0].log.read_text()[-3000:]
            time.sleep(0.2)

    def report_bug(self, number: int) -> Issue:
        """Somebody opens an issue and labels it; `number` says in which repository."""
        repository = list(self.names)[number % len(self.names)]
        name = self.names[repository]
        ann = self.world.collaborator(name, "ann", "triage")
        issue = ann.open_issue(name, TITLE, "See the title.")
        ann.label(name, issue, LABEL)
        return Issue(repository, issue)

    def rename(self, number: int) -> None:
        """A repository gets another name; `number` says which, and is in the name."""
        repository = list(self.names)[number % len(self.names)]
        owner, name = self.names[repository].split("/")
        new = f"{name.partition('-')[0]}-{number}"
        self.world.admin("rename-repo", repo=self.names[repository], name=new)
        self.names[repository] = f"{owner}/{new}"

    def transfer(self, number: int) -> None:
        """A repository goes to the other account that has the App; `number` says which."""
        repository = list(self.names)[number % len(self.names)]
        owner, name = self.names[repository].split("/")
        new = OWNERS[1 - OWNERS.index(owner)]
        self.world.admin("transfer-repo", repo=self.names[repository], owner=new)
        self.names[repository] = f"{new}/{name}"

    def publish_again(self, issue: Issue) -> None:
        """Somebody who may says that what was in the way is gone."""
        name = self.names[issue.repository]
        max_ = self.world.collaborator(name, "max", "write")
        max_.comment(name, issue.number, "/patchwright publish")

    def refuse_pushes(self) -> None:
        """A rule takes commits that name a ticket only, in every repository."""
        self._rules([{"kind": "commit_message", "pattern": "^JIRA-"}])

    def take_pushes(self) -> None:
        """No rule holds any more."""
        self._rules([])

    def _rules(self, rules: list[dict[str, str]]) -> None:
        for name in self.names.values():
            self.world.admin("change-repo", repo=name, rules=rules)

    def stale_lists(self, seconds: float) -> None:
        """GitHub's lists leave out what was made in so many seconds before."""
        self.world.admin("stale", seconds=seconds)

    def stop(self) -> dict[str, int]:
        """Stop all in good order; gives the exit codes."""
        return {part.name: part.stop() for part in reversed(self.parts)}


@contextmanager
def house(
    folder: Path,
    *,
    workers: Sequence[str],
    steps: int,
    seed: int,
    time_scale: float,
    docker_url: str = "",
    **more: str,
) -> Iterator[House]:
    """All of it, with Patchwright's own processes not started yet.

    Without `workers` it is one process on SQLite, else a service and these on PostgreSQL. `more`
    are settings, without their prefix.
    """
    require_description()
    with ExitStack() as stack:
        server = stack.enter_context(GithubServer())
        direct, api = server.admin_url, server.url
        github = stack.enter_context(Link(_port(direct)))
        world = stack.enter_context(GithubWorld(direct))
        world.app = {**world.app, "api_url": api}
        # Every address that the App is told goes over the link; people go past it.
        prefix = server.world_state.urls.api_prefix
        server.world_state.urls = Urls(f"http://127.0.0.1:{github.port}", prefix)
        model = stack.enter_context(Link(stack.enter_context(_model(steps, seed, time_scale))))
        served = stack.enter_context(_database()) if workers else None
        port = free_port()
        more = {"docker_url": docker_url, **more}
        common = _environment(folder, server, model, port, more)
        parts = tuple(
            _part(name, folder, common, served.url if served else "")
            for name in ("service", *workers)
        )
        tree = folder / "tree"
        for path, text in FILES.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
        names = {
            world.admin("create-repo", repo=name, folder=str(tree), private=True)["id"]: name
            for name in REPOSITORIES
        }
        world.admin("install", account=OWNERS[1])
        url = f"http://127.0.0.1:{port}"
        world.send_webhooks_to(f"{url}/webhooks/github")
        settings = Settings(
            state_dir=folder / "service", port=port, database_url=served.url if served else ""
        )
        installations = tuple(Settings(state_dir=folder / part.name).installation for part in parts)
        made = House(world, github, model, served, parts, settings, installations, names)
        try:
            yield made
        finally:
            for part in parts:
                part.kill(0)
            # Of processes that were killed; an engine of its own may be down, or gone.
            with contextlib.suppress(docker.errors.DockerException):
                for container in sandboxes(docker_url, installations):
                    container.remove(force=True, v=True)
        violations = world.violations
        assert violations == [], violations


def sandboxes(docker_url: str, installations: Sequence[str]) -> list[Container]:
    """The containers of these Patchwrights."""
    client = docker.DockerClient(base_url=docker_url) if docker_url else docker.from_env()
    try:
        return [
            container
            for installation in installations
            for container in client.containers.list(
                all=True,
                filters={"label": f"{INSTALLATION_LABEL}={installation}"},
                ignore_removed=True,
            )
        ]
    finally:
        client.close()


def _part(name: str, folder: Path, common: dict[str, str], database_url: str) -> Part:
    mine = {**common, "PATCHWRIGHT_STATE_DIR": str(folder / name)}
    words: Sequence[str] = ("serve",)
    if database_url:
        words = ("serve", "--no-worker") if name == "service" else ("worker",)
        mine["PATCHWRIGHT_DATABASE_URL"] = database_url
        mine["PATCHWRIGHT_EXECUTOR_ID"] = name
    return Part(name, tuple(words), mine, folder / f"{name}.log")


def _environment(
    folder: Path, github: GithubServer, model: Link, port: int, more: Mapping[str, str]
) -> dict[str, str]:
    key, secret = folder / "app.pem", folder / "webhook-secret"
    key.write_text(github.private_key_pem)
    secret.write_text(github.webhook_secret)
    usual = {k: v for k, v in os.environ.items() if not k.startswith("PATCHWRIGHT_")}
    settings = {
        "PORT": str(port),
        "GITHUB_API_URL": github.url,
        "GITHUB_API_VERSION": api_version(),
        "GITHUB_WEB_URL": github.git_url,
        "GITHUB_APP_ID": str(github.app_id),
        "ONBOARDING": "false",
        "GITHUB_PRIVATE_KEY_FILE": str(key),
        "GITHUB_WEBHOOK_SECRET_FILE": str(secret),
        "MODEL": "k2-thinking",
        "MODEL_URL": f"http://127.0.0.1:{model.port}/v1",
        "CONCURRENCY": "4",
        "WORKER_CONCURRENCY": "3",
        "WORKER_BEAT_S": "1",
        "WORKER_DEAD_AFTER_S": "8",
        **{name.upper(): value for name, value in more.items()},
    }
    return usual | {f"PATCHWRIGHT_{name}": value for name, value in settings.items()}


@contextmanager
def _model(steps: int, seed: int, time_scale: float) -> Iterator[int]:
    port = free_port()
    words = ["--port", str(port), "--seeded", f"{seed}:{steps}", "--time-scale", str(time_scale)]
    process = subprocess.Popen([sys.executable, "-m", "tests.doubles.sglang", *words], cwd=ROOT)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def _database() -> Iterator[Database]:
    found = programs()
    assert found is not None, "PostgreSQL is not installed"
    with database(found) as server:
        yield server


def _port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])
