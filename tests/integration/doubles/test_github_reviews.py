"""Reviews, threads, checks, drafts and the App's manifest on the stand-in GitHub."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from github import Auth, GithubIntegration
from github.GithubException import GithubException
from github.Repository import Repository

from tests.doubles.github.client import GithubWorld, WorldRefused
from tests.doubles.github.server import GithubServer

REPO = "acme/widget"
# PyGithub otherwise waits a second after each write.
UNHURRIED: Any = {"seconds_between_requests": 0, "seconds_between_writes": 0}


@pytest.fixture
def seen(github_server: GithubServer, github_world: GithubWorld, tmp_path: Path) -> Repository:
    """The repository as the App sees it, with a branch ``fix`` that a person pushed."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.py").write_text("one\ntwo\nthree\n")
    github_world.create_repo(REPO, folder=work, private=True)
    max_ = github_world.collaborator(REPO, "max", "write")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", max_.git_remote(REPO), str(clone)], check=True)
    (clone / "a.py").write_text("one\n2\nthree\n")
    who = ["-c", "user.name=max", "-c", "user.email=max@example.com"]
    subprocess.run(["git", *who, "commit", "-qam", "two is 2"], cwd=clone, check=True)
    subprocess.run(["git", "push", "-q", "origin", "HEAD:fix"], cwd=clone, check=True)
    auth = Auth.AppAuth(github_server.app_id, github_server.private_key_pem)
    app = GithubIntegration(auth=auth, base_url=github_server.url, retry=None, **UNHURRIED)
    installation = app.get_repo_installation("acme", "widget")
    return installation.get_github_for_installation().get_repo(REPO)


def test_a_review_with_comments_is_answered_in_its_threads(
    github_world: GithubWorld, seen: Repository
) -> None:
    pull = seen.create_pull(base="main", head="fix", title="Fix", body="")
    max_ = github_world.person("max")
    pull.create_review_request(reviewers=["max"])
    notes = [{"path": "a.py", "line": 2, "body": "why 2?"}]
    review = max_.review(REPO, pull.number, "REQUEST_CHANGES", "Please explain.", notes)
    assert [r.state for r in pull.get_reviews()] == ["CHANGES_REQUESTED"]
    comment = next(iter(pull.get_review_comments()))
    assert (comment.path, comment.line, comment.body) == ("a.py", 2, "why 2?")
    assert comment.diff_hunk.endswith("+2")
    reply = pull.create_review_comment_reply(comment.id, "Because of the issue.")
    assert reply.in_reply_to_id == comment.id
    comment.create_reaction("+1")
    events = [(d["event"], d["action"]) for d in github_world.deliveries()]
    assert events.count(("pull_request_review", "submitted")) == 1
    assert events.count(("pull_request_review_comment", "created")) == 2
    assert ("pull_request", "review_requested") in events
    assert [c.body for c in pull.get_single_review_comments(review)] == ["why 2?"]
    max_.review(REPO, pull.number, "APPROVE")
    assert [r.state for r in pull.get_reviews()][-1] == "APPROVED"
    with pytest.raises(GithubException, match="Can not approve your own"):
        pull.create_review(event="APPROVE")


def test_a_merge_waits_for_what_the_branch_asks_of_reviews(
    github_world: GithubWorld, seen: Repository
) -> None:
    rule = {"kind": "pull_request", "on": "main", "approvals": "2", "last_push": "yes"}
    rule |= {"code_owners": "ann", "threads": "yes"}
    github_world.admin("change-repo", repo=REPO, rules=[rule, {"kind": "checks", "on": "main"}])
    pull = seen.create_pull(base="main", head="fix", title="Fix", body="")
    max_, ann = github_world.person("max"), github_world.collaborator(REPO, "ann")
    eve = github_world.collaborator(REPO, "eve", "triage")
    missing = [
        "At least 2 approving reviews are required by reviewers with write access.",
        "Waiting on code owner review from ann.",
        "New changes require approval from someone other than the last pusher.",
        'Required status check "build" is expected.',
    ]

    def refused() -> list[str]:
        with pytest.raises(WorldRefused, match=r"^405 ") as error:
            max_.merge(REPO, pull.number)
        said = json.loads(str(error.value).split(": ", 1)[1])["message"]
        first, *lines = said.removesuffix("\n\n").split("\n\n")
        assert first == "Repository rule violations found"
        return list(lines)

    assert refused() == missing
    # Neither those without write access count, nor who pushed last where somebody else has to.
    eve.review(REPO, pull.number, "APPROVE")
    max_.review(REPO, pull.number, "APPROVE")
    assert refused() == missing
    ann.review(REPO, pull.number, "APPROVE")
    assert refused() == missing[3:]
    github_world.ci(REPO, "fix", "success", name="build")
    note = {"path": "a.py", "line": 2, "body": "why?"}
    ann.review(REPO, pull.number, "COMMENT", "", [note])
    assert refused() == ["A conversation must be resolved before this pull request can be merged."]
    seen.get_pull(pull.number)
    assert seen.get_pull(pull.number).mergeable_state == "blocked"
    rule |= {"threads": ""}
    github_world.admin("change-repo", repo=REPO, rules=[rule, {"kind": "checks", "on": "main"}])
    assert seen.get_pull(pull.number).mergeable_state == "clean"
    [told] = max_.call("GET", f"/repos/{REPO}/rules/branches/main")
    assert told["type"] == "pull_request"
    assert told["parameters"]["required_approving_review_count"] == 2
    max_.merge(REPO, pull.number)


def test_branch_protection_refuses_a_merge_in_one_sentence(
    github_world: GithubWorld, seen: Repository
) -> None:
    rule = {"kind": "protection", "on": "main", "approvals": "1", "last_push": "yes"}
    github_world.admin("change-repo", repo=REPO, rules=[rule])
    pull = seen.create_pull(base="main", head="fix", title="Fix", body="")
    wanted = '"At least 1 approving review is required by reviewers with write access."'
    with pytest.raises(WorldRefused, match=wanted):
        github_world.person("max").merge(REPO, pull.number)
    # It is for administrators alone to read.
    assert github_world.person("max").call("GET", f"/repos/{REPO}/rules/branches/main") == []


def test_comments_outside_of_the_diff_are_refused(
    github_world: GithubWorld, seen: Repository
) -> None:
    pull = seen.create_pull(base="main", head="fix", title="Fix", body="")
    head = seen.get_commit(pull.head.sha)
    with pytest.raises(GithubException, match="must be part of the diff"):
        pull.create_review_comment("hm", head, "a.py", line=40)
    with pytest.raises(GithubException) as elsewhere:
        pull.create_review_comment("hm", head, "b.py", line=1)
    assert elsewhere.value.status == 422
    assert list(pull.get_review_comments()) == []


def test_check_runs_with_annotations_and_the_rerun_button(
    github_world: GithubWorld, seen: Repository
) -> None:
    sha = seen.get_branch("fix").commit.sha
    run = seen.create_check_run("proof", sha, status="in_progress", external_id="run-1")
    note = {
        "path": "a.py",
        "start_line": 2,
        "end_line": 2,
        "annotation_level": "notice",
        "message": "changed",
    }
    output = {"title": "Proven", "summary": "before: fails", "annotations": [note]}
    run.edit(status="completed", conclusion="success", output=output)
    found = seen.get_commit(sha).get_check_runs(check_name="proof")
    assert [(r.conclusion, r.external_id) for r in found] == [("success", "run-1")]
    assert [a.message for a in found[0].get_annotations()] == ["changed"]
    assert [s.conclusion for s in seen.get_commit(sha).get_check_suites()] == ["success"]
    github_world.person("max").rerun(REPO, run.id)
    actions = [d["action"] for d in github_world.deliveries("check_run")]
    assert actions == ["created", "completed", "rerequested"]
    with pytest.raises(GithubException) as missing:
        seen.create_check_run("proof", "0" * 40)
    assert missing.value.status == 422


def test_the_log_of_a_failed_ci_job_can_be_read(
    github_world: GithubWorld, seen: Repository
) -> None:
    run = github_world.ci(REPO, "fix", "failure", log="E  assert 1 == 2", name="tests")
    delivered = github_world.deliveries("check_run")[-1]
    assert delivered["payload"]["check_run"]["app"]["slug"] == "github-actions"
    url = f"{seen.url}/actions/jobs/{run}/logs"
    secret = {"Authorization": f"Bearer {seen.requester.auth.token}"}  # type: ignore[union-attr]
    log = httpx.get(url, headers=secret, follow_redirects=True, trust_env=False)
    assert log.text == "E  assert 1 == 2"
    with pytest.raises(GithubException, match="can only be modified by the App"):
        seen.get_check_run(run).edit(conclusion="success")


def test_drafts_become_ready_and_pushes_move_pull_requests(
    github_world: GithubWorld, seen: Repository
) -> None:
    pull = seen.create_pull(base="main", head="fix", title="Fix", body="", draft=True)
    pull.mark_ready_for_review()
    assert not seen.get_pull(pull.number).draft
    pull.convert_to_draft()
    assert seen.get_pull(pull.number).draft
    base = seen.get_branch("main").commit.sha
    reference = seen.get_git_ref("heads/fix")
    with pytest.raises(GithubException, match="not a fast forward"):
        reference.edit(base)
    seen.create_git_ref("refs/heads/other", base)
    seen.get_git_ref("heads/other").edit(pull.head.sha)
    reference.delete()
    assert seen.get_pull(pull.number).state == "closed"
    actions = [d["action"] for d in github_world.deliveries("pull_request")]
    assert actions == ["opened", "ready_for_review", "converted_to_draft", "closed"]


def test_labels_assignees_and_comments_come_and_go(
    github_world: GithubWorld, seen: Repository
) -> None:
    issue = seen.create_issue("x", "y")
    issue.add_to_labels("bug", "patchwright")
    issue.remove_from_labels("bug")
    issue.delete_reaction(issue.create_reaction("eyes").id)
    assert issue.get_reactions().totalCount == 0
    assert [tag.name for tag in issue.get_labels()] == ["patchwright"]
    issue.add_to_assignees("max")
    assert [who.login for who in seen.get_issue(issue.number).assignees] == ["max"]
    issue.add_to_assignees("patchwright[bot]")
    assert [who.login for who in seen.get_issue(issue.number).assignees] == ["max"]
    issue.remove_from_assignees("max")
    comment = issue.create_comment("soon gone")
    comment.delete()
    assert list(issue.get_comments()) == []
    issue.set_labels("later")
    issue.delete_labels()
    issue.edit(state="closed", state_reason="not_planned")
    assert seen.get_issue(issue.number).state_reason == "not_planned"
    actions = [d["action"] for d in github_world.deliveries("issues")]
    assert actions == [
        "opened", "labeled", "labeled", "unlabeled", "assigned", "unassigned",
        "unlabeled", "labeled", "unlabeled", "closed",
    ]  # fmt: skip


def test_lists_come_in_pages(seen: Repository) -> None:
    issue = seen.create_issue("x")
    for number in range(35):
        issue.create_comment(f"comment {number}")
    assert [c.body for c in issue.get_comments()] == [f"comment {n}" for n in range(35)]
    assert issue.get_comments().totalCount == 35


def test_trees_contents_and_comparisons(seen: Repository) -> None:
    files = seen.get_contents("")
    assert isinstance(files, list)
    assert [entry.path for entry in files] == ["a.py"]
    compared = seen.compare("main", "fix")
    assert (compared.status, compared.ahead_by, compared.behind_by) == ("ahead", 1, 0)
    assert [file.filename for file in compared.files] == ["a.py"]
    assert sorted(branch.name for branch in seen.get_branches()) == ["fix", "main"]
    with pytest.raises(GithubException) as missing:
        seen.get_contents(".github/patchwright.yml")
    assert missing.value.status == 404


def test_a_manifest_is_exchanged_once_for_an_app(
    github_server: GithubServer, github_world: GithubWorld
) -> None:
    manifest = {"name": "Patchwright for acme", "url": "https://example.com"}
    code = github_world.admin("manifest", manifest=manifest)["code"]
    path = f"/app-manifests/{code}/conversions"
    someone = github_world.person("ann")
    app = someone.call("POST", path)
    assert app["name"] == "Patchwright for acme"
    assert app["pem"] == github_server.private_key_pem
    assert app["webhook_secret"] == github_server.webhook_secret
    with pytest.raises(Exception, match="404"):
        someone.call("POST", path)


def test_the_manifest_form_leads_back_with_a_code(
    github_server: GithubServer, github_world: GithubWorld
) -> None:
    manifest = {"url": "https://example.com", "redirect_url": "http://127.0.0.1:1/setup/done"}
    form = f"{github_server.git_url}/settings/apps/new?state=s1"
    sent = httpx.post(form, data={"manifest": json.dumps(manifest)}, trust_env=False)
    assert sent.status_code == 302
    back = httpx.URL(sent.headers["location"])
    assert (back.path, back.params["state"]) == ("/setup/done", "s1")
    code = back.params["code"]
    app = github_world.person("ann").call("POST", f"/app-manifests/{code}/conversions")
    assert app["id"] == github_server.app_id
    refused = httpx.post(form, data={"manifest": "no json"}, trust_env=False)
    assert refused.status_code == 422
