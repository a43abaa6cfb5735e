"""One go: bugs are reported, faults come; in the end all must be as if there had been none."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from sqlalchemy.exc import SQLAlchemyError

from app.storage.records import Run
from app.storage.store import SqlStore
from tests.fault.faults import Engine, Faults, faults
from tests.fault.house import House, Issue, house
from tests.fault.verdict import Verdict, judge, orphans
from tests.support.sandboxes.second_engine import own_engine

EVENTS_A_STEP = 3
"""Of the journal, at least: the turn, the call, its result."""
_QUIET_S = 120.0
"""How long leftover sandboxes may stay after the last run: a worker looks each minute."""
_UNHEARD_S = 20.0
"""After which somebody has GitHub deliver again what never came to a run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done, all of it from the seed."""

    postgresql: bool
    runs: int
    faults: int
    seed: int
    steps: int = 20
    """Tool calls of a run."""
    time_scale: float = 0.4
    """Seconds that the stand-in model takes for a second of a real one."""
    at_once: int = 5
    """Bugs that are reported and not settled."""
    kill_engine: bool = True
    """With an engine of its own, which is killed too."""
    longest_s: float = 1500.0


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it."""

    plan: Plan
    faults: Counter[str]
    verdict: Verdict
    seconds: float


def go(plan: Plan, folder: Path | None = None) -> Report:
    """Do it all; what it leaves behind goes with `folder`, or at once."""
    with (
        tempfile.TemporaryDirectory(prefix="patchwright-fault-") as temporary,
        _engine(plan.kill_engine) as (url, engine),
    ):
        return _go(plan, folder or Path(temporary), url, engine)


def _go(plan: Plan, folder: Path, docker_url: str, engine: Engine | None) -> Report:
    began = time.monotonic()
    rng = random.Random(plan.seed)
    with house(
        folder,
        workers=("worker-a", "worker-b") if plan.postgresql else (),
        steps=plan.steps,
        seed=plan.seed,
        docker_url=docker_url,
        time_scale=plan.time_scale,
    ) as made:
        store = made.wait_until_up()
        coming = faults(made, engine, plan.runs, plan.faults, rng)
        issues = _until_settled(plan, made, store, coming)
        left = _until(lambda: orphans(docker_url, made.installations), _QUIET_S, made)
        verdict = judge(made, store, issues)
        verdict.wrong["containers left a while after the end"] = left
        verdict.wrong["processes that did not end well"] = [
            f"{name}: {code}" for name, code in made.stop().items() if code != 0
        ]
        verdict.wrong["containers left after the stop"] = orphans(docker_url, made.installations)
        verdict.wrong["faults that did not happen"] = ["one"] * len(coming.points)
        restarts = ", ".join(f"{part.name} {part.gave_up}" for part in made.parts)
        verdict.figures["ended by themselves and started again"] = restarts
        store.close()
    return Report(plan, Counter(coming.done), verdict, time.monotonic() - began)


def _until_settled(plan: Plan, made: House, store: SqlStore, coming: Faults) -> list[Issue]:
    """Report bugs and let faults come until every bug has an outcome, or time is up."""
    issues: list[Issue] = []
    unheard: dict[Issue, float] = {}
    said: dict[str, int] = {}
    work = plan.runs * plan.steps * EVENTS_A_STEP
    end = time.monotonic() + plan.longest_s
    while time.monotonic() < end:
        made.tend()
        try:
            runs = store.list_runs(limit=200).runs
        except SQLAlchemyError:  # the database is away
            coming.tend(0.0)
            time.sleep(0.1)
            continue
        settled = sum(run.status == "done" for run in runs)
        for run in runs:
            # Refused for a while: somebody says so when it is over, once for each end.
            if refused_publication(run) and said.get(run.id) != run.round and not coming.is_open:
                said[run.id] = run.round
                made.publish_again(Issue(run.repository_id, run.issue_number))
        settled -= sum(map(refused_publication, runs))
        coming.tend(sum(run.events for run in runs) / work)
        if settled == plan.runs:
            break
        if len(issues) < plan.runs and len(issues) - settled < plan.at_once:
            issues.append(made.report_bug(len(issues)))
            unheard[issues[-1]] = time.monotonic() + _UNHEARD_S
        for run in runs:
            unheard.pop(Issue(run.repository_id, run.issue_number), None)
        for issue in [issue for issue, since in unheard.items() if time.monotonic() > since]:
            unheard[issue] = time.monotonic() + _UNHEARD_S
            _deliver_again(made, issue)
        time.sleep(0.1)
    coming.repair_all()
    return issues


def refused_publication(run: Run) -> bool:
    """Whether a run is over that proved a fix and has no pull request."""
    return run.status == "done" and run.outcome == "proven" and not run.pull_request


def _deliver_again(made: House, issue: Issue) -> None:
    for delivery in made.world.deliveries("issues"):
        about = delivery["payload"]
        if (
            delivery["action"] == "labeled"
            and not delivery["redelivery"]
            and about["repository"]["id"] == issue.repository
            and about["issue"]["number"] == issue.number
        ):
            made.world.redeliver(delivery["id"])


def _until(left: Callable[[], list[str]], seconds: float, made: House) -> list[str]:
    """What is left once nothing is, or when the time is up."""
    end = time.monotonic() + seconds
    while True:
        made.tend()
        try:
            found = left()
        except docker.errors.DockerException as error:
            found = [str(error)]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.5)


@contextmanager
def _engine(own: bool) -> Iterator[tuple[str, Engine | None]]:
    """The engine's address, and how it is killed: the machine's own never is."""
    if not own:
        yield "", None
        return
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        engine = runner.run(stack.enter_async_context(own_engine()))
        try:
            yield (
                engine.url,
                Engine(
                    stop=lambda how: runner.run(engine.stop(how)),
                    start=lambda: runner.run(engine.start()),
                ),
            )
        finally:
            runner.run(stack.aclose())
