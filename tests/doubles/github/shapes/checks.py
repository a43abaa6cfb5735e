"""JSON of check runs, check suites and commit statuses, as GitHub writes it."""

from tests.doubles.github import repository as git
from tests.doubles.github.shapes.basic import (
    app,
    ci_app,
    maybe,
    repo_page,
    repo_url,
    repository,
    user,
)
from tests.doubles.github.state import (
    CheckRun,
    CheckSuite,
    Json,
    Repo,
    Status,
    World,
    node_id,
    stamp,
)


def check_pulls(world: World, repo: Repo, sha: str) -> list[Json]:
    """The open pull requests whose head is that commit, in the form that checks list them.

    Those of forks are not listed ("Check runs": the list is empty for forks).
    """
    brief = {"id": repo.id, "url": repo_url(world, repo), "name": repo.name}
    return [
        {
            "id": item.pull.id,
            "number": item.number,
            "url": f"{brief['url']}/pulls/{item.number}",
            "head": {"ref": item.pull.head_ref, "sha": item.pull.head_sha, "repo": brief},
            "base": {"ref": item.pull.base_ref, "sha": item.pull.base_sha, "repo": brief},
        }
        for item in repo.issues.values()
        if item.pull and item.state == "open" and item.pull.head_sha == sha
        if not item.pull.head_repo_id
    ]


def check_run(world: World, repo: Repo, run: CheckRun) -> Json:
    """A check run in the REST form."""
    url = f"{repo_url(world, repo)}/check-runs/{run.id}"
    page = f"{repo_page(world, repo)}/runs/{run.id}"
    return {
        "id": run.id,
        "name": run.name,
        "node_id": node_id("CheckRun", run.id),
        "head_sha": run.head_sha,
        "external_id": run.external_id,
        "url": url,
        "html_url": page,
        "details_url": run.details_url or page,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": maybe(run.started_at),
        "completed_at": maybe(run.completed_at),
        "output": {
            "title": run.output.get("title"),
            "summary": run.output.get("summary"),
            "text": run.output.get("text"),
            "annotations_count": len(run.output.get("annotations", [])),
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": run.suite.id},
        "app": app(world) if run.by_app else ci_app(world),
        "pull_requests": check_pulls(world, repo, run.head_sha),
    }


def suite_state(repo: Repo, suite: CheckSuite) -> tuple[str, str | None]:
    """Status and conclusion of a suite, from its runs."""
    runs = [run for run in repo.check_runs.values() if run.suite is suite]
    if not runs or any(run.status != "completed" for run in runs):
        return ("in_progress" if runs else "queued"), None
    bad = next((r.conclusion for r in runs if r.conclusion not in {"success", "neutral"}), None)
    return "completed", bad or "success"


def check_suite(world: World, repo: Repo, suite: CheckSuite) -> Json:
    """A check suite without the parts that only REST has; as ``check_run`` events carry it."""
    status, conclusion = suite_state(repo, suite)
    heads = [name for name, sha in git.refs(repo.git).items() if sha == suite.head_sha]
    branch = next((h.removeprefix("refs/heads/") for h in heads if "/heads/" in h), None)
    return {
        "id": suite.id,
        "node_id": node_id("CheckSuite", suite.id),
        "head_branch": branch,
        "head_sha": suite.head_sha,
        "status": status,
        "conclusion": conclusion,
        "url": f"{repo_url(world, repo)}/check-suites/{suite.id}",
        "before": None,
        "after": suite.head_sha,
        "pull_requests": check_pulls(world, repo, suite.head_sha),
        "app": app(world) if suite.by_app else ci_app(world),
        "created_at": stamp(suite.created_at),
        "updated_at": stamp(suite.created_at),
    }


def check_suite_full(world: World, repo: Repo, suite: CheckSuite) -> Json:
    """The answer of ``GET …/check-suites/{id}``."""
    found = git.commit(repo.git, suite.head_sha)
    return check_suite(world, repo, suite) | {
        "latest_check_runs_count": sum(r.suite is suite for r in repo.check_runs.values()),
        "check_runs_url": f"{repo_url(world, repo)}/check-suites/{suite.id}/check-runs",
        "head_commit": {
            "id": found.sha,
            "tree_id": found.tree,
            "message": found.message,
            "timestamp": found.committer.date,
            "author": {"name": found.author.name, "email": found.author.email},
            "committer": {"name": found.committer.name, "email": found.committer.email},
        },
        "repository": repository(world, repo),
    }


def merge_group(repo: Repo, head_ref: str, head: str, base_ref: str, base: str) -> Json:
    """A merge group, as its events carry it."""
    found = git.commit(repo.git, head)
    return {
        "head_sha": head,
        "head_ref": head_ref,
        "base_sha": base,
        "base_ref": base_ref,
        "head_commit": {
            "id": found.sha,
            "tree_id": found.tree,
            "message": found.message,
            "timestamp": found.committer.date,
            "author": {"name": found.author.name, "email": found.author.email},
            "committer": {"name": found.committer.name, "email": found.committer.email},
        },
    }


def status(world: World, repo: Repo, given: Status) -> Json:
    """A commit status."""
    return {
        "url": f"{repo_url(world, repo)}/statuses/{given.sha}",
        "avatar_url": user(world.urls, given.creator)["avatar_url"],
        "id": given.id,
        "node_id": node_id("Status", given.id),
        "state": given.state,
        "description": given.description,
        "target_url": given.target_url,
        "context": given.context,
        "created_at": stamp(given.created_at),
        "updated_at": stamp(given.created_at),
        "creator": user(world.urls, given.creator),
    }
