"""Jobs of GitHub Actions: the forge's blocking calls for them.

Source of facts: GitHub's REST descriptions, versions 2022-11-28 and 2026-03-10: a job has the id of
its check run, and a re-run of it answers 201 or 403. The words of the refusals are from public
issues (NVIDIA-NeMo/RL#1193, metabase/metabase#70916, cli/cli#9221); that a job may run again for 30
days is from GitHub's page "Re-running workflows and jobs".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from github import GithubException
from github.Requester import Requester

from app.github.answers import OddAnswer
from app.github.errors import RerunRefused
from app.github.paging import all_entries
from app.github.records import CiJob

_NO_PERMISSION = "Resource not accessible by integration"


def ci_job(requester: Requester, at: str, check: int) -> CiJob | None:
    """The job that a check run is; None where it is none, or the App may not read jobs."""
    try:
        _, job = requester.requestJsonAndCheck("GET", f"{at}/actions/jobs/{check}")
        _, run = requester.requestJsonAndCheck("GET", f"{at}/actions/runs/{job['run_id']}")
    except GithubException as error:
        if error.status not in (403, 404):
            raise
        return None
    path = f"{at}/check-runs/{check}/annotations"
    said = [str(each.get("message") or "") for each in all_entries(requester, path)]
    return CiJob(
        id=job["id"],
        name=job["name"],
        run_id=run["id"],
        run_attempt=run.get("run_attempt") or 1,
        run_ended=run["status"] == "completed",
        run_created_at=datetime.fromisoformat(run["created_at"].replace("Z", "+00:00")),
        annotations=tuple(said[:50]),
    )


def rerun_jobs(requester: Requester, at: str, run_id: int, jobs: Sequence[int]) -> None:
    """Run failed jobs of one workflow run again.

    One by its id. Several by the run's: after the first call GitHub refuses others while it runs.
    Raises `RerunRefused`.
    """
    path = f"{at}/actions/runs/{run_id}/rerun-failed-jobs"
    if len(jobs) == 1:
        path = f"{at}/actions/jobs/{jobs[0]}/rerun"
    try:
        _, answer = requester.requestJsonAndCheck("POST", path)
    except GithubException as error:
        words = str((error.data or {}).get("message", "")) if isinstance(error.data, dict) else ""
        if error.status != 403 or _NO_PERMISSION in words or "rate limit" in words.lower():
            raise
        raise RerunRefused(words, is_running="already running" in words) from None
    if not isinstance(answer, dict):
        raise OddAnswer("no answer to a re-run")
