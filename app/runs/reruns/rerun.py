"""Runs failed CI jobs of the run's pull request again, each at most twice, and says why.

GitHub has no key for a re-run. What stands for it is the number of the workflow's attempt: it is
journalled before the call, and where it has grown, the call was made, or a person's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from agent.journal.events import CiRerun, GateJudged, now
from app.git import ancestry
from app.git.mirror import Mirror
from app.github.errors import ForgeDenied, RerunRefused
from app.github.records import CiJob, FailedCheck, Pull
from app.runs.active_run import ActiveRun
from app.runs.attachments import keep_check_log
from app.runs.reruns.evidence import (
    OLDEST_DAYS,
    JobFacts,
    evidence,
    known_flaky,
    passed_files,
)
from app.runs.reruns.log_signs import read_log
from app.telemetry import logs

BASE_COMMITS = 8
"""Newest commits of the base branch on which the same job is looked for."""
LOG_CHARS = 4_000_000
"""The end of a log that is read."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class _Case:
    """A failed check that is to be run again."""

    job: CiJob
    evidence: str


async def settle(run: ActiveRun, head: str) -> None:
    """Finish what a worker that died had begun, and note how jobs that ran again ended."""
    changed = False
    unmade: list[CiRerun] = []
    for event in run.reruns():
        if event.status not in ("asked", "done"):
            continue
        job = await run.forge.ci_job(event.check)
        if event.status == "asked":
            began_before = job is not None and job.run_attempt > event.of_attempt
            if job is None:
                _note(run, [event], "refused")
            elif began_before:
                _note(run, [event], "done")
            else:
                unmade.append(event)
            changed = True
        elif job is not None and job.run_attempt > event.of_attempt and job.run_ended:
            failed = {check.name for check in await run.forge.failed_checks(event.head)}
            _note(run, [event], "failed" if event.name in failed else "passed")
            changed = True
    # Together, as they were asked for: after one job alone the others' workflow would look begun.
    await _act(run, unmade)
    if changed:
        await _tell(run, head)


def untried(run: ActiveRun, checks: Sequence[FailedCheck]) -> list[FailedCheck]:
    """Those of the checks that were not run again: GitHub's lists may still have the others."""
    tried = {event.check for event in run.reruns() if event.status != "refused"}
    return [check for check in checks if check.id not in tried]


async def run_again(
    run: ActiveRun, pull: Pull, mirror: Mirror, head: str, checks: Sequence[FailedCheck]
) -> str:
    """Run the failed checks again, if each of them seems to have failed by chance.

    Returns what was done, in words; empty: nothing, and the failures are for an attempt.
    """
    cases = await _cases(run, pull, mirror, checks)
    if not cases:
        return ""
    if not all(case.job.run_ended for case in cases):
        # GitHub runs no job again while others of its workflow run.
        return "a workflow is still running" if await run.forge.hears("workflow_run") else ""
    asked = [
        CiRerun(
            attempt=0,
            check=case.job.id,
            name=case.job.name,
            head=head,
            workflow_run=case.job.run_id,
            of_attempt=case.job.run_attempt,
            evidence=case.evidence,
        )
        for case in cases
    ]
    run.check_lease()
    run.store.append(run.record.id, asked)
    if not await _act(run, asked):
        return ""
    await _tell(run, head)
    return "failed jobs run again"


async def _act(run: ActiveRun, asked: Sequence[CiRerun]) -> bool:
    """Make the calls, one for each workflow; whether GitHub took them all."""
    taken = True
    for workflow_run in dict.fromkeys(event.workflow_run for event in asked):
        events = [event for event in asked if event.workflow_run == workflow_run]
        run.check_lease()
        try:
            await run.forge.rerun_jobs(workflow_run, [event.check for event in events])
        except (RerunRefused, ForgeDenied) as error:
            if not (isinstance(error, RerunRefused) and error.is_running):
                _log.warning("a failed job is not run again", run=run.record.id, why=str(error))
                _note(run, events, "refused")
                taken = False
                continue
        _note(run, events, "done")
    return taken


async def _cases(
    run: ActiveRun, pull: Pull, mirror: Mirror, checks: Sequence[FailedCheck]
) -> list[_Case]:
    """The checks with what speaks for chance; none where nothing does for one of them."""
    found = []
    for check in checks:
        job = await run.forge.ci_job(check.id)
        if job is None or now() - job.run_created_at > timedelta(days=OLDEST_DAYS):
            return []
        why = await _evidence(run, pull, mirror, check, job)
        if not why:
            return []
        found.append(_Case(job, why))
    return found


async def _evidence(
    run: ActiveRun, pull: Pull, mirror: Mirror, check: FailedCheck, job: CiJob
) -> str:
    log_id = await keep_check_log(run, check)
    data = run.store.get_log(run.record.id, log_id) if log_id else None
    text = (data or b"")[-LOG_CHARS:].decode("utf-8", errors="replace")
    judgements = [event for event in run.events() if isinstance(event, GateJudged)]
    chosen = (run.chosen_attempts() or [1])[-1]
    facts = JobFacts(
        attempt=job.run_attempt,
        signs=await asyncio.to_thread(read_log, text, job.annotations),
        flaky=known_flaky(judgements),
        passed_files=passed_files(run.state(chosen).verdict),
        changed=frozenset(await run.forge.changed_paths(pull.number)),
    )
    if why := evidence(facts):
        return why
    tip = await asyncio.to_thread(mirror.base_commit, pull.base_branch)
    commits = await asyncio.to_thread(ancestry.latest, mirror, tip, BASE_COMMITS)
    both = await run.forge.commit_with_both_outcomes(check.name, commits)
    return evidence(
        JobFacts(attempt=job.run_attempt, signs=facts.signs, both_ways=both) if both else facts
    )


def _note(run: ActiveRun, events: Sequence[CiRerun], status: str) -> None:
    run.store.append(
        run.record.id, [event.model_copy(update={"status": status}) for event in events]
    )


async def _tell(run: ActiveRun, head: str) -> None:
    """Say it in the status comment."""
    shown = run.state((run.chosen_attempts() or [1])[-1])
    await run.update_status("done", run.facts(), shown, run.record.pull_request)
    _log.info("failed jobs run again", run=run.record.id, head=head)
