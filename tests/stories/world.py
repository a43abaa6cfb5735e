"""A worker inside the test that talks with the stand-in GitHub; runs take their steps at once.

The webhooks, the database, git, the GitHub client and all steps of a run are the real ones. What
an attempt finds is given (a journal with its verdict), and the durable engine is a dictionary of
the steps' results, as strict as DBOS about their order.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from agent.journal.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Check,
    CulpritSearched,
    GateJudged,
    ModelTurned,
    QuestionAsked,
    ReproductionDeclared,
    RunEnded,
    Submitted,
    now,
)
from agent.journal.writer import Journal
from agent.model import Usage
from agent.people import take_answer
from agent.task import Budget
from app.expiry.kept import Expiries
from app.git.mirror import Mirror
from app.github.client import GithubForge
from app.github.forge import Forge
from app.github.webhook_events import ProofDue
from app.intake.handlers import handle_event
from app.intake.receive import Intake, accept_delivery
from app.outcomes.rows import Outcomes, PullOutcome
from app.publishing.publication import KeptChange, Publication, kept_change, publication_of
from app.repo_config.effective import effective_config, read_effective_config
from app.repo_config.schema import PullRequests, RepoConfig
from app.runs import attempts, culprit_search
from app.runs.active_run import ActiveRun
from app.runs.attempts import AttemptPlan
from app.runs.failures import Requeued
from app.runs.results import StepJson
from app.runs.services import Services
from app.runs.workflow import run_round
from app.sandboxes.base import Sandboxes
from app.settings.schema import Settings
from app.spending.account import Payer
from app.storage.kept_comments import KeptComments
from app.storage.records import Run
from app.storage.store import SqlStore
from tests.doubles.github.client import GithubWorld, Person
from tests.doubles.github.description.versions import NEWEST
from tests.doubles.github.server import GithubServer
from tests.doubles.github.state import Delivery, Issue, Json
from tests.stories.crashes import Crashes, WorkerDied
from tests.support.github.app import CART, app_of, git
from tests.support.runs.world import LocalSandboxes

TITLE = "Total is wrong"
PLAN = "Cause: the sum starts at 1.\nChange: start at 0, says @octo/team."
FIXED = CART.replace("t = 1", "t = 0")
SHOWN = ReproductionDeclared(
    command="python3 -c 'from shop.cart import total; assert total([]) == 0, \"wrong total\"'",
    expected_failure="wrong total",
    observed="AssertionError: wrong total",
    accepted=True,
    runs=1,
    failures=1,
)
"""What a model would write from the issue."""
REVIEWED = FIXED.replace("t += x", "t = t + x")
MOST_LAPS = 60
"""Far more rounds, events and crashes than any story has."""


class NoModel:
    """Never asked."""

    name = "none"
    window = 1
    preserves_thinking = False
    sees_images = False

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class StoryWorld:
    """One repository with an issue, and the App that works for it."""

    server: GithubServer
    github: GithubWorld
    folder: Path
    repo: str
    crashes: Crashes = field(default_factory=Crashes)
    pull_request: dict[str, Any] = field(default_factory=dict)
    """The repository's settings for pull requests."""
    options: dict[str, Any] = field(default_factory=dict)
    """The operator's settings."""
    own_config: bool = False
    """Whether repositories' own settings are read from their files."""
    verdicts: list[str] = field(default_factory=list)
    """The gate's verdicts on patches that are proven again; `proven` when there are no more."""
    deliver: Callable[[list[Delivery]], list[Delivery]] = lambda deliveries: deliveries
    """How webhooks arrive: in another order, twice, not at all."""

    after_push: Callable[[str], object] = lambda _branch: None
    """What people do as soon as a branch was pushed."""

    sandboxes: Sandboxes = field(default_factory=LocalSandboxes)
    prepare: Any = None
    """What makes environments; None: nothing does."""

    question: tuple[str, ...] = ()
    """A question that the first attempt asks, and its options; the first is the default."""
    approval: Literal["none", "plan"] = "none"
    """Whether the repository's settings want plans."""
    later: timedelta = timedelta()
    """How much later it is than when the story began."""
    finds: bool = True
    """Whether attempts find a fix."""
    culprit: str = ""
    """The commit that they find to have broken it."""
    usage: Usage = Usage()  # noqa: RUF009 - frozen
    """Tokens that an attempt's model uses."""
    attempts: int = 0
    """How many attempts were made, with a model."""
    proofs: int = 0
    """How often a patch was proven again, without one."""

    def __post_init__(self) -> None:
        self.names = [self.repo]
        self.reporter = f"rita-of-{self.owner()}"
        self.settings = Settings(
            state_dir=self.folder / "state",
            public_url="https://pw.example",
            github_app_id=self.server.app_id,
            **{"onboarding": False, **self.options},
        )
        self.store = SqlStore(self.settings.database)
        self._moments: dict[str, Callable[[], object]] = {}
        self._results: dict[str, list[tuple[str, StepJson]]] = {}
        self._arrived = len(self.server.world_state.deliveries)
        self.repository()

    # People and what they do

    def repository(self, repo: str = "") -> str:
        """A repository with the bug."""
        repo = repo or self.repo
        files = self.folder / f"files-{repo.replace('/', '-')}"
        (files / "shop").mkdir(parents=True, exist_ok=True)
        (files / "shop" / "cart.py").write_text(CART)
        self.github.create_repo(repo, folder=files, private=True)
        label = {"name": "patchwright", "color": "5319e7", "description": "For Patchwright"}
        self.person("root", "admin", repo).call("POST", f"/repos/{repo}/labels", label)
        return repo

    def person(self, login: str, role: str = "write", repo: str = "") -> Person:
        """Somebody with a role in the repository."""
        return self.github.collaborator(repo or self.repo, login, role)

    def root(self, method: str, path: str, body: Any = None) -> Any:
        """A call by the repository's administrator; `path` is within the repository."""
        who = self.person("root", "admin")
        return who.call(method, f"/repos/{self.repo}{path}", body)

    def labelled(self) -> int:
        """An issue that somebody labelled."""
        number = self.person(self.reporter, "read").open_issue(self.repo, TITLE, "See the title.")
        self.person("tom", "triage").label(self.repo, number, "patchwright")
        return number

    def review(self, body: str = "Write the sum out.") -> None:
        """A maintainer asks for changes to the pull request."""
        number = self.pull()["number"]
        self.person("max").review(self.repo, number, "REQUEST_CHANGES", body)

    def before(self, step: str, act: Callable[[], object]) -> None:
        """Something happens once, right before a step with this name begins."""
        self._moments[step] = act

    def draft(self, number: int, *, ready: bool = False) -> None:
        """A maintainer makes a pull request a draft, or `ready`, which REST cannot."""
        node = self.root("GET", f"/pulls/{number}")["node_id"]
        name = "markPullRequestReadyForReview" if ready else "convertPullRequestToDraft"
        mutation = f"mutation($input: {name[0].upper()}{name[1:]}Input!) "
        mutation += f"{{ {name}(input: $input) {{ clientMutationId }} }}"
        token = self.person("max").token
        self.github.graphql(token, mutation, {"input": {"pullRequestId": node}})

    def delete_status(self, issue: int) -> None:
        """A maintainer deletes the status comment."""
        for comment in self.github.comments(self.repo, issue):
            if "patchwright:status" in comment["body"]:
                self.root("DELETE", f"/issues/comments/{comment['id']}")

    def rename(self, name: str) -> None:
        """The repository gets another name."""
        self.github.admin("rename-repo", repo=self.repo, name=name)
        self._is_now(f"{self.owner()}/{name}")

    def rename_owner(self) -> None:
        """The repository's account gets another login."""
        new = f"{self.owner()}-renamed"
        self.github.admin("rename-user", login=self.owner(), new=new)
        self._is_now(f"{new}/{self.repo.split('/')[1]}")

    def transfer(self, *, install: bool = True) -> None:
        """The repository goes to another account."""
        new = f"{self.owner()}-heir"
        if install:
            self.github.admin("install", account=new)
        self.github.admin("transfer-repo", repo=self.repo, owner=new)
        self._is_now(f"{new}/{self.repo.split('/')[1]}")

    def delete_and_make_again(self) -> None:
        """The repository is deleted, and another made with its name."""
        self.github.admin("delete-repo", repo=self.repo)
        self.repository()

    def install_again(self) -> None:
        """The App is removed and installed again: the installation has another id."""
        self.github.admin("uninstall", account=self.owner())
        self.github.admin("install", account=self.owner())

    def _is_now(self, name: str) -> None:
        self.repo = name
        self.names.append(name)

    def owner(self) -> str:
        """The repository's account."""
        return self.repo.split("/")[0]

    # The App

    async def work(self) -> None:
        """Take in the webhooks, and work until nothing is left; a worker that dies is replaced."""
        for _ in range(MOST_LAPS):
            if not await self.lap():
                return
        raise AssertionError(f"no end in sight: {self.crashes.acts}")

    async def lap(self) -> bool:
        """One piece of work, or a worker's death; whether there may be more."""
        try:
            return await self._one_lap()
        except WorkerDied:
            return True

    async def days_pass(self, days: float) -> None:
        """So many days pass; then open pull requests are looked at, and what follows is done."""
        self.github.advance(days * 86_400)
        Expiries(self.store.database).queue_due()
        Outcomes(self.store.database).queue_due()
        await self.work()

    async def look_at_outcomes(self) -> None:
        """The ended pull requests whose time has come are looked at."""
        Outcomes(self.store.database).queue_due()
        await self.work()

    def outcome(self) -> PullOutcome:
        """What became of the newest run's pull request."""
        found = Outcomes(self.store.database).get(self.run().id)
        assert found is not None
        return found

    def github_now(self) -> datetime:
        """The time by GitHub's clock."""
        return self.server.world_state.now()

    async def work_beside(self) -> None:
        """Another worker takes in the webhooks and handles what they say, but makes no proofs."""
        self._take_in()
        inbox = self.services().inbox
        for event_id in inbox.open_events():
            if not isinstance(inbox.get(event_id), ProofDue):
                await handle_event(self.services(), event_id, self._step_of(f"event {event_id}"))

    def _take_in(self) -> None:
        intake = Intake(self.settings, self.store, lambda _run: None)
        found = self.server.world_state.deliveries
        fresh, self._arrived = found[self._arrived :], len(found)
        for each in self.deliver(fresh):
            body = json.dumps(each.payload).encode()
            accept_delivery(intake, each.event, each.guid, body)

    async def _one_lap(self) -> bool:
        services = self.services()
        self._take_in()
        if events := services.inbox.open_events():
            await handle_event(services, events[0], self._step_of(f"event {events[0]}"))
            return True
        for run_id in sorted(self.store.live()):
            run = self.store.get_run(run_id)
            if run.status == "waiting" and not self.store.not_enqueued(run_id):
                continue
            workflow = f"{run_id} {run.round}"
            try:
                await run_round(services, run_id, self._step_of(workflow), run.round)
            except Requeued:
                self.store.requeue(run_id)
            return True
        return False

    def _step_of(self, workflow: str) -> Callable[..., Awaitable[StepJson]]:
        """The steps of a workflow: those that were done before give their results at once."""
        kept, number = self._results.setdefault(workflow, []), 0

        async def step(name: str, act: Callable[[], Awaitable[StepJson]]) -> StepJson:
            nonlocal number
            number += 1
            if number <= len(kept):
                known, result = kept[number - 1]
                assert known == name, f"DBOS would refuse {name} where {known} was"
                return result
            if (happens := self._moments.pop(name, None)) is not None:
                happens()
            result = await act()
            kept.append((name, result))
            return result

        return step

    def services(self) -> Services:
        """What a worker that was just started has."""
        config = RepoConfig(approval=self.approval, pull_request=PullRequests(**self.pull_request))
        app, crashes = app_of(self.server, NEWEST), self.crashes
        forge_at = partial(GithubForge, app, written=KeptComments(self.store.database))

        async def read_config(forge: Forge) -> Any:
            if self.own_config:
                return await read_effective_config(self.settings, forge)
            return effective_config(self.settings, config)

        return Services(
            settings=self.settings,
            store=self.store,
            forge=lambda *place: crashes.forge(forge_at(*place)),
            mirror=lambda url, repository_id=0: crashes.mirror(
                Mirror.of_remote(
                    self.settings.state_dir / "mirrors", url, repository_id=repository_id
                ),
                self.after_push,
            ),
            sandboxes=self.sandboxes,
            prepare=self.prepare,
            make_model=lambda *_: NoModel(),  # type: ignore[arg-type,return-value]
            patience_s=(),
            read_config=read_config,
        )

    # What an attempt and the gate would find

    def give_results(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace what needs a model or a sandbox."""

        async def debug(run: ActiveRun, plan: AttemptPlan, *_: object) -> int:
            if not self._goes_on(run, plan):
                return plan.first
            if run.state(plan.first).outcome is None:
                self.attempts += 1
                wanted = REVIEWED if plan.feedback else FIXED
                events = (
                    attempt(plan.first, plan.tree, self.change_of(plan.tree, wanted), self.culprit)
                    if self.finds
                    else failed_attempt(plan.first, plan.tree)
                )
                account = run.services.account(Payer.of(run.record))
                cost = account.pay("m", self.usage, 1.0)
                turned = ModelTurned(attempt=plan.first, usage=self.usage, cost=cost)
                run.store.append(run.record.id, [events[0], turned, *events[1:]])
            return plan.first

        async def prove(_run: ActiveRun, _commit: str, _url: str, patch: str, *_: object) -> Any:
            self.proofs += 1
            verdict = self.verdicts.pop(0) if self.verdicts else "proven"
            return judged(patch, verdict)

        async def write(*_: object, journal: Journal) -> ReproductionDeclared:
            journal.append(_started(""), SHOWN)
            return SHOWN

        # The clock of those who wait for answers.
        for module in ("questions", "store"):
            monkeypatch.setattr(f"app.storage.{module}.now", lambda: now() + self.later)
        # Those who look whether anybody looks at a pull request.
        for module in ("expiry.kept", "expiry.pull_requests", "outcomes.rows"):
            monkeypatch.setattr(f"app.{module}.now", self.github_now)
        monkeypatch.setattr(attempts, "debug", debug)
        monkeypatch.setattr(culprit_search, "write_reproduction", write)
        monkeypatch.setattr(attempts, "prove_on_commit", prove)

    def _goes_on(self, run: ActiveRun, plan: AttemptPlan) -> bool:
        """Ask or propose, and take the answer; whether the attempt goes on, as in the loop."""
        journal, asking = Journal(run.store, run.record.id, plan.first), plan.asking
        state = journal.state
        number = 1 + (state.asked.number if state.asked else asking.asked_before)
        if state.open_question is None and self.question and asking.wait_s and not state.asked_once:
            question, *options = self.question
            due = now() + timedelta(seconds=asking.wait_s)
            journal.append(_started(plan.tree), _question(number, question, options, due))
        if not take_answer(journal, Budget()):
            return False
        state = journal.state
        if asking.plan_wait_s and not state.approved and state.outcome is None:
            number = 1 + (state.asked.number if state.asked else asking.asked_before)
            due = now() + timedelta(seconds=asking.plan_wait_s)
            proposed = _question(number, PLAN, ("Go ahead", "Plan again"), due)
            kind = {"kind": "plan", "default": 0}
            journal.append(_started(plan.tree), proposed.model_copy(update=kind))
            return take_answer(journal, Budget())
        return True

    def change_of(self, tree: str, wanted: str) -> str:
        """The whole change from where a commit left the base branch, with this text of the file."""
        branch = git(self.bare, "symbolic-ref", "--short", "HEAD")
        base = git(self.bare, "merge-base", branch, tree)
        others = git(self.bare, "diff", "--no-color", base, tree, "--", ".", ":!shop/cart.py")
        blob = git(self.bare, "hash-object", "-w", "--stdin", stdin=wanted)
        old = git(self.bare, "rev-parse", f"{base}:shop/cart.py")
        own = git(self.bare, "diff", "--no-color", old, blob)
        name = "shop/cart.py"
        header = f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n"
        return (others + "\n" if others else "") + header + own[own.index("@@") :] + "\n"

    def commit_on(
        self,
        branch: str,
        name: str = "notes.txt",
        text: str = "theirs\n",
        *,
        author: str = "",
        repo: str = "",
    ) -> str:
        """Somebody's commit on a branch; a push, with its webhooks."""
        repo = repo or self.repo
        who = self.person("ann", repo=repo)
        clone = Path(tempfile.mkdtemp(dir=self.folder))
        git(self.folder, "clone", "-q", "-b", branch, who.git_remote(repo), str(clone))
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text(text)
        by = [f"--author={author}"] if author else []
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", "More", *by)
        git(clone, "push", "-q", "origin", branch)
        return git(clone, "rev-parse", "HEAD")

    # What can be seen

    @property
    def bare(self) -> Path:
        """The repository at GitHub, on disk."""
        found = self.server.world_state.repo(self.repo)
        assert found is not None
        return found.git

    def run(self) -> Run:
        """The newest run."""
        return self.store.list_runs().runs[0]

    def runs(self) -> int:
        """How many runs there are."""
        return len(self.store.list_runs().runs)

    def journal(self) -> list[AnyEvent]:
        """The newest run's journal."""
        return [recorded.event for recorded in self.store.events(self.run().id)]

    def end(self) -> RunEnded:
        """How the newest run ended last."""
        return [event for event in self.journal() if isinstance(event, RunEnded)][-1]

    def publication(self) -> Publication:
        """How far its publication came."""
        return publication_of(self.journal())

    def change(self) -> KeptChange | None:
        """Its change that is still to be pushed."""
        return kept_change(self.journal())

    def pull(self) -> Json:
        """The one pull request of the App."""
        [pull] = self.github.pulls(self.repo)
        return pull

    def said(self, number: int) -> list[str]:
        """The App's comments, but for status comments."""
        return [
            c["body"]
            for c in self.github.comments(self.repo, number)
            if c["user"]["type"] == "Bot" and "patchwright:status" not in c["body"]
        ]

    def status(self, number: int) -> str:
        """The one status comment."""
        [found] = [
            c["body"]
            for c in self.github.comments(self.repo, number)
            if c["user"]["type"] == "Bot" and "patchwright:status" in c["body"]
        ]
        return str(found)

    def issues(self) -> list[Issue]:
        """Issues and pull requests of the repository that has the name now."""
        found = self.server.world_state.repo(self.repo)
        return list(found.issues.values()) if found else []

    def bodies(self, number: int) -> list[str]:
        """All that the App wrote on an issue or a pull request."""
        [item] = [each for each in self.issues() if each.number == number]
        return [c.body for c in item.comments if c.body.startswith("<!-- patchwright:")]

    def proof_check(self) -> str:
        """The summary of the newest check run of the App on the pull request's commit."""
        sha = self.pull()["head"]["sha"]
        [check] = [
            run
            for run in self.root("GET", f"/commits/{sha}/check-runs")["check_runs"]
            if run["app"]["slug"] == "patchwright"
        ]
        return str(check["output"]["summary"])

    def commits(self) -> list[Json]:
        """The commits of the pull request."""
        return list(self.root("GET", f"/pulls/{self.pull()['number']}/commits"))

    def requested_reviews(self) -> int:
        """How often the App asked somebody for a review."""
        kinds = [act.kind for act in self.server.world_state.acts if self.repo in act.path]
        return kinds.count("pulls/request-reviewers")

    def picture(self) -> Json:
        """All that people see, without what differs from one repository to the next."""
        repo = self.server.world_state.repo(self.repo)
        if repo is None:
            return {"runs": self.runs(), "outcome": self.run().outcome}
        branches = git(self.bare, "for-each-ref", "--format=%(refname:short) %(objectname:short)")
        seen: Json = {
            "runs": self.runs(),
            "outcome": self.run().outcome,
            "branches": sorted(line.split()[0] for line in branches.splitlines()),
            # Of one name on a commit GitHub shows the newest: there are two where its list was late
            # for a worker that took the place of one who had just made one.
            "checks": sorted(
                f"{c.name} {c.conclusion}"
                for c in {
                    (c.head_sha, c.name): c for c in repo.check_runs.values() if c.by_app
                }.values()
            ),
        }
        for number, item in repo.issues.items():
            seen[f"#{number}"] = {
                "state": item.state,
                "labels": sorted(label.name for label in item.labels),
                "comments": sorted(
                    (c.body.split("\n")[0].split(" ")[1], len(c.body.split("\n")))
                    for c in item.comments
                    if c.body.startswith("<!-- patchwright:")
                ),
                "draft": item.pull.draft if item.pull else None,
            }
        return seen


def attempt(number: int, base: str, patch: str, culprit: str = "") -> list[AnyEvent]:
    """The journal of an attempt that found and proved a fix."""
    searched = CulpritSearched(finding="found", commit=culprit, subject="S", author="A")
    events: list[AnyEvent] = [
        _started(base),
        ReproductionDeclared(
            command="pytest -q", expected_failure="E", observed="E", accepted=True
        ),
        *([searched] if culprit else ()),
        Submitted(root_cause="The sum starts at `1`.", summary="Start at 0.", patch=patch),
        judged(patch, "proven"),
        AttemptEnded(outcome="proven"),
    ]
    return [event.model_copy(update={"attempt": number}) for event in events]


def failed_attempt(number: int, base: str) -> list[AnyEvent]:
    """The journal of an attempt that found nothing."""
    ended = AttemptEnded(outcome="failed", diagnosis="Nothing was found.")
    return [event.model_copy(update={"attempt": number}) for event in (_started(base), ended)]


def _question(number: int, question: str, options: Sequence[str], due: datetime) -> QuestionAsked:
    return QuestionAsked(
        number=number,
        call_id=f"c{number}",
        question=question,
        options=tuple(options),
        default=1,
        due=due,
    )


def _started(base: str) -> AttemptStarted:
    return AttemptStarted(
        model="m",
        prompt_version="1",
        base_commit=base,
        system_prompt="",
        task_prompt="",
        test_command="pytest -q",
    )


def judged(patch: str, verdict: Any) -> GateJudged:
    """The gate's verdict."""
    held = verdict == "proven"
    return GateJudged(
        verdict=verdict,
        patch=patch,
        reasons=() if held else ("The reproduction still fails.",),
        checks=(Check(name="reproduction", ok=held, detail="fails before, passes after"),),
    )
