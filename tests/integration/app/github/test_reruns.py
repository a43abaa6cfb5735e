"""Failed CI jobs and their re-runs, as GitHub tells of them and refuses them."""

from __future__ import annotations

import pytest

from app.cli.doctor import _told_reruns
from app.github.client import GithubForge
from app.github.errors import ForgeDenied, RerunRefused
from app.github.webhook_events import WorkflowEnded
from app.github.webhooks import Ignored, parse
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.support.github.payloads import encoded

LOST = "The hosted runner lost communication with the server."


async def test_a_job_runs_again_once_its_workflow_is_over(
    forge: GithubForge, github_world: GithubWorld, shop: str
) -> None:
    lost = github_world.ci(shop, "main", "failure", annotations=[LOST], others_run=True)
    job = await forge.ci_job(lost)
    assert job is not None
    assert (job.name, job.run_attempt, job.run_ended) == ("tests", 1, False)
    assert job.annotations == (LOST,)
    with pytest.raises(RerunRefused, match="already running") as running:
        await forge.rerun_jobs(job.run_id, [job.id])
    assert running.value.is_running
    github_world.ci(shop, "main", "success", name="lint")
    await forge.rerun_jobs(job.run_id, [job.id])
    # Its answer may be lost: another call does nothing, and the attempt tells.
    with pytest.raises(RerunRefused):
        await forge.rerun_jobs(job.run_id, [job.id])
    again = await forge.ci_job(lost)
    assert again is not None
    assert (again.run_attempt, again.run_ended) == (2, False)
    sha = github_world.collaborator(shop, "root", "admin").call(
        "GET", f"/repos/{shop}/commits/main"
    )["sha"]
    assert await forge.failed_checks(sha) == ()
    assert await forge.commit_with_both_outcomes("tests", [sha]) == ""
    github_world.ci(shop, "main", "success")
    assert await forge.commit_with_both_outcomes("tests", [sha]) == sha
    assert await forge.commit_with_both_outcomes("lint", [sha]) == ""
    assert await forge.ci_job(1) is None
    assert await forge.hears("workflow_run")
    assert not await forge.hears("star")


async def test_what_github_does_not_run_again(
    forge: GithubForge, github_world: GithubWorld, github_server: GithubServer, shop: str
) -> None:
    failed = github_world.ci(shop, "main", "failure")
    job = await forge.ci_job(failed)
    assert job is not None
    permissions = github_server.world_state.app.permissions | {"actions": "read"}
    github_world.admin("change-installation", account="acme", permissions=permissions)
    fresh = GithubForge(forge._app, 0, shop)
    with pytest.raises(ForgeDenied):
        await fresh.rerun_jobs(job.run_id, [job.id])
    await fresh.close()
    github_world.admin(
        "change-installation", account="acme", permissions=permissions | {"actions": "write"}
    )
    allowed = GithubForge(forge._app, 0, shop)
    github_world.admin("change-repo", repo=shop, reruns=False)
    with pytest.raises(RerunRefused, match="cannot be retried"):
        await allowed.rerun_jobs(job.run_id, [job.id])
    github_world.admin("change-repo", repo=shop, reruns=True)
    github_world.advance(31 * 86_400)
    with pytest.raises(RerunRefused, match="over a month ago") as old:
        await allowed.rerun_jobs(job.run_id, [job.id, job.id + 1])
    assert not old.value.is_running
    await allowed.close()


def test_which_workflows_are_heard() -> None:
    base = {"ref": "main", "sha": "b" * 40, "repo": {"id": 9}}
    pulls = [{"number": 7, "base": base}, {"number": 8, "base": base | {"repo": {"id": 10}}}]

    def told(**run: object) -> object:
        payload = {
            "action": "completed",
            "workflow_run": {"head_sha": "a" * 40, "pull_requests": pulls, **run},
            "repository": {"id": 9, "full_name": "acme/shop"},
            "sender": {"login": "github-actions[bot]", "type": "Bot"},
            "installation": {"id": 3},
        }
        return parse("workflow_run", encoded(payload))

    ended = told(conclusion="failure", run_attempt=1)
    assert isinstance(ended, WorkflowEnded)
    assert ended.pulls == (7,)
    assert isinstance(told(conclusion="cancelled", run_attempt=1), WorkflowEnded)
    assert isinstance(told(conclusion="success", run_attempt=2), WorkflowEnded)
    assert isinstance(told(conclusion="success", run_attempt=1), Ignored)
    assert isinstance(told(conclusion="failure", pull_requests=[]), Ignored)


def test_the_doctor_says_what_the_app_lacks() -> None:
    assert "may be run again" in _told_reruns({"actions": "write"}, ["workflow_run"])
    said = _told_reruns({"actions": "read"}, ["push"])
    assert "the permission Actions: write and the event Workflow run" in said
    assert "Workflow run" not in _told_reruns({}, ["workflow_run"])
