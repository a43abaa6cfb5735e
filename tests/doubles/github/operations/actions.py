"""Operations on workflow runs and jobs of GitHub Actions.

The description of a re-run names the answers 201 and 403. The words of the refusals: "… is already
running" and "This workflow run cannot be retried" from public issues (NVIDIA-NeMo/RL#1193,
metabase/metabase#70916); those for runs older than 30 days ("Re-running workflows and jobs") are
ours.
"""

from datetime import timedelta

from tests.doubles.github.operations.operation import Answer, Call, GithubError, Table, not_found
from tests.doubles.github.shapes import actions
from tests.doubles.github.state import CheckRun, WorkflowRun

table = Table()
_JOB = "/repos/{owner}/{repo}/actions/jobs/{job_id}"
_RUN = "/repos/{owner}/{repo}/actions/runs/{run_id}"
_OLDEST = timedelta(days=30)
_MOST_ATTEMPTS = 51
_BAD = ("failure", "timed_out", "cancelled")


def _job(call: Call) -> CheckRun:
    run = call.repo.check_runs.get(call.number("job_id"))
    if run is None or run.workflow is None:
        raise not_found()
    return run


def _workflow_run(call: Call) -> WorkflowRun:
    run = call.repo.workflow_runs.get(call.number("run_id"))
    if run is None:
        raise not_found()
    return run


@table.add("actions/get-job-for-workflow-run", f"GET {_JOB}", needs="actions:read")
def get_job(call: Call) -> Answer:
    """One job."""
    return Answer(200, actions.job(call.world, call.repo, _job(call)))


@table.add("actions/get-workflow-run", f"GET {_RUN}", needs="actions:read")
def get_run(call: Call) -> Answer:
    """A workflow run, as its newest attempt is."""
    return Answer(200, actions.workflow_run(call.world, call.repo, _workflow_run(call)))


@table.add(
    "actions/re-run-job-for-workflow-run",
    f"POST {_JOB}/rerun",
    needs="actions:write",
    role="write",
)
def rerun_job(call: Call) -> Answer:
    """Run a job again, in another attempt of its workflow."""
    job = _job(call)
    assert job.workflow is not None
    _again(call, job.workflow, [job], "The workflow run containing this job is already running")
    return Answer(201, {})


@table.add(
    "actions/re-run-workflow-failed-jobs",
    f"POST {_RUN}/rerun-failed-jobs",
    needs="actions:write",
    role="write",
)
def rerun_failed(call: Call) -> Answer:
    """Run all failed jobs of a workflow run again."""
    run = _workflow_run(call)
    newest = {job.name: job for job in call.repo.check_runs.values() if job.workflow is run}
    failed = [job for job in newest.values() if job.conclusion in _BAD]
    _again(call, run, failed, "This workflow run is already running")
    return Answer(201, {})


def _again(call: Call, run: WorkflowRun, jobs: list[CheckRun], running: str) -> None:
    world = call.world
    if run.status != "completed":
        raise GithubError(403, running)
    if world.now() - run.created_at > _OLDEST:
        raise GithubError(403, "This workflow run was created over a month ago")
    if not call.repo.reruns or run.attempt >= _MOST_ATTEMPTS:
        raise GithubError(403, "This workflow run cannot be retried")
    run.attempt += 1
    run.status, run.conclusion = "queued", None
    for job in jobs:
        made = CheckRun(
            id=world.next_id(),
            suite=job.suite,
            name=job.name,
            head_sha=job.head_sha,
            status="queued",
            conclusion=None,
            started_at=None,
            completed_at=None,
            external_id="",
            details_url=None,
            output={},
            by_app=False,
            workflow=run,
            attempt=run.attempt,
        )
        call.repo.check_runs[made.id] = made
