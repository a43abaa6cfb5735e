"""Stories about failed CI jobs of the App's own pull request: run again, or for an attempt."""

from __future__ import annotations

from typing import Any

from tests.stories.table import admin, once, published, story
from tests.stories.world import StoryWorld
from tests.support.github.app import git

LOST = (
    "The hosted runner: GitHub Actions 8 lost communication with the server. Anything in your "
    "workflow that terminates the runner process, starves it for CPU/Memory, or blocks its network "
    "access can cause this error."
)
BROKEN = (
    "##[group]Run pytest\n"
    "FAILED tests/test_cart.py::test_total - AssertionError: wrong @octo/team\n"
    "1 failed, 3 passed in 0.10s\n##[error]Process completed with exit code 1.\n"
)


def reruns(world: StoryWorld) -> list[str]:
    """The calls for a re-run that GitHub took."""
    return [
        act.kind.rpartition("/")[2]
        for act in world.server.world_state.acts
        if act.kind.startswith("actions/re-run")
        and act.by_app
        and any(name in act.path for name in world.names)
    ]


def ci(world: StoryWorld, conclusion: str, log: str = "", **more: Any) -> None:
    """A job on the pull request's head ends."""
    world.github.ci(world.repo, world.pull()["head"]["ref"], conclusion, log, **more)


@story()
async def a_lost_runner_is_run_again_and_passes(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    ci(world, "failure", annotations=[LOST], others_run=True)
    await world.work()
    assert reruns(world) == []  # GitHub would refuse it
    ci(world, "success", name="lint")
    await world.work()
    assert reruns(world) == ["re-run-job-for-workflow-run"]
    said = "The check `tests` failed on"
    assert f"{said} `{world.pull()['head']['sha'][:12]}` and was run again (1 of at most 2" in (
        world.status(issue)
    )
    assert "lost communication with the server" in world.status(issue)
    ci(world, "success")
    await world.work()
    assert "(1 of at most 2 times), and passed. Its machine" in world.status(issue)
    assert (world.attempts, len(world.commits()), len(reruns(world))) == (1, 1, 1)
    assert world.said(world.pull()["number"]) == []
    published(world, issue)


@story()
async def a_job_runs_again_twice_at_most(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    for _ in range(3):
        ci(world, "failure", annotations=[LOST])
        await world.work()
    assert len(reruns(world)) == 2
    assert "(2 of at most 2 times), and failed again" in world.status(issue)
    assert (world.attempts, len(world.commits())) == (2, 2)  # the third is for an attempt
    once(world)


@story()
async def a_failure_without_evidence_is_for_an_attempt(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    ci(world, "failure", BROKEN)
    await world.work()
    assert (reruns(world), world.attempts, len(world.commits())) == ([], 2, 2)
    assert "run again" not in world.status(issue)
    # Where one of two failures is no chance, a change starts both anew.
    ci(world, "failure", BROKEN, others_run=True)
    ci(world, "failure", annotations=[LOST], name="lint")
    await world.work()
    assert (reruns(world), world.attempts) == ([], 3)
    once(world)


@story()
async def two_lost_jobs_of_a_workflow_are_one_call(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    ci(world, "failure", annotations=[LOST], others_run=True)
    ci(world, "failure", annotations=[LOST], name="lint")
    await world.work()
    assert reruns(world) == ["re-run-workflow-failed-jobs"]
    assert "The check `lint` failed on" in world.status(issue)
    assert world.attempts == 1


@story()
async def a_job_that_failed_and_passed_on_the_base_branch(world: StoryWorld) -> None:
    issue = world.labelled()
    tip = git(world.bare, "rev-parse", "main")
    world.github.ci(world.repo, tip, "failure", BROKEN)
    world.root("POST", f"/actions/runs/{await _first_run(world)}/rerun-failed-jobs")
    world.github.ci(world.repo, tip, "success")
    await world.work()
    ci(world, "failure", BROKEN)
    await world.work()
    assert reruns(world) == ["re-run-job-for-workflow-run"]
    assert f"On {tip[:12]} of the base branch the same job failed" in world.status(issue)
    assert world.attempts == 1


async def _first_run(world: StoryWorld) -> int:
    repo = world.server.world_state.repo(world.repo)
    assert repo is not None
    return next(iter(repo.workflow_runs))


@story()
async def github_runs_no_job_again(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    admin(world, "change-repo", reruns=False)
    ci(world, "failure", annotations=[LOST])
    await world.work()
    assert world.attempts == 2
    assert "run again" not in world.status(issue)
    published(world, issue)


@story()
async def without_the_permission_failures_are_for_an_attempt(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    permissions = world.server.world_state.app.permissions | {"actions": "read"}
    world.github.admin("change-installation", account=world.owner(), permissions=permissions)
    ci(world, "failure", annotations=[LOST])
    await world.work()
    assert (reruns(world), world.attempts) == ([], 2)
    published(world, issue)
