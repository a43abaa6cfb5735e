"""A run with a kept verdict at the stand-in GitHub, ready to be published."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.journal.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Check,
    GateJudged,
    ReproductionDeclared,
    Submitted,
    Verdict,
)
from app.git.mirror import Mirror
from app.github.client import GithubForge
from app.publishing.publication import Publication, publication_of
from app.repo_config.effective import effective_config
from app.repo_config.schema import PullRequests, RepoConfig
from app.runs.active_run import ActiveRun
from app.runs.publication.again import publish_again
from app.runs.results import StepJson
from app.runs.services import Services
from app.settings.schema import Settings
from app.storage.records import Run
from app.storage.store import SqlStore
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.support.github.app import CART, PATCH, app_of, git, installation_of
from tests.support.runs.stored import trigger
from tests.support.runs.world import LocalSandboxes

TITLE = "Total is wrong"
BRANCH = "patchwright/issue-1-total-is-wrong"


@dataclass
class KeptProof:
    """One run, proven and not yet published, on a repository of its own."""

    server: GithubServer
    world: GithubWorld
    folder: Path
    repo: str
    patch: str = PATCH
    verdict: Verdict = "proven"
    pull_request: dict[str, Any] = field(default_factory=dict)
    """The repository's settings for pull requests."""
    settings_given: dict[str, Any] = field(default_factory=dict)
    """The operator's settings."""
    executable: bool = False
    """Whether the file to be patched is one."""
    public_url: str = "https://pw.example"
    store: SqlStore = field(init=False)
    run_id: str = field(init=False)

    def __post_init__(self) -> None:
        files = self.folder / "files"
        (files / "shop").mkdir(parents=True)
        (files / "shop" / "cart.py").write_text(CART)
        (files / "shop" / "cart.py").chmod(0o755 if self.executable else 0o644)
        self.world.create_repo(self.repo, folder=files, private=True)
        root = self.world.collaborator(self.repo, "root", "admin")
        label = {"name": "patchwright", "color": "5319e7", "description": "For Patchwright"}
        root.call("POST", f"/repos/{self.repo}/labels", label)
        ann = self.world.collaborator(self.repo, "ann")
        self.issue = ann.open_issue(self.repo, TITLE)
        self.settings = Settings(
            state_dir=self.folder / "state", public_url=self.public_url, **self.settings_given
        )
        self.store = SqlStore(self.settings.database)
        asked = trigger(self.issue, self.repo, TITLE).model_copy(
            update={"installation_id": installation_of(self.server, self.repo)}
        )
        self.run_id = self.store.accept("d1", "issues", asked, model="m").run_id
        self.store.append(self.run_id, self._journal())

    def _journal(self) -> list[AnyEvent]:
        return [
            AttemptStarted(
                model="m",
                prompt_version="1",
                base_commit=git(self.bare, "rev-parse", "main"),
                system_prompt="",
                task_prompt="",
                test_command="pytest -q",
            ),
            ReproductionDeclared(
                command="pytest -q", expected_failure="E", observed="E", accepted=True
            ),
            Submitted(root_cause="The sum starts at `1`.", summary="Start at 0.", patch=self.patch),
            GateJudged(
                verdict=self.verdict,
                patch=self.patch,
                checks=(Check(name="reproduction", ok=True, detail="fails before, passes after"),),
            ),
            AttemptEnded(outcome="proven" if self.verdict == "proven" else "draft"),
        ]

    @property
    def bare(self) -> Path:
        """The repository at GitHub, on disk."""
        found = self.server.world_state.repo(self.repo)
        assert found is not None
        return found.git

    def branch(self, name: str, start: str = "main") -> None:
        """Somebody's branch, with a commit of theirs."""
        commit = git(self.bare, "commit-tree", f"{start}^{{tree}}", "-p", start, "-m", "theirs")
        git(self.bare, "update-ref", f"refs/heads/{name}", commit)

    def change(self, **settings: Any) -> None:
        """The repository's owner changes its settings."""
        self.world.admin("change-repo", repo=self.repo, **settings)

    def services(self) -> Services:
        config = RepoConfig(pull_request=PullRequests(**self.pull_request))

        async def read_config(_forge: object) -> Any:
            return effective_config(self.settings, config)

        return Services(
            settings=self.settings,
            store=self.store,
            forge=lambda *place: GithubForge(app_of(self.server), *place),
            mirror=lambda url, repository_id=0: Mirror.of_remote(
                self.settings.state_dir / "mirrors", url, repository_id=repository_id
            ),
            sandboxes=LocalSandboxes(),
            make_model=lambda *_: None,  # type: ignore[arg-type,return-value]
            patience_s=(),
            read_config=read_config,
        )

    async def publish(self) -> Run:
        """One round that only publishes, from the kept verdict to the run's end."""
        if self.store.get_run(self.run_id).status == "done":
            self.services().inbox.wake(self.run_id)
        services, store = self.services(), self.store.claim(self.run_id, "w1")
        record = store.get_run(self.run_id)
        forge = services.forge(record.installation_id, self.repo)

        async def step(_name: str, act: Any) -> StepJson:
            done: StepJson = await act()
            return done

        try:
            await publish_again(ActiveRun(services, store, record, forge), step)
        finally:
            await forge.close()
        return self.store.get_run(self.run_id)

    @property
    def publication(self) -> Publication:
        """How far it came."""
        return publication_of(recorded.event for recorded in self.store.events(self.run_id))

    def comments(self) -> list[str]:
        """What the App says on the issue, but for the status comment."""
        return [
            c["body"]
            for c in self.world.comments(self.repo, self.issue)
            if c["user"]["type"] == "Bot" and "patchwright:status" not in c["body"]
        ]

    def status(self) -> str:
        """The status comment; empty if there is none."""
        found = self.world.comments(self.repo, self.issue)
        return next((c["body"] for c in found if "patchwright:status" in c["body"]), "")

    def checks(self, commit: str) -> list[dict[str, Any]]:
        """The App's check runs on a commit."""
        reader = self.world.collaborator(self.repo, "world-reader", "admin")
        found = reader.call("GET", f"/repos/{self.repo}/commits/{commit}/check-runs")
        return list(found["check_runs"])
