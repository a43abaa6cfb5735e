"""What a worker that died had begun is finished as it was meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from agent.journal.events import CiRerun
from app.github.records import CiJob
from app.runs.reruns.rerun import settle

STARTED = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class _Ci:
    """A workflow with two failed jobs, and a run that asked for both of them again."""

    jobs: dict[int, CiJob]
    calls: list[tuple[int, ...]] = field(default_factory=list)
    journal: list[CiRerun] = field(default_factory=list)

    async def ci_job(self, check: int) -> CiJob | None:
        return self.jobs.get(check)

    async def rerun_jobs(self, workflow_run: int, jobs: Sequence[int]) -> None:
        self.calls.append(tuple(jobs))
        attempt = max(job.run_attempt for job in self.jobs.values()) + 1
        self.jobs = {n: replace(job, run_attempt=attempt) for n, job in self.jobs.items()}

    async def update_status(self, *_: object) -> None:
        """Told."""

    def as_run(self) -> Any:
        def append(_: str, events: Sequence[CiRerun]) -> None:
            self.journal.extend(events)

        return SimpleNamespace(
            reruns=lambda: tuple({event.check: event for event in self.journal}.values()),
            record=SimpleNamespace(id="r1", pull_request=""),
            store=SimpleNamespace(append=append),
            forge=self,
            check_lease=lambda: None,
            chosen_attempts=lambda: (1,),
            state=lambda _: None,
            facts=lambda: None,
            update_status=self.update_status,
        )


async def test_two_jobs_of_a_workflow_that_were_asked_for_run_again_together() -> None:
    names = {7: "tests", 8: "lint"}
    ci = _Ci({n: CiJob(n, name, 5, 1, True, STARTED) for n, name in names.items()})
    ci.journal = [
        CiRerun(
            attempt=0,
            check=n,
            name=name,
            head="a" * 40,
            workflow_run=5,
            of_attempt=1,
            evidence="Its machine failed",
        )
        for n, name in names.items()
    ]
    await settle(ci.as_run(), "a" * 40)
    assert ci.calls == [(7, 8)]
    assert [event.status for event in ci.as_run().reruns()] == ["done", "done"]
