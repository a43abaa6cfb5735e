"""A service inside the test: real HTTP to and from a stand-in GitHub, git, and a stand-in model.

Only the sandboxes are folders and not containers, so that stories of conversation take seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from agent.journal.events import RunEnded
from app.git.mirror import Mirror
from app.github.app import GithubApp
from app.github.client import GithubForge
from app.intake.receive import Intake
from app.llm.factory import make_model
from app.repo_config.effective import effective_config
from app.repo_config.schema import RepoConfig
from app.runs.services import Services
from app.server.workflow_engine import WorkflowEngine, running_engine
from app.settings.schema import Settings
from app.storage.kept_comments import KeptComments
from app.storage.records import Run
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from tests.doubles.github.client import GithubWorld, Person
from tests.doubles.github.server import GithubServer
from tests.doubles.seeded_policy import FILES, REPRODUCTION, TITLE
from tests.doubles.sglang.server import Flags, StandIn
from tests.doubles.sglang.turns import Call, Policy, Say, Script, Scripts
from tests.support.github.app import app_of
from tests.support.runs.world import LocalSandboxes
from tests.support.serving import serving

REPO = "acme/shop"
T = TypeVar("T")
LISTED_AFTER_S = 0.3
"""GitHub's lists are up to date here, so nobody need wait for them."""
PATIENCE_S = 300.0
"""Far longer than anything takes, on a busy machine too: only a broken story waits so long."""

REPRODUCE = Say(
    reasoning="First I see it fail.",
    calls=(
        Call.of(
            "reproduction",
            command="python3 -m pytest -q -p no:cacheprovider tests/test_discount.py",
            files={"tests/test_discount.py": REPRODUCTION},
            expected_failure="AssertionError",
        ),
    ),
)
LOOK = Say(calls=(Call.of("view", path="shop/prices.py"),))


def edit(old: str, new: str, path: str = "shop/prices.py") -> Say:
    return Say(calls=(Call.of("edit", path=path, old=old, new=new),))


def submit(summary: str) -> Say:
    return Say(calls=(Call.of("submit", root_cause="The percentage.", summary=summary),))


REPAIR = (
    REPRODUCE,
    edit("discount / 10\n", "discount / 100\n"),
    submit("Divides by 100."),
    Say(content="Done."),
)


def scripts(*later: Script) -> Policy:
    """The fix, and before it what is said in later rounds."""
    return Scripts((*later, Script(REPAIR)))


@dataclass
class Story:
    """One story: people at GitHub, and the service that they talk with."""

    github: GithubServer
    world: GithubWorld
    folder: Path
    policy: Policy = field(default_factory=scripts)
    config: RepoConfig = field(default_factory=RepoConfig)
    settings: dict[str, Any] = field(default_factory=dict)
    flags: Flags = field(default_factory=Flags)
    profile: str = "k2-thinking"
    services: Services = field(init=False)
    store: SqlStore = field(init=False)
    url: str = ""
    model: StandIn = field(init=False)
    workflow_engine: WorkflowEngine = field(init=False)
    forge_of: Callable[[Any], Any] = lambda forge: forge
    mirror_of: Callable[[Any], Any] = lambda mirror: mirror

    @contextmanager
    def serving(self) -> Iterator[Story]:
        """The service, from here until the end of the block; may be entered again."""
        self.model = StandIn(self.policy, self.flags)
        with ExitStack() as stack:
            model_url = stack.enter_context(serving(self.model.app))  # type: ignore[arg-type]
            settings = Settings(
                state_dir=self.folder / "state",
                github_app_id=self.github.app_id,
                onboarding=False,
                github_webhook_secret=self.github.webhook_secret,
                model=self.profile,
                model_url=(f"{model_url}/v1",),
                **self.settings,
            )
            self.store = SqlStore(settings.database)
            written = KeptComments(self.store.database, LISTED_AFTER_S)
            forge_at = partial(GithubForge, self.app, written=written)
            config = self.config

            async def read_config(_forge: object) -> Any:
                return effective_config(settings, config)

            self.services = Services(
                settings=settings,
                store=self.store,
                forge=lambda *place: self.forge_of(forge_at(*place)),
                mirror=lambda url, repository_id=0: self.mirror_of(
                    Mirror.of_remote(
                        settings.state_dir / "mirrors", url, repository_id=repository_id
                    )
                ),
                sandboxes=LocalSandboxes(),
                make_model=lambda run_id, seed, waiting, _: make_model(
                    settings,
                    run_id=run_id,
                    seed=seed,
                    on_waiting=waiting,
                    picture=partial(self.store.get_log, run_id),
                ),
                patience_s=(0.1, 0.5, 1.0),
                status_interval_s=0.2,
                read_config=read_config,
            )
            self.durable = stack.enter_context(running_engine(self.services))
            web = self.web()
            self.url = stack.enter_context(serving(create_app(web)))
            self.world.send_webhooks_to(f"{self.url}/webhooks/github")
            yield self

    @property
    def app(self) -> GithubApp:
        return app_of(self.github)

    def web(self) -> Web:
        return Web(
            self.services.settings,
            self.store,
            self.durable.enqueue,
            lambda: self.durable.ready,
            self.durable.enqueue_event,
        )

    def intake(self) -> Intake:
        return self.web().intake

    # People

    def repository(
        self, repo: str = REPO, files: dict[str, str] | None = None, *, private: bool = True
    ) -> str:
        """A repository with the bug."""
        folder = self.folder / repo.replace("/", "-")
        for name, text in (files or FILES).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        made = self.world.create_repo(repo, folder=folder, private=private)
        # Described, because GitHub's own page on pull requests knows no label without.
        self.world.collaborator(repo, "root", "admin").call(
            "POST",
            f"/repos/{repo}/labels",
            {"name": "patchwright", "color": "5319e7", "description": "For Patchwright"},
        )
        return made

    def person(self, login: str, role: str = "write", repo: str = REPO) -> Person:
        return self.world.collaborator(repo, login, role)

    def issue(self, repo: str = REPO) -> int:
        return self.person("rita", "read", repo).open_issue(repo, TITLE, "See the title.")

    def labelled(self, repo: str = REPO) -> int:
        """An issue that somebody labelled."""
        number = self.issue(repo)
        self.person("tom", "triage", repo).label(repo, number, "patchwright")
        return number

    # What can be seen

    def run(self) -> Run:
        """The newest run, once there is one."""
        return self.another_run("")

    def another_run(self, than: str) -> Run:
        """The newest run, once there is one and it is not that one."""

        def look() -> Run | None:
            newest = next(iter(self.store.list_runs().runs), None)
            return newest if newest is not None and newest.id != than else None

        return self.until(look, PATIENCE_S, "a run")

    def works(self, run_id: str) -> None:
        """The run is in the middle of its work."""
        look = lambda: self.store.get_run(run_id).events > 12  # noqa: E731
        self.until(look, PATIENCE_S, "the run to work")

    def done(self, rounds: int = 1, run_id: str = "") -> Run:
        """The run when so many rounds of it have ended."""

        def look() -> Run | None:
            run = self.store.get_run(run_id or self.run().id)
            return run if run.status == "done" and run.round >= rounds else None

        return self.until(look, PATIENCE_S, f"round {rounds} to end")

    def ends(self, run_id: str) -> list[RunEnded]:
        events = [r.event for r in self.store.events(run_id)]
        return [e for e in events if isinstance(e, RunEnded)]

    def settled(self) -> None:
        """No delivery is under way, no ask open, no run live, and none came of what was done."""

        def busy() -> bool:
            return bool(self.services.inbox.open_events() or self.store.live())

        def quiet() -> bool:
            if busy():
                return False
            sent = self.world.delivery_count()
            return not busy() and self.world.delivery_count() == sent

        self.until(quiet, PATIENCE_S, "everything to be answered")

    def acts(self) -> list[str]:
        """What the App did that people can see, in order."""
        return [a["kind"] for a in self.world.acts() if not a["kind"].startswith("apps/")]

    def pull(self, repo: str = REPO) -> dict[str, Any]:
        [pull] = self.world.pulls(repo)
        return pull

    def said(self, number: int, repo: str = REPO) -> list[str]:
        """What the App said on an issue or a pull request's page, status comments left out."""
        return [
            c["body"]
            for c in self.world.comments(repo, number)
            if c["user"]["type"] == "Bot" and "patchwright:status" not in c["body"]
        ]

    def replies(self, number: int, repo: str = REPO) -> list[dict[str, Any]]:
        """The App's answers in the threads of a pull request."""
        found = self.person("reader", "admin", repo).call(
            "GET", f"/repos/{repo}/pulls/{number}/comments?per_page=100"
        )
        return [c for c in found if c["user"]["type"] == "Bot"]

    def commits(self, number: int, repo: str = REPO) -> list[dict[str, Any]]:
        return list(
            self.person("reader", "admin", repo).call(
                "GET", f"/repos/{repo}/pulls/{number}/commits"
            )
        )

    def tasks(self) -> Sequence[str]:
        """The assignments that the model was given, each once, in order."""
        found: dict[str, None] = {}
        for body in self.model_bodies():
            found.setdefault(body["messages"][1]["content"], None)
        return list(found)

    def model_bodies(self) -> list[dict[str, Any]]:
        return list(self.model.seen.bodies)

    def until(self, look: Callable[[], T | None], seconds: float, what: str) -> T:
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = look()
            except httpx.TransportError:
                found = None
            if found:
                return found
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.1)
