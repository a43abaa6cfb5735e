"""A repository's own settings, template and owners, read from and honoured at the stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.journal.state import AttemptState
from app.git.mirror import Mirror, PatchUnusable
from app.git.process import GitError
from app.github.client import GithubForge
from app.github.errors import ForgeError
from app.publishing import publish
from app.publishing.facts import RunFacts
from app.publishing.markers import branch_name, own_branch_name
from app.repo_config.effective import read_effective_config
from app.runs import failures
from app.settings.schema import Settings
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.fixtures import github_server, github_world
from tests.doubles.github.server import GithubServer
from tests.support.github.app import CART, app_of, installation_of
from tests.support.runs.states import state_of
from tests.support.runs.world import git

__all__ = ["github_server", "github_world"]

REPO = "acme/shop"
OWN = """\
attempts: 1
pull_request:
  draft_only: true
  labels: [patchwright, bug]
  reviewers_from_codeowners: true
  co_author_reporter: true
"""
ABOVE = "budget: {calls: 77}\nlanguage: en\npull_request: {labels: [from above]}\n"
FILES = {
    "shop/cart.py": CART,
    ".github/patchwright.yml": OWN,
    ".github/Pull_Request_Template.md": "## What\n\n## How tested\n\n- [ ] by hand\n",
    "CODEOWNERS": "* @cat\n/shop/ @bob @nobody-here @acme/team\n",
}


def create(
    world: GithubWorld, name: str, files: dict[str, str], folder: Path, labels: tuple[str, ...] = ()
) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    world.create_repo(name, folder=folder, private=True)
    root = world.collaborator(name, "root", "admin")
    for label in labels:
        body = {"name": label, "color": "5319e7", "description": label}
        root.call("POST", f"/repos/{name}/labels", body)


@pytest.fixture
async def forge(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> AsyncIterator[GithubForge]:
    create(github_world, REPO, FILES, tmp_path / "shop", ("patchwright", "bug"))
    above = {".github/patchwright.yml": ABOVE}
    create(github_world, "acme/.github", above, tmp_path / "above")
    github_world.collaborator(REPO, "bob")
    made = GithubForge(app_of(github_server), installation_of(github_server, REPO), REPO)
    yield made
    await made.close()


async def run_of(forge: GithubForge, mirror: Mirror, world: GithubWorld) -> RunFacts:
    number = world.collaborator(REPO, "ann").open_issue(REPO, "Total is wrong")
    fetched = await publish.fetch(forge, mirror)
    thread = await forge.issue(number)
    return RunFacts(
        run_id="run-0001",
        repository=REPO,
        issue_number=number,
        issue_title="Total is wrong",
        base_branch="main",
        base_commit=fetched.base_commit,
        started_at=datetime(2026, 1, 2, tzinfo=UTC),
        run_url="http://pw.example/runs/run-0001",
        reporter=thread.author,
        reporter_id=thread.author_id,
    )


async def test_every_setting_of_the_repository_is_applied(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    config = await read_effective_config(Settings(), forge)
    assert config.problems == ()
    assert (config.budget.calls, config.pull_request.labels) == (77, ("patchwright", "bug"))
    mirror = Mirror.of_remote(tmp_path / "mirrors", f"{github_server.git_url}/{REPO}.git")
    run = await run_of(forge, mirror, github_world)
    result = await publish.publish(forge, mirror, run, state_of(), config)
    assert result.draft  # as asked for, although it is proven
    (pull,) = github_world.pulls(REPO)
    assert sorted(label["name"] for label in pull["labels"]) == ["bug", "patchwright"]
    assert pull["body"].split("\n")[2:5] == ["## What", "", "Start at 0."]
    assert "- [ ] by hand" in pull["body"]
    assert [who["login"] for who in pull["requested_reviewers"]] == ["bob"]
    root = github_world.collaborator(REPO, "root", "admin")
    runs = root.call("GET", f"/repos/{REPO}/commits/{result.commit}/check-runs")["check_runs"]
    assert [(r["name"], r["conclusion"]) for r in runs] == [("Patchwright", "success")]
    (remark,) = root.call("GET", f"/repos/{REPO}/check-runs/{runs[0]['id']}/annotations")
    assert (remark["path"], remark["start_line"], remark["end_line"]) == ("shop/cart.py", 2, 2)
    message = root.call("GET", f"/repos/{REPO}/commits/{result.commit}")["commit"]["message"]
    assert f"Co-authored-by: ann <{run.reporter_id}+ann@users.noreply.github.com>" in message

    before = len(github_world.acts())
    await publish.publish(forge, mirror, run, state_of(), config)
    kinds = {act["kind"] for act in github_world.acts()[before:]}
    refused_again = {"pulls/request-reviewers"}  # of those who cannot review
    assert kinds <= {"issues/add-labels"} | refused_again
    (again,) = root.call("GET", f"/repos/{REPO}/commits/{result.commit}/check-runs")["check_runs"]
    assert again["output"]["annotations_count"] == 1


async def test_only_the_default_branch_counts(
    forge: GithubForge, github_server: GithubServer
) -> None:
    found = github_server.world_state.repo(REPO)
    assert found is not None
    stream = (
        "commit refs/heads/evil\ncommitter a <a@b> 1700000000 +0000\ndata 4\nevil\n"
        "from refs/heads/main\nM 100644 inline .github/patchwright.yml\ndata 19\n"
        "budget: {calls: 1}\n\n"
    )
    git(found.git, "fast-import", "--quiet", stdin=stream)
    assert (await read_effective_config(Settings(), forge)).budget.calls == 77


async def test_a_faulty_file_is_told_once_and_stops_where_configured(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    files = {"a.py": "x = 1\n", ".github/patchwright.yml": "attempts: 1\nmodle: x\n"}
    create(github_world, REPO, files, tmp_path / "shop")
    forge = GithubForge(app_of(github_server), installation_of(github_server, REPO), REPO)
    number = github_world.collaborator(REPO, "ann").open_issue(REPO, "Broken")
    config = await read_effective_config(Settings(), forge)
    assert (config.attempts, config.stop) == (1, False)
    assert (await read_effective_config(Settings(bad_repo_config="stop"), forge)).stop
    for _ in range(2):
        await publish.report_config_problems(forge, number, config, REPO)
    (comment,) = github_world.comments(REPO, number)
    assert "line 2: modle: there is no such setting; did you mean model?" in comment["body"]
    await forge.close()


async def test_a_patch_that_brings_a_secret_is_not_published(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    mirror = Mirror.of_remote(tmp_path / "mirrors", f"{github_server.git_url}/{REPO}.git")
    run = await run_of(forge, mirror, github_world)
    patch = (
        "diff --git a/shop/cart.py b/shop/cart.py\n--- a/shop/cart.py\n+++ b/shop/cart.py\n"
        "@@ -1,2 +1,3 @@\n def total(xs):\n+    key = 'AKIA" + "IOSFODNN7EXAMPLE'\n     t = 1\n"
    )
    judged = replace(state_of(patch), verdict=None)
    with pytest.raises(PatchUnusable, match="looks like a password or key"):
        await publish.publish(forge, mirror, run, judged)
    assert github_world.pulls(REPO) == []


@pytest.mark.parametrize(
    ("what", "action", "change"),
    [
        ("suspended", "change-installation", {"suspended": True}),
        ("removed", "change-installation", {"repositories": ["acme/.github"]}),
        ("removed", "uninstall", {}),
        ("archived", "change-repo", {"repo": REPO, "archived": True}),
    ],
)
async def test_what_happens_at_github_meanwhile_has_its_own_end(
    forge: GithubForge,
    github_world: GithubWorld,
    what: str,
    action: str,
    change: dict[str, Any],
) -> None:
    number = github_world.collaborator(REPO, "ann").open_issue(REPO, "Total is wrong")
    await forge.issue(number)
    github_world.admin(action, account="acme", **change)
    facts = RunFacts("r", REPO, number, "t", "main", "a" * 40, datetime(2026, 1, 2, tzinfo=UTC))
    with pytest.raises(ForgeError) as raised:
        await publish.update_status_comment(forge, facts, "debugging", AttemptState())
    ending = failures.stop_reason_for_error(raised.value)
    assert ending is not None, raised.value
    assert ending.kind == what


@pytest.mark.parametrize(("what", "method"), [("locked", "PUT"), ("closed", "PATCH")])
async def test_an_issue_that_is_closed_or_locked_meanwhile(
    forge: GithubForge, github_world: GithubWorld, what: str, method: str
) -> None:
    number = github_world.collaborator(REPO, "ann").open_issue(REPO, "Total is wrong")
    issue = f"/repos/{REPO}/issues/{number}"
    root = github_world.collaborator(REPO, "root", "admin")
    if what == "locked":
        root.call(method, f"{issue}/lock", {})
    else:
        root.call(method, issue, {"state": "closed"})
    ending = failures.stop_reason_for_issue(
        await forge.issue(number), await forge.repository(), name=REPO, number=number
    )
    assert ending is not None
    assert ending.kind == what


async def test_a_protected_branch_has_its_own_end(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    mirror = Mirror.of_remote(tmp_path / "mirrors", f"{github_server.git_url}/{REPO}.git")
    run = await run_of(forge, mirror, github_world)
    names = [branch_name(run), own_branch_name(run)]
    github_world.admin("change-repo", repo=REPO, protected_branches=names)
    with pytest.raises(GitError) as raised:
        await publish.publish(forge, mirror, run, state_of())
    ending = failures.stop_reason_for_error(raised.value)
    assert ending is not None, raised.value
    assert (ending.kind, ending.post_comment) == ("protected", True)
