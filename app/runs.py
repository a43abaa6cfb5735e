"""A run, from the label to the pull request, in a few coarse steps that may each be repeated.

The durable engine (`app.durable`) keeps which steps are done and their small results. What happens
within a step is kept where it belongs: in the journal (*debug*), or on GitHub, where every act is
found again by its key (*publish*).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.attempts import choose, run_attempts
from agent.errors import LostLease
from agent.events import ModelWaiting, Outcome, Recorded, RunEnded, RunPhase
from agent.model import Model
from agent.models.openai_compat import OnWaiting
from agent.session import debug
from agent.state import RunState, fold
from agent.task import Issue, Task
from app import logs, policy, publish
from app.forge import Forge
from app.forge_records import ForgeError, IssueThread
from app.mirror import Mirror
from app.records import Run
from app.reports import Phase, RunFacts, is_draft, patch_of
from app.run_failures import PATIENCE_S, cause, explain, wait_before_retry
from app.sandboxes import Sandboxes
from app.settings import Settings
from app.store import SqlStore
from sandbox.errors import SandboxError
from sandbox.protocol import Sandbox

Result = dict[str, str]
"""What the durable engine keeps of a step: small and plain."""
Step = Callable[[str, Callable[[], Awaitable[Result]]], Awaitable[Result]]
"""Does a named step unless it was done before; gives its result."""

ISSUE_LOG = "issue"
"""Log id under which the issue is kept as it was when the run began."""
TELL_EVERY_S = 15.0
"""Least time between two edits of the status comment."""
TOLD = {"reproduction_declared", "hypothesis_proposed", "hypothesis_resolved", "submitted"}
"""Events after which the status comment says something new."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """All that runs need."""

    settings: Settings
    store: SqlStore
    forge: Callable[[int, str], Forge]
    """From an installation and a repository's name."""
    mirror: Callable[[str], Mirror]
    """From a repository's address for git."""
    sandboxes: Sandboxes
    make_model: Callable[[str, int, OnWaiting], Model]
    """From the run's id, the seed, and whom to tell when the model's server is away."""
    patience_s: tuple[float, ...] = PATIENCE_S
    tell_every_s: float = TELL_EVERY_S


async def work(services: Services, run_id: str, step: Step) -> None:
    """Do a run to its end, going on where an earlier worker stopped.

    A worker that lost the run to another ends as if cancelled: nothing of it is recorded.
    """
    store = services.store.claim(run_id, services.settings.executor)
    run = store.get_run(run_id)
    if run.status == "done":
        return
    store.set_running(run_id)
    forge = services.forge(run.installation_id, run.repository)
    try:
        await _work(RunWork(services, store, run, forge), step)
    finally:
        await forge.close()


async def _work(run: RunWork, step: Step) -> None:
    async def tried(name: str, act: Callable[[], Awaitable[Result]]) -> Result:
        return await step(name, partial(run.patiently, name, act))

    authorised = await tried("authorise", run.authorise)
    if denied := authorised.get("denied"):
        # A stranger gets silence: no comment, only the record.
        await step("finish", partial(run.finish, {"outcome": "stopped", "reason": denied}))
        return
    result: Result = authorised
    prepared: Result = {}
    if "failed" not in result:
        result = prepared = await tried("prepare", run.prepare)
    if "failed" not in result:
        result = await tried("debug", partial(run.debug, prepared))
    if "failed" not in result:
        result = await tried("publish", partial(run.publish, prepared, result))
    if "failed" in result:
        await tried("explain", partial(run.explain, prepared, result))
        result = {"outcome": "failed", "reason": result["failed"]}
    await step("finish", partial(run.finish, result))


@dataclass(frozen=True, slots=True)
class RunWork:
    """One run in the hands of this worker."""

    services: Services
    store: SqlStore
    """Holds the run's lease."""
    run: Run
    forge: Forge

    async def patiently(self, name: str, act: Callable[[], Awaitable[Result]]) -> Result:
        """Do a step; wait and repeat it while something outside is away; else say what failed."""
        tries = 0
        while True:
            try:
                self._check_lease()
                return await act()
            except Exception as raised:  # noqa: BLE001  every failure gets its honest end
                error = cause(raised)
            if isinstance(error, LostLease):
                _log.warning("the run was taken over", run=self.run.id, step=name)
                # Not an error of the step: the engine must record nothing.
                raise asyncio.CancelledError(str(error))
            tries += 1
            wait = wait_before_retry(error, tries, self.services.patience_s)
            if wait is None:
                _log.error("a step failed", run=self.run.id, step=name, exc_info=error)
                return {"failed": explain(error, self.run.id)}
            _log.warning(
                "a step waits", run=self.run.id, step=name, why=str(error), seconds=round(wait)
            )
            await asyncio.sleep(wait)

    async def authorise(self) -> Result:
        """Ask GitHub whether the sender may start a run, and whether the issue still wants one."""
        self._phase("queued")
        permission = await self.forge.permission(self.run.triggered_by)
        thread = await self.forge.issue(self.run.issue_number)
        repository = await self.forge.repository()
        denied = policy.denial(
            permission, thread, repository, minimum=self.services.settings.label_permission
        )
        if denied:
            _log.info("not permitted", run=self.run.id, by=self.run.triggered_by, why=denied)
            return {"denied": denied}
        await self._softly(self.forge.react(self.run.issue_number, "eyes"))
        return {}

    async def prepare(self) -> Result:
        """Bring the mirror up to date; keep the issue as it is now; fix the commit to work from."""
        self._phase("preparing")
        await self._tell("preparing", {}, RunState())
        repository = await self.forge.repository()
        mirror = self.services.mirror(repository.clone_url)
        fetched = await publish.fetch(self.forge, mirror)
        thread = await self.forge.issue(self.run.issue_number)
        issue = as_issue(thread, await self.forge.bot_login())
        self.store.put_log(self.run.id, ISSUE_LOG, issue.model_dump_json().encode())
        return {
            "base_commit": fetched.base_commit,
            "base_branch": fetched.repository.default_branch,
            "clone_url": fetched.repository.clone_url,
        }

    async def debug(self, prepared: Result) -> Result:
        """Run the attempts, or go on with them; the journal keeps all that matters."""
        self._phase("debugging")
        tree = await self._tree(prepared)
        kept = self.store.get_log(self.run.id, ISSUE_LOG)
        if kept is None:
            raise RuntimeError(f"run {self.run.id} has no issue")
        task = Task(
            run_id=self.run.id,
            repository=self.run.repository,
            base_commit=prepared["base_commit"],
            issue=Issue.model_validate_json(kept),
            budget=self.services.settings.budget,
        )
        news: asyncio.Queue[int] = asyncio.Queue()

        async def one(number: int) -> RunState:
            return await self._attempt(task, number, tree, news)

        async with self._telling(prepared, news):
            states = await run_attempts(self.services.settings.attempts, one)
        return {"attempt": str(choose(states).number)}

    async def publish(self, prepared: Result, debugged: Result) -> Result:
        """Open the pull request, or say what is known."""
        self._phase("publishing")
        state = self._state(int(debugged["attempt"]))
        facts = self._facts(prepared)
        chosen = debugged["attempt"]
        if state.outcome in ("proven", "draft") and patch_of(state):
            mirror = self.services.mirror(prepared["clone_url"])
            published = await publish.publish(self.forge, mirror, facts, state)
            outcome: Outcome = "draft" if is_draft(state) else "proven"
            return {"outcome": outcome, "pull": published.pull.url, "attempt": chosen}
        await publish.report_failure(self.forge, facts, state)
        reason = state.diagnosis
        return {"outcome": state.outcome or "failed", "attempt": chosen, "reason": reason}

    async def explain(self, prepared: Result, failed: Result) -> Result:
        """Say on the issue why the run ended."""
        facts = self._facts(prepared)
        await publish.report_failure(self.forge, facts, self._state(1), failed["failed"])
        return {}

    async def finish(self, result: Result) -> Result:
        """Record the end and clean up."""
        self._check_lease()
        if self.store.get_run(self.run.id).status != "done":
            ended = RunEnded.model_validate(
                {
                    "attempt": 0,
                    "outcome": result["outcome"],
                    "chosen_attempt": int(result.get("attempt", "0")),
                    "pull_request": result.get("pull", ""),
                    "diagnosis": result.get("reason", ""),
                }
            )
            self.store.finish(self.run.id, ended)
        try:
            await self.services.sandboxes.sweep(self.store.live())
        except SandboxError as error:  # the next sweep finds them
            _log.warning("sandboxes could not be swept", run=self.run.id, why=str(error))
        self._tree_path.unlink(missing_ok=True)
        _log.info("run ended", run=self.run.id, outcome=result["outcome"])
        return {}

    async def _attempt(
        self, task: Task, number: int, tree: Path, news: asyncio.Queue[int]
    ) -> RunState:
        sandboxes, store, run_id = self.services.sandboxes, self.store, self.run.id

        async def waiting(reason: str, seconds: float) -> None:
            event = ModelWaiting(attempt=number, reason=reason, retry_in_s=seconds)
            store.append(run_id, [event])

        def notice(entry: Recorded) -> None:
            if entry.event.type in TOLD:
                news.put_nowait(number)

        async def open_sandbox() -> Sandbox:
            return await sandboxes.open(run_id, f"attempt-{number}", tree)

        async def open_fresh() -> Sandbox:
            return await sandboxes.open(run_id, f"gate-{number}", tree)

        model = self.services.make_model(run_id, number - 1, waiting)
        try:
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
            )
        finally:
            await model.close()

    @asynccontextmanager
    async def _telling(self, prepared: Result, news: asyncio.Queue[int]) -> AsyncIterator[None]:
        """Meanwhile keep the status comment up to date, not too often."""

        async def tell() -> None:
            await self._tell("debugging", prepared, RunState())
            while True:
                attempt = await news.get()
                while not news.empty():
                    attempt = news.get_nowait()
                state = self._state(attempt)
                phase: Phase = "verifying" if state.submitted and not state.verdict else "debugging"
                await self._tell(phase, prepared, state)
                await asyncio.sleep(self.services.tell_every_s)

        telling = asyncio.create_task(tell())
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.wait({telling})
            if not telling.cancelled() and (error := telling.exception()):
                _log.warning("telling ended early", run=self.run.id, exc_info=error)

    async def _tree(self, prepared: Result) -> Path:
        """The tree of the base commit as a file, made if it is not there."""
        path = self._tree_path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".part")
            mirror = self.services.mirror(prepared["clone_url"])
            await asyncio.to_thread(mirror.tree_tar, prepared["base_commit"], half)
            half.replace(path)
        return path

    @property
    def _tree_path(self) -> Path:
        return self.services.settings.state_dir / "trees" / f"{self.run.id}.tar"

    async def _tell(self, phase: Phase, prepared: Result, state: RunState) -> None:
        self._check_lease()
        await self._softly(publish.announce(self.forge, self._facts(prepared), phase, state))

    async def _softly(self, act: Awaitable[object]) -> None:
        """Do what is good to have: without it the run goes on all the same."""
        try:
            await act
        except ForgeError as error:
            _log.warning("could not tell GitHub", run=self.run.id, why=str(error))

    def _state(self, attempt: int) -> RunState:
        events = (recorded.event for recorded in self.store.events(self.run.id))
        return fold(event for event in events if event.attempt == attempt)

    def _facts(self, prepared: Mapping[str, str]) -> RunFacts:
        settings = self.services.settings
        return RunFacts(
            run_id=self.run.id,
            repository=self.run.repository,
            issue_number=self.run.issue_number,
            issue_title=self.run.title,
            base_branch=prepared.get("base_branch", ""),
            base_commit=prepared.get("base_commit", ""),
            started_at=self.run.created_at,
            run_url=f"{settings.public_url}/runs/{self.run.id}" if settings.public_url else "",
            budget_calls=settings.budget_calls,
        )

    def _phase(self, phase: Phase) -> None:
        self.store.append(self.run.id, [RunPhase(attempt=0, phase=phase)])

    def _check_lease(self) -> None:
        """Before every outward act: a worker that lost the run must not speak for it."""
        if not self.store.holds(self.run.id):
            raise LostLease(f"run {self.run.id} belongs to another worker now")


def as_issue(thread: IssueThread, own_login: str) -> Issue:
    """The issue for the agent, without what the App itself wrote there."""
    return Issue(
        title=thread.title,
        body=thread.body,
        number=thread.number,
        author=thread.author,
        comments=tuple(f"{c.author}: {c.body}" for c in thread.comments if c.author != own_login),
    )
