"""One run that this worker executes: what its rounds have in common.

What happens within an attempt is kept in the journal; what people see is found again by its key.
So every method may be called again after a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import cast

from agent.journal.events import (
    AnyEvent,
    CiRerun,
    EnvironmentPrepared,
    GateJudged,
    ReproductionDeclared,
    RunEnded,
    RunPhase,
)
from agent.journal.state import AttemptState, fold
from app.conventions.conventions import CONVENTIONS_LOG, Conventions, kept_conventions
from app.conventions.messages import MessageStyle
from app.git.mirror import Mirror
from app.github.errors import ForgeError
from app.github.forge import Forge
from app.github.records import Repository
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
from app.runs.results import (
    AnyResult,
    Ended,
    Failed,
    Gathered,
    NothingToDo,
    Prepared,
    StepJson,
    from_json,
    to_json,
)
from app.runs.services import DurableStep, Services
from app.runs.step_retry import with_retries
from app.sandboxes.competition import degraded_by
from app.spending.account import Payer
from app.spending.of_journal import cost_of
from app.storage.records import Run
from app.storage.store import SqlStore
from app.telemetry import logs, metrics
from sandbox.errors import SandboxError

ISSUE_LOG = "issue"
"""Log id under which the issue is kept as it was when the run started."""


_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """One run that this worker executes."""

    services: Services
    store: SqlStore
    """Holds the run's lease."""
    record: Run
    forge: Forge
    first_call: metrics.FirstCall = field(default_factory=metrics.FirstCall)

    async def do_step(
        self,
        step: DurableStep,
        name: str,
        act: Callable[[], Awaitable[AnyResult]],
        *,
        heeds_stop: bool = False,
    ) -> AnyResult | Failed:
        """Do a step unless it was done before, with retries; returns its result."""

        async def kept() -> StepJson:
            return to_json(await self.with_retries(name, act, heeds_stop=heeds_stop))

        # What is kept under a step's name is of that step: its own result, or that it failed.
        return cast("AnyResult | Failed", from_json(await step(name, kept)))

    async def with_retries(
        self, name: str, act: Callable[[], Awaitable[AnyResult]], *, heeds_stop: bool = False
    ) -> AnyResult | Failed:
        """Do a step; wait and repeat it while something outside is away; else say what failed."""

        async def announce_wait(why: str) -> None:
            attempt = max(self.next_attempt() - 1, 1)
            facts, state = self.facts(waits_for=why), self.state(attempt)
            await self.update_status("debugging", facts, state, self.record.pull_request)

        return await with_retries(
            self.services,
            self.store,
            self.record.id,
            name,
            act,
            announce_wait,
            heeds_stop=heeds_stop,
        )

    async def finish(self, result: Ended | NothingToDo) -> StepJson:
        """Record the end of this round and clean up."""
        self.check_lease()
        self._record_end(result)
        await self._sweep_sandboxes()
        self._delete_trees()
        _log.info(
            "run ended",
            run=self.record.id,
            outcome="nothing to do" if isinstance(result, NothingToDo) else result.outcome,
        )
        return {}

    def _record_end(self, result: Ended | NothingToDo) -> None:
        run = self.store.get_run(self.record.id)
        if run.status == "done" or run.round != self.record.round:
            return
        ended = None
        if isinstance(result, Ended):
            ended = RunEnded(
                attempt=0,
                outcome=result.outcome,
                chosen_attempt=result.attempt,
                pull_request=run.pull_request if result.pull is None else result.pull,
                diagnosis=result.reason,
            )
        if run.closed:
            self.store.append(run.id, [RunPhase(attempt=0, phase=run.closed)])
        again = self.store.finish(run.id, ended)
        if ended is not None:
            metrics.run_ended(ended.outcome, run.created_at, run.round)
        if again:
            _log.info("another round follows", run=run.id, round=run.round + 1)

    async def _sweep_sandboxes(self) -> None:
        try:
            await self.services.sandboxes.sweep(self.store.live())
        except SandboxError as error:  # the next sweep finds them
            _log.warning("sandboxes could not be swept", run=self.record.id, why=str(error))

    def _delete_trees(self) -> None:
        for path in self.trees_dir.glob(f"{self.record.id}-*.tar"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:  # it is swept later
                _log.warning("a tree could not be deleted", file=str(path), why=error.strerror)

    @property
    def trees_dir(self) -> Path:
        """Where the trees of runs are, as files."""
        return self.services.settings.state_dir / "trees"

    @property
    def is_silent(self) -> bool:
        """Whether nobody asked for it: then nothing is written on GitHub without a proof."""
        return self.record.trigger.by == "schedule"

    async def update_status(
        self, phase: Phase, facts: RunFacts, state: AttemptState, pull: str = ""
    ) -> None:
        """Bring the status comment up to date, if that is possible and anybody asked for the run.

        Of a run that nobody asked for, there is one once it has a pull request.
        """
        self.check_lease()
        if self.is_silent and not (pull or self.record.pull_request):
            return
        await self.best_effort(publish.update_status_comment(self.forge, facts, phase, state, pull))

    async def best_effort(self, act: Awaitable[object]) -> None:
        """Do what is good to have: without it the run continues all the same."""
        try:
            await act
        except ForgeError as error:
            _log.warning("could not tell GitHub", run=self.record.id, why=str(error))

    async def repository(self) -> Repository:
        """The repository as it is now; its name and installation are noted."""
        found = await self.forge.repository()
        if found.id:
            await asyncio.to_thread(self.store.renew_place, found)
        return found

    def mirror(self, clone_url: str) -> Mirror:
        """The repository's mirror, at the address that it has now."""
        return self.services.mirror(clone_url, self.record.repository_id)

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
        """The attempts whose patches are in the pull request, in order."""
        return chosen_attempts(self.events())

    def reruns(self) -> tuple[CiRerun, ...]:
        """The CI jobs that were run again, each as it stands, in their order."""
        last = {event.check: event for event in self.events() if isinstance(event, CiRerun)}
        return tuple(last.values())

    def judged_at(self, attempt: int) -> datetime | None:
        """When the gate last judged an attempt's patch; None: it did not."""
        found = [
            recorded.at
            for recorded in self.store.events(self.record.id)
            if isinstance(recorded.event, GateJudged) and recorded.event.attempt == attempt
        ]
        return found[-1] if found else None

    def carried(self) -> ReproductionDeclared | None:
        """The reproduction that shows the issue's bug without the pull request's change."""
        return carried_reproduction(self.events())

    def facts(
        self,
        base: Prepared | Gathered | None = None,
        *,
        queue_place: int = 0,
        waits_for: str = "",
        ending: str = "",
    ) -> RunFacts:
        """What reports say about the run. `base`: what it works from, once that is known."""
        settings, environment = self.services.settings, self.environment()
        preferences = read_preferences(self.store.get_log(self.record.id, FACTS_LOG))
        facts = facts_of(
            settings,
            self.store.get_run(self.record.id),
            preferences,
            model_s=model_seconds(self.events()) if settings.gpus_per_stream else 0.0,
            cost=self._cost(),
            recipe=(self.store.get_log(self.record.id, RECIPE_LOG) or b"").decode(),
            degraded=degraded_by(environment) if environment else "",
            message=conventions.message if (conventions := self.conventions()) else MessageStyle(),
        )
        return replace(
            facts,
            base_branch=base.base_branch if base else "",
            base_commit=base.base_commit if base else "",
            queue_place=queue_place,
            waits_for=waits_for,
            ending=ending,
            reruns=self.reruns() if self.record.round > 1 else (),
        )

    def _cost(self) -> str:
        """What people are told that the run cost; empty: nothing."""
        settings = self.services.settings
        if not settings.counts_money or not settings.cost_in_comments:
            return ""
        budgets = self.services.account(Payer.of(self.record)).budgets()
        return cost_of(self.events()).told(budgets.run)

    def conventions(self) -> Conventions | None:
        """How the project wants changes made; None where the run was not to look at that."""
        return kept_conventions(self.store.get_log(self.record.id, CONVENTIONS_LOG))

    def environment(self) -> EnvironmentPrepared | None:
        """The environment that was prepared last; None: the plain image was enough."""
        prepared = [e for e in self.events() if isinstance(e, EnvironmentPrepared)]
        return prepared[-1] if prepared else None

    def phase(self, phase: Phase, detail: str = "") -> None:
        """Record that the run as a whole is at this point."""
        self.store.append(self.record.id, [RunPhase(attempt=0, phase=phase, detail=detail)])

    def check_lease(self) -> None:
        """Before every outward act: a worker that lost the run must not speak for it."""
        self.store.check_lease(self.record.id)


def chosen_attempts(events: Sequence[AnyEvent]) -> list[int]:
    """The attempts whose patches are in the pull request, in order."""
    return [
        event.chosen_attempt
        for event in events
        if isinstance(event, RunEnded) and event.chosen_attempt
    ]


def carried_reproduction(events: Sequence[AnyEvent]) -> ReproductionDeclared | None:
    """The reproduction that shows the issue's bug without the pull request's change.

    A later attempt begins with it; another that it declared shows something else, unless the
    attempt did not begin with it, because the base had moved.
    """
    shown: ReproductionDeclared | None = None
    for number in chosen_attempts(events):
        declared = [
            event.model_copy(update={"attempt": 1})
            for event in events
            if isinstance(event, ReproductionDeclared)
            and event.attempt == number
            and event.accepted
        ]
        if declared and declared[0] != shown:
            shown = declared[-1]
    return shown
