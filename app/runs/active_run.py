"""One run in the hands of this worker: what its rounds have in common.

What happens within an attempt is kept in the journal; what people see is found again by its key.
So every method may be called again after a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.best_of import choose, run_attempts
from agent.cancellation import unless_stopped
from agent.gate.judge import Submission, judge
from agent.journal.events import (
    AnyEvent,
    GateJudged,
    ModelWaiting,
    Recorded,
    ReproductionDeclared,
    RunEnded,
    RunPhase,
)
from agent.journal.state import AttemptState, fold
from agent.session import debug
from agent.task import Issue, Task
from app.git.mirror import Mirror
from app.git.tree_archive import Source, write_tree
from app.github.errors import ForgeError
from app.github.forge import Forge
from app.publishing import publish
from app.publishing.facts import (
    FACTS_LOG,
    RECIPE_LOG,
    Phase,
    RunFacts,
    facts_of,
    model_seconds,
    read_preferences,
)
from app.runs.attempts import TOLD, AttemptPlan
from app.runs.services import Result, Services
from app.runs.step_retry import with_retries
from app.runs.trees import prepare_environment
from app.storage.records import Run
from app.storage.store import SqlStore
from app.telemetry import logs, metrics, tracing
from sandbox.errors import SandboxError
from sandbox.protocol import Sandbox

ISSUE_LOG = "issue"
"""Log id under which the issue is kept as it was when the run began."""


_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """One run in the hands of this worker."""

    services: Services
    store: SqlStore
    """Holds the run's lease."""
    record: Run
    forge: Forge
    first_call: metrics.FirstCall = field(default_factory=metrics.FirstCall)

    async def with_retries(
        self, name: str, act: Callable[[], Awaitable[Result]], *, heeds_stop: bool = False
    ) -> Result:
        """See `app.runs.step_retry.with_retries`."""

        async def tell(why: str) -> None:
            attempt = max(self.next_attempt() - 1, 1)
            facts, state = self.facts({"waits_for": why}), self.state(attempt)
            await self.tell("debugging", facts, state, self.record.pull_request)

        return await with_retries(
            self.services, self.store, self.record.id, name, act, tell, heeds_stop=heeds_stop
        )

    async def debug(
        self, ground: AttemptPlan, facts: RunFacts, clone_url: str, pull: str = ""
    ) -> int:
        """Run the attempts, or go on with them; gives the number of the one to take."""
        self.phase("debugging")
        tree = await self.tree(ground.tree, clone_url)
        terms = await self.services.terms(self.forge)
        kept = self.store.get_log(self.record.id, ISSUE_LOG)
        if kept is None:
            raise RuntimeError(f"run {self.record.id} has no issue")
        task = Task(
            run_id=self.record.id,
            repository=self.record.repository,
            base_commit=ground.tree,
            issue=Issue.model_validate_json(kept),
            test_command=terms.test_command,
            budget=terms.budget,
            policy=terms.policy,
            hints=(self.record.trigger.hint,) if self.record.trigger.hint else (),
            again=ground.again,
            feedback=ground.feedback,
            attachments=ground.attachments,
        )
        news: asyncio.Queue[int] = asyncio.Queue()

        async def one(number: int) -> AttemptState:
            return await self._attempt(task, ground, number, tree, news)

        async with self._telling(facts, pull, news):
            states = await run_attempts(ground.attempts, one)
        return ground.first + choose(states).number - 1

    async def prove_on(
        self,
        commit: str,
        clone_url: str,
        patch: str,
        reproduction: ReproductionDeclared | None,
        test_command: str,
    ) -> GateJudged:
        """The gate's verdict on a patch on top of any commit."""
        tree = await self.tree(commit, clone_url)
        kept = self.store.get_log(self.record.id, ISSUE_LOG) or b"{}"
        terms = await self.services.terms(self.forge)

        async def open_fresh() -> Sandbox:
            return await self.services.sandboxes.open(self.record.id, "gate-again", tree)

        submission = Submission(
            patch=patch,
            reproduction=reproduction,
            issue=Issue.model_validate_json(kept),
            test_command=test_command or terms.test_command,
            policy=terms.policy,
            test_timeout_s=terms.budget.test_timeout_s,
            shrink=False,
        )
        return await judge(submission, open_fresh)

    async def finish(self, result: Result) -> Result:
        """Record the end of this round and clean up. `quiet`: there was nothing to do in it."""
        self.check_lease()
        run = self.store.get_run(self.record.id)
        if run.status != "done" and run.round == self.record.round:
            ended = RunEnded.model_validate(
                {
                    "attempt": 0,
                    "outcome": result.get("outcome", "failed"),
                    "chosen_attempt": int(result.get("attempt", "0")),
                    "pull_request": result.get("pull", run.pull_request),
                    "diagnosis": result.get("reason", ""),
                }
            )
            if run.closed:
                self.store.append(run.id, [RunPhase(attempt=0, phase=run.closed)])
            again = self.store.finish(run.id, None if "quiet" in result else ended)
            if "quiet" not in result:
                metrics.run_ended(ended.outcome, run.created_at, run.round)
            if again:
                _log.info("another round follows", run=run.id, round=run.round + 1)
        try:
            await self.services.sandboxes.sweep(self.store.live())
        except SandboxError as error:  # the next sweep finds them
            _log.warning("sandboxes could not be swept", run=self.record.id, why=str(error))
        for path in self._trees.glob(f"{self.record.id}-*.tar"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:  # it is swept later
                _log.warning("a tree could not be deleted", file=str(path), why=error.strerror)
        _log.info("run ended", run=self.record.id, outcome=result.get("outcome", "nothing to do"))
        return {}

    async def _attempt(
        self, task: Task, ground: AttemptPlan, place: int, tree: Path, news: asyncio.Queue[int]
    ) -> AttemptState:
        sandboxes, store, run_id = self.services.sandboxes, self.store, self.record.id
        number = ground.first + place - 1

        async def waiting(reason: str, seconds: float) -> None:
            event = ModelWaiting(attempt=number, reason=reason, retry_in_s=seconds)
            store.append(run_id, [event])
            news.put_nowait(number)

        def notice(entry: Recorded) -> None:
            tracing.entry(run_id, entry)
            metrics.entry(entry)
            self.first_call.entry(entry)
            if entry.event.type in TOLD:
                news.put_nowait(number)

        async def open_sandbox() -> Sandbox:
            return await sandboxes.open(run_id, f"attempt-{number}", tree)

        async def open_fresh() -> Sandbox:
            return await sandboxes.open(run_id, f"gate-{number}", tree)

        model = self.services.model(run_id, number - 1, waiting)
        try:
            with metrics.attempt():
                return await debug(
                    task,
                    model=model,
                    store=store,
                    open_sandbox=open_sandbox,
                    attach=sandboxes.attach,
                    open_fresh=open_fresh,
                    attempt=number,
                    seed=number - 1,
                    on_event=notice,
                    judge_with=ground.judge_with,
                )
        finally:
            await model.close()

    @asynccontextmanager
    async def _telling(
        self, facts: RunFacts, pull: str, news: asyncio.Queue[int]
    ) -> AsyncIterator[None]:
        """Meanwhile keep the status comment up to date, not too often."""

        async def tell() -> None:
            await self.tell("debugging", facts, AttemptState(), pull)
            while True:
                attempt = await news.get()
                while not news.empty():
                    attempt = news.get_nowait()
                state = self.state(attempt)
                phase: Phase = "verifying" if state.submitted and not state.verdict else "debugging"
                await self.tell(phase, facts, state, pull)
                await asyncio.sleep(self.services.tell_every_s)

        telling = asyncio.create_task(tell())
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.wait({telling})
            if not telling.cancelled() and (error := telling.exception()):
                _log.warning("telling ended early", run=self.record.id, exc_info=error)

    async def tree(self, commit: str, clone_url: str) -> Path:
        """The tree of a commit as a file, made if it is not there."""
        path = self._trees / f"{self.record.id}-{commit}.tar"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".part")
            mirror = await self.mirror(commit, clone_url)
            shape = (await self.services.terms(self.forge)).tree

            def write(token: str) -> None:
                source = Source(mirror, clone_url, self.services.mirror, token, self._ca_file)
                write_tree(source, commit, half, shape)

            if shape.is_plain:
                await asyncio.to_thread(mirror.tree_tar, commit, half)
            else:
                await publish.with_token(self.forge, write)
            half.replace(path)
        await self._environment(path)
        return path

    async def _environment(self, tree: Path) -> None:
        """Have the image that the tree's sandboxes start from."""
        if self.services.prepare is None:
            return
        terms = await self.services.terms(self.forge)
        about = (self.store.get_log(self.record.id, ISSUE_LOG) or b"").decode("utf-8", "replace")
        made = prepare_environment(self.services, self.store, self.record, terms, tree, about)
        await unless_stopped(lambda: self.store.stop_requested(self.record.id), made)

    async def mirror(self, commit: str, clone_url: str) -> Mirror:
        """The mirror with this commit in it: another machine may have begun the run."""
        mirror = self.services.mirror(clone_url)
        if not await asyncio.to_thread(mirror.has, commit):
            await publish.fetch(self.forge, mirror, self.record.trigger.base_branch)
        return mirror

    @property
    def _ca_file(self) -> str:
        return str(self.services.settings.github_ca_file or "")

    @property
    def _trees(self) -> Path:
        return self.services.settings.state_dir / "trees"

    async def tell(
        self, phase: Phase, facts: RunFacts, state: AttemptState, pull: str = ""
    ) -> None:
        """Bring the status comment up to date, if that is possible."""
        self.check_lease()
        await self.best_effort(publish.announce(self.forge, facts, phase, state, pull))

    async def best_effort(self, act: Awaitable[object]) -> None:
        """Do what is good to have: without it the run goes on all the same."""
        try:
            await act
        except ForgeError as error:
            _log.warning("could not tell GitHub", run=self.record.id, why=str(error))

    def events(self) -> list[AnyEvent]:
        """The run's whole journal."""
        return [recorded.event for recorded in self.store.events(self.record.id)]

    def state(self, attempt: int) -> AttemptState:
        """The state of one attempt."""
        return fold(event for event in self.events() if event.attempt == attempt)

    def next_attempt(self) -> int:
        """The number of the attempt after all that there were."""
        return max((event.attempt for event in self.events()), default=0) + 1

    def chosen_attempts(self) -> list[int]:
        """The attempts whose patches the pull request got, in order."""
        return [
            event.chosen_attempt
            for event in self.events()
            if isinstance(event, RunEnded) and event.chosen_attempt
        ]

    def carried(self) -> ReproductionDeclared | None:
        """The reproduction that shows the issue's bug where the pull request's change is not.

        A later attempt begins with it; another that it declared shows something else, unless the
        attempt did not begin with it, because the base had moved.
        """
        shown: ReproductionDeclared | None = None
        for number in self.chosen_attempts():
            declared = [
                event.model_copy(update={"attempt": 1})
                for event in self.events()
                if isinstance(event, ReproductionDeclared)
                and event.attempt == number
                and event.accepted
            ]
            if declared and declared[0] != shown:
                shown = declared[-1]
        return shown

    def facts(self, prepared: Mapping[str, str]) -> RunFacts:
        """What reports say of the run."""
        settings = self.services.settings
        wishes = read_preferences(self.store.get_log(self.record.id, FACTS_LOG))
        model_s = model_seconds(self.events()) if settings.gpus_per_stream else 0.0
        recipe = (self.store.get_log(self.record.id, RECIPE_LOG) or b"").decode()
        return facts_of(settings, self.record, wishes, prepared, model_s, recipe)

    def phase(self, phase: Phase, detail: str = "") -> None:
        """Record that the run as a whole is at this point."""
        self.store.append(self.record.id, [RunPhase(attempt=0, phase=phase, detail=detail)])

    def check_lease(self) -> None:
        """Before every outward act: a worker that lost the run must not speak for it."""
        self.store.check_lease(self.record.id)
