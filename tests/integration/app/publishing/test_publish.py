"""From a patch to a pull request at the stand-in GitHub: real HTTP, real git, and repetitions."""

import asyncio
import base64
import os
import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.journal.events import GateJudged
from agent.journal.state import AttemptState
from app.git.mirror import Mirror, PatchUnusable, PushRefused
from app.git.process import GitDenied, GitError, GitMissing
from app.github.client import GithubForge
from app.github.errors import ForgeAway, ForgeError
from app.publishing import publish
from app.publishing.facts import RunFacts
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.support.github.app import PATCH, app_of, git, installation_of
from tests.support.runs.states import PROVEN, state_of

TOKEN = "apps/create-installation-access-token"


@pytest.fixture
def mirror(github_server: GithubServer, shop: str, tmp_path: Path) -> Mirror:
    return Mirror.of_remote(tmp_path / "mirrors", f"{github_server.git_url}/{shop}.git")


@pytest.fixture
async def run(forge: GithubForge, mirror: Mirror, github_world: GithubWorld, shop: str) -> RunFacts:
    """A run whose repository is fetched."""
    number = github_world.collaborator(shop, "ann").open_issue(shop, "Total is wrong")
    fetched = await publish.fetch(forge, mirror)
    return RunFacts(
        run_id="run-0001",
        repository=shop,
        issue_number=number,
        issue_title="Total is wrong",
        base_branch=fetched.repository.default_branch,
        base_commit=fetched.base_commit,
        started_at=datetime(2026, 1, 2, tzinfo=UTC),
        run_url="http://pw.example/runs/run-0001",
        budget_calls=300,
    )


def remote_ref(server: GithubServer, repo: str, branch: str) -> str:
    found = server.world_state.repo(repo)
    assert found is not None
    return git(found.git, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")


async def test_a_patch_becomes_a_pull_request(
    forge: GithubForge,
    mirror: Mirror,
    run: RunFacts,
    github_server: GithubServer,
    github_world: GithubWorld,
) -> None:
    await publish.update_status_comment(forge, run, "queued", AttemptState())
    await publish.update_status_comment(forge, run, "debugging", AttemptState())
    result = await publish.publish(forge, mirror, run, state_of())
    assert not result.draft
    assert result.branch == f"patchwright/issue-{run.issue_number}-total-is-wrong"
    assert remote_ref(github_server, run.repository, result.branch) == result.commit
    (pull,) = github_world.pulls(run.repository)
    assert pull["html_url"] == result.pull.url
    assert pull["head"]["sha"] == result.commit
    assert f"Fixes #{run.issue_number}" in pull["body"]
    assert [label["name"] for label in pull["labels"]] == ["patchwright"]
    diff = github_world.diff(run.repository, result.pull.number)
    assert "-    t = 1\n+    t = 0" in diff
    (status,) = github_world.comments(run.repository, run.issue_number)
    assert status["user"]["login"] == "patchwright[bot]"
    assert result.pull.url in status["body"]


async def test_publishing_again_duplicates_nothing(
    forge: GithubForge,
    mirror: Mirror,
    run: RunFacts,
    github_server: GithubServer,
    github_world: GithubWorld,
    tmp_path: Path,
) -> None:
    first = await publish.publish(forge, mirror, run, state_of())
    before = len(github_world.acts())
    labelled = replace(first, pull=replace(first.pull, labels=("patchwright",)))
    assert await publish.publish(forge, mirror, run, state_of()) == labelled
    # Another machine, which knows nothing of it.
    other_forge = GithubForge(
        app_of(github_server), installation_of(github_server, run.repository), run.repository
    )
    other_mirror = Mirror.of_remote(
        tmp_path / "other", f"{github_server.git_url}/{run.repository}.git"
    )
    await publish.fetch(other_forge, other_mirror)
    assert await publish.publish(other_forge, other_mirror, run, state_of()) == labelled
    await other_forge.close()
    added = {a["kind"] for a in github_world.acts()[before:]}
    assert added <= {"issues/add-labels", TOKEN}
    assert len(github_world.pulls(run.repository)) == 1
    assert len(github_world.comments(run.repository, run.issue_number)) == 1


@pytest.mark.parametrize("state", ["closed", "merged"])
async def test_a_pull_request_that_people_ended_is_not_opened_again(
    forge: GithubForge, mirror: Mirror, run: RunFacts, github_world: GithubWorld, state: str
) -> None:
    first = await publish.publish(forge, mirror, run, state_of())
    owner = github_world.collaborator(run.repository, "root", "admin")
    if state == "merged":
        owner.merge(run.repository, first.pull.number)
    else:
        owner.close(run.repository, first.pull.number)
    again = await publish.publish(forge, mirror, run, state_of())
    assert again.pull.number == first.pull.number
    assert not again.pull.open
    assert again.pull.merged == (state == "merged")
    assert len(github_world.pulls(run.repository)) == 1


# Every outward act, each with the answer lost after it was done, and each failing before it.
ACTS = [
    "POST .*/git-receive-pack|GIT .*git-receive-pack$",
    "POST .*/pulls$",
    "POST .*/labels$",
    "POST .*/issues/.*/comments$",
]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("kind", ["lost", "after", "status"])
async def test_a_crash_around_any_act_neither_doubles_nor_loses(
    forge: GithubForge,
    mirror: Mirror,
    run: RunFacts,
    github_world: GithubWorld,
    act: str,
    kind: str,
) -> None:
    github_world.fail(act, kind=kind, status=502)
    with pytest.raises((ForgeAway, GitError)):
        await publish.publish(forge, mirror, run, state_of())
    result = await publish.publish(forge, mirror, run, state_of())
    (pull,) = github_world.pulls(run.repository)
    assert pull["number"] == result.pull.number
    assert [label["name"] for label in pull["labels"]] == ["patchwright"]
    assert len(github_world.comments(run.repository, run.issue_number)) == 1
    kinds = [a["kind"] for a in github_world.acts()]
    assert kinds.count("git/push") == kinds.count("pulls/create") == 1


async def test_a_pull_request_that_is_not_listed_yet_is_waited_for(
    forge: GithubForge, mirror: Mirror, run: RunFacts, github_world: GithubWorld
) -> None:
    github_world.admin("stale", seconds=60)
    github_world.fail("POST .*/pulls$", kind="lost")
    for why in ("cannot be reached", "not listed yet"):
        with pytest.raises(ForgeAway, match=why):
            await publish.publish(forge, mirror, run, state_of())
    github_world.advance(61)
    await publish.publish(forge, mirror, run, state_of())
    assert len(github_world.pulls(run.repository)) == 1


async def test_an_unproven_patch_is_a_draft(
    forge: GithubForge, mirror: Mirror, run: RunFacts, github_world: GithubWorld
) -> None:
    unproven = GateJudged(verdict="unproven", reasons=("It was not reproduced.",))
    result = await publish.publish(forge, mirror, run, state_of(verdict=unproven))
    assert result.draft
    (pull,) = github_world.pulls(run.repository)
    assert pull["draft"]
    assert "Not proven" in pull["body"]
    assert "It was not reproduced." in pull["body"]


async def test_a_branch_of_somebody_else_is_left_alone(
    forge: GithubForge,
    mirror: Mirror,
    run: RunFacts,
    github_server: GithubServer,
    github_world: GithubWorld,
) -> None:
    repo = github_server.world_state.repo(run.repository)
    assert repo is not None
    theirs = git(repo.git, "commit-tree", "main^{tree}", "-p", "main", "-m", "theirs")
    branch = f"patchwright/issue-{run.issue_number}-total-is-wrong"
    git(repo.git, "update-ref", f"refs/heads/{branch}", theirs)
    result = await publish.publish(forge, mirror, run, state_of())
    assert result.branch == f"{branch}-run-0001"
    assert remote_ref(github_server, run.repository, branch) == theirs
    again = await publish.publish(forge, mirror, run, state_of())
    assert replace(again, pull=replace(again.pull, labels=())) == result
    assert len(github_world.pulls(run.repository)) == 1


async def test_two_runs_of_one_issue_get_a_pull_request_each(
    forge: GithubForge, mirror: Mirror, run: RunFacts, github_world: GithubWorld
) -> None:
    other = replace(run, run_id="run-0002")
    patch = PATCH.replace("t = 0", "t = 0  # sum")
    one, two = (
        await publish.publish(forge, mirror, run, state_of()),
        await publish.publish(
            forge, mirror, other, state_of(patch, PROVEN.model_copy(update={"patch": patch}))
        ),
    )
    assert one.branch != two.branch
    assert one.pull.number != two.pull.number
    assert len(github_world.pulls(run.repository)) == 2


async def test_the_same_run_published_at_once_by_two_workers(
    forge: GithubForge,
    mirror: Mirror,
    run: RunFacts,
    github_server: GithubServer,
    github_world: GithubWorld,
) -> None:
    other = GithubForge(
        app_of(github_server), installation_of(github_server, run.repository), run.repository
    )
    results = await asyncio.gather(
        publish.publish(forge, mirror, run, state_of()),
        publish.publish(other, mirror, run, state_of()),
        return_exceptions=True,
    )
    await other.close()
    assert any(isinstance(r, publish.PublishResult) for r in results)
    assert all(isinstance(r, publish.PublishResult | ForgeError) for r in results)
    assert len(github_world.pulls(run.repository)) == 1


async def test_a_hostile_patch_reaches_nobody(
    forge: GithubForge, mirror: Mirror, run: RunFacts, github_world: GithubWorld
) -> None:
    bad = PATCH.replace("shop/cart.py", ".github/workflows/ci.yml")
    with pytest.raises(PatchUnusable, match=r"\.github/workflows/ci\.yml"):
        await publish.publish(forge, mirror, run, state_of(bad, None))
    assert {a["kind"] for a in github_world.acts()} == {TOKEN}


async def test_a_branch_rule_is_told_as_a_refusal(
    forge: GithubForge, mirror: Mirror, run: RunFacts, github_world: GithubWorld
) -> None:
    branch = f"patchwright/issue-{run.issue_number}-total-is-wrong"
    github_world.admin("change-repo", repo=run.repository, protected_branches=[branch])
    with pytest.raises(PushRefused, match="does not accept the branch"):
        await publish.publish(forge, mirror, run, state_of())
    assert github_world.pulls(run.repository) == []


async def test_a_failure_is_told_once(
    forge: GithubForge, run: RunFacts, github_world: GithubWorld
) -> None:
    for _ in range(2):
        await publish.report_failure(forge, run, AttemptState(), "The budget was used up.")
    texts = [c["body"] for c in github_world.comments(run.repository, run.issue_number)]
    assert len(texts) == 2
    assert any("The budget was used up." in t for t in texts)
    assert any("has no fix for this" in t for t in texts)


async def test_an_expired_token_is_replaced_by_a_new_one(
    forge: GithubForge, mirror: Mirror, run: RunFacts, github_world: GithubWorld
) -> None:
    old = await forge.git_token()
    github_world.advance(3601)
    with pytest.raises(GitDenied):
        await asyncio.to_thread(mirror.fetch, old.value)
    await publish.fetch(forge, mirror)
    github_world.advance(3601)
    assert (await publish.publish(forge, mirror, run, state_of())).pull.open


async def test_a_private_repository_is_hidden_without_a_token(
    mirror: Mirror, github_server: GithubServer, shop: str, tmp_path: Path
) -> None:
    with pytest.raises(GitDenied):
        mirror.fetch()
    with pytest.raises(GitDenied):
        mirror.fetch("ghs_wrong")
    gone = Mirror.of_remote(tmp_path / "m", f"{github_server.git_url}/acme/nothing.git")
    with pytest.raises((GitDenied, GitMissing)):
        gone.fetch()


async def test_the_token_is_in_no_file_and_no_command(
    forge: GithubForge, mirror: Mirror, run: RunFacts, github_server: GithubServer
) -> None:
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    seen.add((folder / "cmdline").read_bytes().decode(errors="replace"))
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(3):
            await publish.fetch(forge, mirror)
        await publish.publish(forge, mirror, run, state_of())
    finally:
        stop.set()
        watcher.join()
    assert any("fetch" in line and run.repository in line for line in seen)
    secrets = list(github_server.world_state.tokens)
    assert secrets
    coded = [publish_header(s) for s in secrets]
    assert not any(s in line for line in seen for s in [*secrets, *coded])
    files = [p for p in mirror.git_dir.parent.rglob("*") if p.is_file()]
    assert any(p.name == "HEAD" for p in files)
    for path in files:
        data = path.read_bytes()
        assert not any(s.encode() in data for s in [*secrets, *coded]), path
    assert not any(s in value for s in secrets for value in os.environ.values())
    shown = subprocess.run(
        ["git", "--git-dir", str(mirror.git_dir), "config", "--local", "--list"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "remote." not in shown
    assert "extraheader" not in shown.lower()


def publish_header(token: str) -> str:
    """The token as it goes over the wire."""
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()
