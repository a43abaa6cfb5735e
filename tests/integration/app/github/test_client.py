"""The forge against the stand-in GitHub, whose whole traffic fits GitHub's own description."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.github import transport
from app.github.client import GithubForge
from app.github.errors import (
    ForgeAway,
    ForgeDenied,
    ForgeError,
    ForgeMissing,
    ForgeRefused,
    RateLimited,
)
from app.github.records import CheckReport
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.support.github.app import app_of, git, installation_of

MARKER = "<!-- patchwright:status run=r1 -->"


def branch(world: GithubWorld, server: GithubServer, repo: str, name: str) -> str:
    """A branch with one commit more than main, pushed by somebody else."""
    found = server.world_state.repo(repo)
    assert found is not None
    tree = git(found.git, "rev-parse", "main^{tree}")
    sha = git(found.git, "commit-tree", tree, "-p", "main", "-m", f"on {name}")
    git(found.git, "update-ref", f"refs/heads/{name}", sha)
    return sha


async def test_repository_issue_and_permissions(
    forge: GithubForge, github_world: GithubWorld, shop: str
) -> None:
    ann = github_world.collaborator(shop, "ann", "triage")
    max_ = github_world.collaborator(shop, "max", "maintain")
    number = ann.open_issue(shop, "Total is wrong", "It is 1 for `[]`.")
    ann.label(shop, number, "bug", "patchwright")
    max_.comment(shop, number, "Seen too.")

    repository = await forge.repository()
    assert (repository.full_name, repository.default_branch) == (shop, "main")
    assert repository.private
    assert not repository.archived
    assert repository.clone_url.endswith("/acme/shop.git")

    issue = await forge.issue(number)
    assert (issue.title, issue.author, issue.open) == ("Total is wrong", "ann", True)
    assert set(issue.labels) == {"bug", "patchwright"}
    assert [(c.author, c.body) for c in issue.comments] == [("max", "Seen too.")]
    assert not issue.is_pull

    triage = await forge.permission("ann")
    assert triage.role == "triage"
    assert triage.at_least("triage")
    assert not triage.at_least("write")
    assert (await forge.permission("max")).at_least("write")
    assert not (await forge.permission("nobody-here")).at_least("read")
    assert await forge.bot_login() == "patchwright[bot]"


async def test_a_comment_is_made_once_and_edited_after(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    ann = github_world.collaborator(shop, "ann")
    number = ann.open_issue(shop, "x")
    ann.comment(shop, number, f"{MARKER}\nan imitation")
    first = await forge.put_comment(number, MARKER, "one")
    again = await forge.put_comment(number, MARKER, "two")
    other = GithubForge(app_of(github_server), installation_of(github_server, shop), shop)
    third = await other.put_comment(number, MARKER, "three")
    await other.close()
    assert first.id == again.id == third.id
    bodies = [c["body"] for c in github_world.comments(shop, number)]
    assert bodies == [f"{MARKER}\nan imitation", f"{MARKER}\nthree"]


async def test_a_deleted_comment_is_recreated(
    forge: GithubForge, github_world: GithubWorld, shop: str
) -> None:
    owner = github_world.collaborator(shop, "root", "admin")
    number = owner.open_issue(shop, "x")
    first = await forge.put_comment(number, MARKER, "one")
    owner.call("DELETE", f"/repos/{shop}/issues/comments/{first.id}")
    second = await forge.put_comment(number, MARKER, "two")
    assert second.id != first.id
    assert len(github_world.comments(shop, number)) == 1


@pytest.mark.parametrize("kind", ["lost", "after"])
async def test_a_comment_whose_answer_was_lost_is_not_doubled(
    forge: GithubForge, github_world: GithubWorld, shop: str, kind: str
) -> None:
    number = github_world.collaborator(shop, "ann").open_issue(shop, "x")
    github_world.fail("POST .*/comments", kind=kind)
    with pytest.raises(ForgeAway):
        await forge.put_comment(number, MARKER, "one")
    await forge.put_comment(number, MARKER, "one")
    assert len(github_world.acts("issues/create-comment")) == 1
    assert len(github_world.comments(shop, number)) == 1


async def test_reactions_and_labels_can_be_repeated(
    forge: GithubForge, github_world: GithubWorld, shop: str
) -> None:
    ann = github_world.collaborator(shop, "ann")
    number = ann.open_issue(shop, "x")
    comment = ann.comment(shop, number, "hi")
    for _ in range(2):
        await forge.react(number, "eyes")
        await forge.react(number, "rocket", comment=comment)
        await forge.add_labels(number, ["patchwright"])
    await forge.add_labels(number, [])
    issue = github_world.issue(shop, number)
    assert [label["name"] for label in issue["labels"]] == ["patchwright"]
    assert issue["reactions"]["eyes"] == 1


async def test_a_pull_request_is_opened_once(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    sha = branch(github_world, github_server, shop, "patchwright/x")
    wanted = {"branch": "patchwright/x", "base": "main", "title": "T", "body": "B"}
    one = await forge.open_pull(**wanted, draft=True)
    two = await forge.open_pull(**wanted, draft=True)
    assert one == two
    assert (one.head_sha, one.draft, one.open, one.branch) == (sha, True, True, "patchwright/x")
    assert len(github_world.pulls(shop)) == 1
    assert await forge.pulls("patchwright/other") == ()
    assert [p.number for p in await forge.pulls("patchwright/x")] == [one.number]


async def test_a_pull_request_without_a_branch_is_refused_with_the_reason(
    forge: GithubForge, shop: str
) -> None:
    with pytest.raises(ForgeRefused, match="422"):
        await forge.open_pull(branch="nowhere", base="main", title="T", body="B", draft=False)


async def test_a_check_run_is_updated_by_its_external_id(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    sha = branch(github_world, github_server, shop, "patchwright/x")
    running = CheckReport("r1", "Patchwright proof", sha, "Running", "…", status="in_progress")
    done = CheckReport("r1", "Patchwright proof", sha, "Proven", "yes", conclusion="success")
    first = await forge.put_check(running)
    second = await forge.put_check(done)
    other = await forge.put_check(CheckReport("r2", running.name, sha, "x", "y", "queued"))
    assert first.id == second.id != other.id
    assert (second.status, second.conclusion) == ("completed", "success")
    assert len(github_world.acts("checks/create")) == 2


async def test_of_two_equal_check_runs_the_one_that_github_shows_is_updated(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    sha = branch(github_world, github_server, shop, "patchwright/x")
    running = CheckReport("r1", "Patchwright proof", sha, "Running", "…", status="in_progress")
    await forge.put_check(running)
    other = await forge.put_check(replace(running, external_id="other"))
    found = github_server.world_state.repo(shop)
    assert found is not None
    found.check_runs[other.id].external_id = "r1"  # the first was not listed for it
    done = await forge.put_check(replace(running, status="completed", conclusion="success"))
    assert done.id == other.id
    found.check_runs[other.id].by_app = False  # a workflow's, made to look like it
    again = await forge.put_check(replace(running, title="Again"))
    assert again.id != other.id


async def test_a_check_run_is_found_behind_a_hundred_others_of_its_name(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    sha = branch(github_world, github_server, shop, "patchwright/x")
    running = CheckReport("r1", "Patchwright proof", sha, "Running", "…", status="in_progress")
    first = await forge.put_check(running)
    found = github_server.world_state.repo(shop)
    assert found is not None
    for number in range(first.id + 1, first.id + 121):  # re-runs, each a check run of its own
        found.check_runs[number] = replace(
            found.check_runs[first.id], id=number, external_id=f"again-{number}"
        )
    done = await forge.put_check(replace(running, status="completed", conclusion="success"))
    assert done.id == first.id


async def test_a_call_that_names_no_version_is_told_and_a_wrong_version_refused(
    forge: GithubForge, github_server: GithubServer, monkeypatch: pytest.MonkeyPatch, shop: str
) -> None:
    await forge.repository()
    assert github_server.violations == []
    monkeypatch.setattr(transport, "version_header", lambda _: {})
    await forge.permission("root")
    assert any("X-GitHub-Api-Version" in said for said in github_server.violations)
    github_server.violations.clear()
    monkeypatch.undo()
    monkeypatch.setattr(transport._Checked, "api_version", "2021-01-01")
    with pytest.raises(ForgeError, match="2021-01-01"):
        await forge.permission("root")


async def test_what_lies_on_a_branch(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    ahead = branch(github_world, github_server, shop, "work/more")
    main = github_world.person("root").call("GET", f"/repos/{shop}/git/ref/heads/main")
    tip = main["object"]["sha"]
    assert await forge.is_on_branch("main", tip)
    assert await forge.is_on_branch("work/more", tip)
    assert await forge.is_on_branch("work/more", ahead)
    assert not await forge.is_on_branch("main", ahead)
    assert not await forge.is_on_branch("main", "1" * 40)
    assert not await forge.is_on_branch("nowhere", tip)


async def test_thanks_and_what_was_taken_back_are_no_remarks(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    branch(github_world, github_server, shop, "patchwright/x")
    pull = await forge.open_pull(
        branch="patchwright/x", base="main", title="T", body="B", draft=False
    )
    max_ = github_world.collaborator(shop, "max", "maintain")
    max_.review(shop, pull.number, "APPROVE", "Thank you, well done.")
    max_.review(shop, pull.number, "COMMENT", "Why so?")
    max_.review(shop, pull.number, "REQUEST_CHANGES", "Not like this.")
    assert [r.body for r in await forge.review_comments(pull.number)] == [
        "Why so?",
        "Not like this.",
    ]


async def test_files_of_the_default_branch(forge: GithubForge) -> None:
    assert await forge.file("README.md") == b"# Shop\n"
    assert await forge.file(".github/patchwright.yml") is None
    assert await forge.file("shop") is None


async def test_a_git_token_is_for_this_repository_alone_and_is_kept(
    forge: GithubForge, github_server: GithubServer, shop: str
) -> None:
    token = await forge.git_token()
    assert token.good_for(timedelta(minutes=50))
    assert token.value not in repr(token)
    assert await forge.git_token() is token
    renewed = await forge.git_token(renew=True)
    assert renewed.value != token.value
    world = github_server.world_state
    repo = world.repo(shop)
    assert repo is not None
    assert world.tokens[token.value].repo_ids == {repo.id}
    assert world.tokens[token.value].permissions == {"contents": "write", "metadata": "read"}


async def test_a_token_that_expires_in_the_middle_is_replaced(
    forge: GithubForge, github_world: GithubWorld, shop: str
) -> None:
    number = github_world.collaborator(shop, "ann").open_issue(shop, "x")
    await forge.put_comment(number, MARKER, "before")
    github_world.advance(3601)
    await forge.put_comment(number, MARKER, "after")
    bodies = [c["body"] for c in github_world.comments(shop, number)]
    assert bodies == [f"{MARKER}\nafter"]


async def test_reads_are_repeated_when_github_fails_for_a_moment(
    forge: GithubForge, github_world: GithubWorld
) -> None:
    github_world.fail("GET .*/repos/acme/shop$", times=2, status=502)
    assert (await forge.repository()).full_name == "acme/shop"


async def test_errors_are_named_for_what_can_be_done(
    forge: GithubForge, github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    with pytest.raises(ForgeMissing, match="issue #999"):
        await forge.issue(999)
    number = github_world.collaborator(shop, "ann").open_issue(shop, "x")
    github_world.fail("POST .*/comments", status=500)
    with pytest.raises(ForgeAway):
        await forge.put_comment(number, MARKER, "x")
    github_world.fail("POST .*/comments", kind="secondary", retry_after_s=7)
    with pytest.raises(RateLimited) as limited:
        await forge.put_comment(number, MARKER, "x")
    assert limited.value.retry_after == 7
    github_world.rate_limit(0, reset_in_s=30)
    with pytest.raises(RateLimited) as primary:
        await forge.repository()
    assert 25 <= primary.value.retry_after <= 32
    github_world.rate_limit(100)
    github_world.admin("change-installation", account="acme", permissions={"metadata": "read"})
    github_world.advance(3601)
    with pytest.raises(ForgeDenied) as denied:
        await forge.put_comment(number, MARKER, "x")
    for value in github_server.world_state.tokens:
        assert value not in str(denied.value)


async def test_a_server_that_is_not_there(github_server: GithubServer, shop: str) -> None:
    app = app_of(github_server)
    lost = type(app)(app.app_id, app.private_key, "http://127.0.0.1:1/api/v3", timeout_s=2)
    forge = GithubForge(lost, 1, shop)
    with pytest.raises(ForgeAway, match="cannot be reached"):
        await forge.repository()
    await forge.close()
    await forge.close()


async def test_a_wrong_key_is_a_denial_without_the_key(
    github_server: GithubServer, shop: str
) -> None:
    app = app_of(github_server)
    wrong = type(app)("1", app.private_key, app.api_url)
    assert "PRIVATE KEY" not in repr(wrong)
    forge = GithubForge(wrong, installation_of(github_server, shop), shop)
    with pytest.raises(ForgeDenied):
        await forge.repository()
    await forge.close()


async def test_calls_at_once_do_not_mix(
    forge: GithubForge, github_world: GithubWorld, shop: str
) -> None:
    ann = github_world.collaborator(shop, "ann")
    numbers = [ann.open_issue(shop, f"issue {n}") for n in range(5)]
    found = await asyncio.gather(*(forge.issue(n) for n in numbers))
    assert [i.number for i in found] == numbers
