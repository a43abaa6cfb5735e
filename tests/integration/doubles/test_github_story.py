"""PyGithub and git drive the stand-in GitHub through what Patchwright does with the real one.

The fixture ``github_server`` asserts at its end that nothing missed GitHub's own description.
"""

import hashlib
import hmac
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import github
import httpx
import pytest
from github import Auth, Github, GithubIntegration
from github.GithubException import GithubException, UnknownObjectException
from github.HookDelivery import HookDeliverySummary
from github.PaginatedList import PaginatedList

from tests.doubles.github.client import GithubWorld, WorldRefused
from tests.doubles.github.server import GithubServer
from tests.support.github.receiver import Receiver

REPO = "acme/widget"
# PyGithub otherwise waits a second after each write.
UNHURRIED: Any = {"seconds_between_requests": 0, "seconds_between_writes": 0}
BRANCH = "patchwright/issue-1-off-by-one"


@pytest.fixture
def repo(github_world: GithubWorld, tmp_path: Path) -> str:
    """A private repository with one file."""
    folder = tmp_path / "widget"
    folder.mkdir()
    (folder / "widget.py").write_text("def last(items):\n    return items[len(items)]\n")
    return github_world.create_repo(REPO, folder=folder, private=True)


def integration(server: GithubServer) -> GithubIntegration:
    auth = Auth.AppAuth(server.app_id, server.private_key_pem)
    return GithubIntegration(auth=auth, base_url=server.url, retry=None, **UNHURRIED)


def client(server: GithubServer) -> Github:
    """The App in acme, as the product makes it."""
    return integration(server).get_repo_installation(*REPO.split("/")).get_github_for_installation()


def token(server: GithubServer, permissions: dict[str, str] | None = None) -> str:
    known = integration(server).get_repo_installation(*REPO.split("/"))
    return integration(server).get_access_token(known.id, permissions).token


def remote(server: GithubServer, secret: str) -> str:
    return server.git_url.replace("://", f"://x-access-token:{secret}@") + f"/{REPO}.git"


def git(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    who = ["-c", "user.name=bot", "-c", "user.email=bot@example.com"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def push_fix(server: GithubServer, tmp_path: Path, secret: str, text: str = "-1") -> None:
    work = tmp_path / f"clone-{text}"
    assert git("clone", "-q", remote(server, secret), str(work)).returncode == 0
    assert git("checkout", "-q", "-B", BRANCH, cwd=work).returncode == 0
    (work / "widget.py").write_text(f"def last(items):\n    return items[{text}]\n")
    assert git("commit", "-qam", f"Use {text}", cwd=work).returncode == 0
    pushed = git("push", "-q", "-f", "origin", f"HEAD:{BRANCH}", cwd=work)
    assert pushed.returncode == 0, pushed.stderr


def test_label_comment_push_pull_request_merge(
    github_server: GithubServer, github_world: GithubWorld, repo: str, tmp_path: Path
) -> None:
    with Receiver() as app:
        github_world.send_webhooks_to(app.url)
        ann = github_world.collaborator(repo, "ann", "triage")
        number = ann.open_issue(repo, "last() fails", "IndexError")
        ann.label(repo, number, "patchwright")
        made = github_world.deliveries("issues")
        assert sorted(d["action"] for d in made) == ["labeled", "opened"]
        # Like GitHub's, deliveries may overtake one another.
        (labelled,) = [p for p in app.posted if json.loads(p.body)["action"] == "labeled"]
    signature = hmac.new(github_server.webhook_secret.encode(), labelled.body, hashlib.sha256)
    assert labelled.headers["x-hub-signature-256"] == f"sha256={signature.hexdigest()}"
    assert labelled.headers["x-github-event"] == "issues"
    payload = json.loads(labelled.body)
    assert payload["label"]["name"] == "patchwright"
    assert payload["sender"]["login"] == "ann"

    seen = client(github_server).get_repo(repo)
    assert seen.get_collaborator_role_name("ann") == "triage"
    assert seen.get_collaborator_permission("ann") == "read"
    issue = seen.get_issue(number)
    issue.create_reaction("eyes")
    status = issue.create_comment("Looking at it.")
    status.edit("Fixed.")
    assert [c.body for c in issue.get_comments()] == ["Fixed."]
    assert status.user.login == github_server.bot_login

    push_fix(github_server, tmp_path, token(github_server))
    assert seen.get_branch(BRANCH).commit.commit.message == "Use -1"
    pull = seen.create_pull(base="main", head=BRANCH, title="Fix last()", body=f"Fixes #{number}")
    assert (pull.additions, pull.deletions, pull.changed_files) == (1, 1, 1)
    assert (pull.mergeable, pull.mergeable_state) == (None, "unknown"), "not tried yet"
    assert seen.get_pull(pull.number).mergeable is None, "tried because somebody asked"
    assert seen.get_pull(pull.number).mergeable is True
    assert [p.number for p in seen.get_pulls(head=f"acme:{BRANCH}")] == [pull.number]
    assert list(seen.get_pulls(head="acme:other")) == []
    pull.edit(body=f"Fixes #{number}\n\nProof")
    assert "+    return items[-1]" in github_world.diff(repo, pull.number)

    github_world.collaborator(repo, "max", "write").merge(repo, pull.number)
    assert seen.get_pull(pull.number).merged
    assert seen.get_issue(number).state == "closed"
    assert b"items[-1]" in seen.get_contents("widget.py").decoded_content  # type: ignore[union-attr]
    kinds = [act["kind"] for act in github_world.acts() if "token" not in act["kind"]]
    assert kinds == [
        "reactions/create-for-issue",
        "issues/create-comment",
        "issues/update-comment",
        "git/push",
        "pulls/create",
        "pulls/update",
    ]


def test_pull_requests_are_checked_against_the_real_branches(
    github_server: GithubServer, repo: str, tmp_path: Path
) -> None:
    seen = client(github_server).get_repo(repo)
    with pytest.raises(GithubException) as missing:
        seen.create_pull(base="main", head="nowhere", title="x")
    assert missing.value.status == 422
    sha = seen.get_branch("main").commit.sha
    seen.create_git_ref("refs/heads/same", sha)
    with pytest.raises(GithubException, match="No commits between main and same"):
        seen.create_pull(base="main", head="same", title="x")
    push_fix(github_server, tmp_path, token(github_server))
    seen.create_pull(base="main", head=BRANCH, title="x", draft=True)
    with pytest.raises(GithubException, match="A pull request already exists"):
        seen.create_pull(base="main", head=BRANCH, title="y")
    listed = git("ls-remote", remote(github_server, token(github_server)), "refs/pull/*")
    assert [line.split()[1] for line in listed.stdout.splitlines()] == ["refs/pull/1/head"]


def test_an_expired_token_is_refused_by_api_and_git(
    github_server: GithubServer, github_world: GithubWorld, repo: str
) -> None:
    secret = token(github_server)
    held = Github(auth=Auth.Token(secret), base_url=github_server.url, retry=None, **UNHURRIED)
    assert held.get_repo(repo).private
    assert git("ls-remote", remote(github_server, secret)).returncode == 0
    github_world.advance(3601)
    with pytest.raises(github.BadCredentialsException) as refused:
        held.get_repo(repo)
    assert refused.value.status == 401
    refused_git = git("-c", "credential.helper=", "ls-remote", remote(github_server, secret))
    assert refused_git.returncode != 0
    assert client(github_server).get_repo(repo).private, "a fresh token works"


def test_a_key_that_is_not_the_apps_gets_no_token(github_server: GithubServer, repo: str) -> None:
    with GithubServer() as other:
        forged = Auth.AppAuth(github_server.app_id, other.private_key_pem)
    with pytest.raises(GithubException) as refused:
        GithubIntegration(auth=forged, base_url=github_server.url, retry=None).get_app()
    assert refused.value.status == 401


def test_what_the_installation_may_not_is_403_and_what_it_may_not_see_404(
    github_server: GithubServer, github_world: GithubWorld, repo: str, tmp_path: Path
) -> None:
    number = github_world.collaborator(repo, "ann").open_issue(repo, "x")
    secret = token(github_server, {"issues": "read", "contents": "read"})
    reader = Github(auth=Auth.Token(secret), base_url=github_server.url, retry=None, **UNHURRIED)
    issue = reader.get_repo(repo).get_issue(number)
    with pytest.raises(GithubException, match="not accessible by integration") as refused:
        issue.create_comment("hello")
    assert refused.value.status == 403
    work = tmp_path / "clone"
    assert git("clone", "-q", remote(github_server, secret), str(work)).returncode == 0
    pushed = git("push", "origin", "HEAD:refs/heads/x", cwd=work)
    assert pushed.returncode != 0
    assert "403" in pushed.stderr

    hidden = github_world.create_repo("other/secret", private=True, install=False)
    with pytest.raises(UnknownObjectException):
        client(github_server).get_repo(hidden)
    with pytest.raises(UnknownObjectException):
        integration(github_server).get_repo_installation("other", "secret")
    stranger = github_world.person("eve")
    with pytest.raises(WorldRefused, match="404"):
        stranger.open_issue(repo, "let me in")
    public = github_world.create_repo("acme/open")
    number = stranger.open_issue(public, "a bug")
    with pytest.raises(WorldRefused, match="403"):
        stranger.label(public, number, "patchwright")


def test_a_suspended_installation_and_an_archived_repository(
    github_server: GithubServer, github_world: GithubWorld, repo: str
) -> None:
    app = client(github_server)
    seen = app.get_repo(repo)
    github_world.admin("change-repo", repo=repo, archived=True)
    with pytest.raises(GithubException, match="archived") as archived:
        seen.create_issue("x")
    assert archived.value.status == 403
    github_world.admin("change-installation", account="acme", suspended=True)
    with pytest.raises(GithubException, match="suspended"):
        app.get_repo(repo)


def test_repositories_that_leave_the_installation_are_gone_for_the_app(
    github_server: GithubServer, github_world: GithubWorld, repo: str
) -> None:
    app = client(github_server)
    other = github_world.create_repo("acme/other", private=True)
    github_world.admin("change-installation", account="acme", repositories=[other])
    with pytest.raises(UnknownObjectException):
        app.get_repo(repo)
    assert app.get_repo(other).private
    removed = github_world.deliveries("installation_repositories")[-1]["payload"]
    assert [r["full_name"] for r in removed["repositories_removed"]] == [repo]
    github_world.admin("uninstall", account="acme")
    with pytest.raises(github.BadCredentialsException):
        app.get_repo(other)
    assert github_world.deliveries("installation")[-1]["action"] == "deleted"


def test_a_locked_issue_takes_comments_only_from_those_who_may_write(
    github_server: GithubServer, github_world: GithubWorld
) -> None:
    public = github_world.create_repo("acme/open")
    stranger = github_world.person("eve")
    number = stranger.open_issue(public, "a bug")
    max_ = github_world.collaborator(public, "max", "maintain")
    max_.call("PUT", f"/repos/{public}/issues/{number}/lock")
    with pytest.raises(WorldRefused, match="issue is locked"):
        stranger.comment(public, number, "but")
    max_.comment(public, number, "enough")
    assert github_world.deliveries("issues")[-1]["action"] == "locked"


def test_a_protected_branch_takes_no_push_and_a_large_push_goes_through(
    github_server: GithubServer, github_world: GithubWorld, repo: str, tmp_path: Path
) -> None:
    github_world.admin("change-repo", repo=repo, protected_branches=["main"])
    work, url = tmp_path / "work", remote(github_server, token(github_server))
    assert git("clone", "-q", url, str(work)).returncode == 0
    (work / "big.bin").write_bytes(random.Random(1).randbytes(3_000_000))
    git("add", "-A", cwd=work)
    git("commit", "-qm", "big", cwd=work)
    refused = git("push", "origin", "HEAD:main", cwd=work)
    assert refused.returncode != 0
    pushed = git("push", "origin", "HEAD:refs/heads/side", cwd=work)
    assert pushed.returncode == 0, pushed.stderr
    assert [act["detail"]["ref"] for act in github_world.acts("git/push")] == ["refs/heads/side"]


def test_a_push_can_be_done_without_git_knowing(
    github_server: GithubServer, github_world: GithubWorld, repo: str, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    assert (
        git("clone", "-q", remote(github_server, token(github_server)), str(work)).returncode == 0
    )
    github_world.fail("GIT .*/git-receive-pack$", kind="lost")
    pushed = git("push", "-q", "origin", "HEAD:refs/heads/side", cwd=work)
    assert pushed.returncode != 0
    assert client(github_server).get_repo(repo).get_branch("side").name == "side"


def test_the_same_delivery_comes_again_under_its_id(
    github_server: GithubServer, github_world: GithubWorld, repo: str
) -> None:
    with Receiver() as app:
        github_world.send_webhooks_to(app.url)
        github_world.collaborator(repo, "ann").open_issue(repo, "x")
        first = github_world.deliveries("issues")[0]
        github_world.redeliver(first["id"], times=5)
        assert len(github_world.deliveries("issues")) == 6
        listed = PaginatedList(
            HookDeliverySummary, integration(github_server).requester, "/app/hook/deliveries", None
        )
        issues = [item for item in listed if item.event == "issues"]
        assert {item.guid for item in issues} == {first["guid"]}
        assert sum(item.redelivery is True for item in issues) == 5
        bodies = {p.body for p in app.posted if p.headers["x-github-event"] == "issues"}
    assert len(bodies) == 1


def test_a_receiver_that_is_down_or_fails_is_recorded(
    github_server: GithubServer, github_world: GithubWorld, repo: str
) -> None:
    with Receiver(status=500) as app:
        github_world.send_webhooks_to(app.url)
        github_world.collaborator(repo, "ann").open_issue(repo, "x")
        assert [d["status_code"] for d in github_world.deliveries("issues")] == [500]
    github_world.person("ann").open_issue(repo, "y")
    assert [d["status_code"] for d in github_world.deliveries("issues")] == [500, 502]


def test_pages_are_escaped(
    github_server: GithubServer, github_world: GithubWorld, repo: str
) -> None:
    number = github_world.collaborator(repo, "ann").open_issue(repo, "<script>alert(1)</script>")
    page = httpx.get(f"{github_server.git_url}/{repo}/issues/{number}", trust_env=False)
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
