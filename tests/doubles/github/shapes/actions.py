"""JSON of workflow runs and their jobs, as GitHub writes it."""

from tests.doubles.github import repository as git
from tests.doubles.github.shapes.basic import maybe, repo_page, repo_url, repository, user
from tests.doubles.github.shapes.checks import check_pulls
from tests.doubles.github.state import (
    CheckRun,
    Json,
    Repo,
    WorkflowRun,
    World,
    node_id,
    stamp,
)

WORKFLOW = 7001
PATH = ".github/workflows/ci.yml"


def branch_of(repo: Repo, sha: str) -> str | None:
    """A branch at that commit."""
    heads = [name for name, at in git.refs(repo.git).items() if at == sha and "/heads/" in name]
    return heads[0].removeprefix("refs/heads/") if heads else None


def workflow_run(world: World, repo: Repo, run: WorkflowRun) -> Json:
    """A workflow run."""
    api = f"{repo_url(world, repo)}/actions/runs/{run.id}"
    found = git.commit(repo.git, run.head_sha)
    links = ("jobs", "logs", "artifacts", "cancel", "rerun")
    before = f"{api}/attempts/{run.attempt - 1}" if run.attempt > 1 else None
    return {
        "id": run.id,
        "name": "CI",
        "node_id": node_id("WorkflowRun", run.id),
        "check_suite_id": run.suite.id,
        "check_suite_node_id": node_id("CheckSuite", run.suite.id),
        "check_suite_url": f"{repo_url(world, repo)}/check-suites/{run.suite.id}",
        "head_branch": branch_of(repo, run.head_sha),
        "head_sha": run.head_sha,
        "path": PATH,
        "run_number": run.number,
        "run_attempt": run.attempt,
        "previous_attempt_url": before,
        "referenced_workflows": [],
        "event": "push",
        "display_title": found.message.split("\n")[0],
        "status": run.status,
        "conclusion": run.conclusion,
        "workflow_id": WORKFLOW,
        "workflow_url": f"{repo_url(world, repo)}/actions/workflows/{WORKFLOW}",
        "url": api,
        "html_url": f"{repo_page(world, repo)}/actions/runs/{run.id}",
        **{f"{link}_url": f"{api}/{link}" for link in links},
        "pull_requests": check_pulls(world, repo, run.head_sha),
        "created_at": stamp(run.created_at),
        "updated_at": stamp(world.now()),
        "run_started_at": stamp(run.created_at),
        "actor": user(world.urls, run.by),
        "triggering_actor": user(world.urls, run.by),
        "head_commit": {
            "id": found.sha,
            "tree_id": found.tree,
            "message": found.message,
            "timestamp": found.committer.date,
            "author": {"name": found.author.name, "email": found.author.email},
            "committer": {"name": found.committer.name, "email": found.committer.email},
        },
        "repository": repository(world, repo),
        "head_repository": repository(world, repo),
    }


_NOT_IN_EVENTS = {"clone_url", "git_url", "mirror_url", "ssh_url", "svn_url"}
_NAMES = {"id", "node_id", "name", "full_name", "private", "owner", "description", "fork", "url"}


def told_run(world: World, repo: Repo, run: WorkflowRun) -> Json:
    """A workflow run, as its events carry it: with less of the repository."""
    brief = {
        key: value
        for key, value in repository(world, repo).items()
        if key in _NAMES or (key.endswith("_url") and key not in _NOT_IN_EVENTS)
    }
    shown = workflow_run(world, repo, run)
    return shown | {"repository": brief, "head_repository": brief}


def workflow(world: World, repo: Repo) -> Json:
    """The workflow, as its events carry it."""
    page = repo_page(world, repo)
    return {
        "id": WORKFLOW,
        "node_id": node_id("Workflow", WORKFLOW),
        "name": "CI",
        "path": PATH,
        "state": "active",
        "created_at": stamp(repo.created_at),
        "updated_at": stamp(repo.created_at),
        "url": f"{repo_url(world, repo)}/actions/workflows/{WORKFLOW}",
        "html_url": f"{page}/blob/{repo.default_branch}/{PATH}",
        "badge_url": f"{page}/workflows/CI/badge.svg",
    }


def job(world: World, repo: Repo, run: CheckRun) -> Json:
    """A job: the check run, as GitHub Actions has it."""
    assert run.workflow is not None
    api = repo_url(world, repo)
    page = f"{repo_page(world, repo)}/actions/runs/{run.workflow.id}/job/{run.id}"
    return {
        "id": run.id,
        "run_id": run.workflow.id,
        "run_url": f"{api}/actions/runs/{run.workflow.id}",
        "run_attempt": run.attempt,
        "node_id": node_id("CheckRun", run.id),
        "head_sha": run.head_sha,
        "head_branch": branch_of(repo, run.head_sha),
        "workflow_name": "CI",
        "url": f"{api}/actions/jobs/{run.id}",
        "html_url": page,
        "check_run_url": f"{api}/check-runs/{run.id}",
        "name": run.name,
        "status": run.status,
        "conclusion": run.conclusion,
        "created_at": stamp(run.workflow.created_at),
        "started_at": stamp(run.started_at or world.now()),
        "completed_at": maybe(run.completed_at),
        "steps": [],
        "labels": ["ubuntu-latest"],
        "runner_id": 1,
        "runner_name": "GitHub Actions 1",
        "runner_group_id": 0,
        "runner_group_name": "GitHub Actions",
    }
