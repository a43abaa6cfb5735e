"""Proofs of pull requests by a whole service: webhooks, engine, git, gate, and a stand-in model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.proving.check_run import NAME
from app.repo_config.schema import Prove, RepoConfig
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.doubles.seeded_policy import FILES, REPRODUCTION, RIGHT, WRONG
from tests.doubles.sglang.turns import Say, Script
from tests.e2e.conversation_world import REPO, REPRODUCE, Story, scripts
from tests.support.github.app import git

FIXED = {"shop/prices.py": FILES["shop/prices.py"].replace(WRONG, RIGHT)}
TESTED = {"tests/test_discount.py": REPRODUCTION}


def offer(story: Story, branch: str, files: dict[str, str], body: str = "") -> int:
    """Somebody opens a pull request."""
    dev = story.person("dev")
    clone = story.folder / f"clone-{branch}"
    git(story.folder, "clone", "-q", dev.git_remote(REPO), str(clone))
    git(clone, "switch", "-q", "-c", branch)
    for path, text in files.items():
        (clone / path).write_text(text)
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", branch)
    git(clone, "push", "-q", "origin", branch)
    sent = {"head": branch, "base": "main", "title": branch, "body": body}
    return int(dev.call("POST", f"/repos/{REPO}/pulls", sent)["number"])


def checks(story: Story, number: int) -> list[dict[str, Any]]:
    """The check runs of proofs on a pull request's head."""
    reader = story.person("reader", "admin")
    head = reader.call("GET", f"/repos/{REPO}/pulls/{number}")["head"]["sha"]
    listed = reader.call("GET", f"/repos/{REPO}/commits/{head}/check-runs")["check_runs"]
    return [run for run in listed if run["name"] == NAME]


def test_pull_requests_are_proven_by_their_test_or_by_one_that_a_model_writes(
    server: GithubServer, github: GithubWorld, tmp_path: Path
) -> None:
    story = Story(
        server,
        github,
        tmp_path,
        policy=scripts(Script((REPRODUCE, Say(content="Done.")))),
        config=RepoConfig(prove=Prove(authors=("dev",), comment=True)),
    )
    story.repository()
    issue = story.issue()
    with story.serving():
        tested = offer(story, "with-a-test", FIXED | TESTED)
        untested = offer(story, "without-a-test", FIXED, f"Fixes #{issue}")
        red = offer(story, "only-a-test", TESTED)
        story.settled()
    [proven], [written], [unproven] = (checks(story, n) for n in (tested, untested, red))
    assert (proven["status"], proven["conclusion"]) == ("completed", "success")
    assert "`tests/test_discount.py::test_discount`" in proven["output"]["summary"]
    assert written["conclusion"] == "success", written["output"]["summary"]
    assert "a model wrote from the issue" in written["output"]["summary"]
    assert unproven["conclusion"] == "neutral", unproven["output"]["summary"]
    for number in (tested, untested, red):
        [said] = story.said(number)
        assert said.startswith("<!-- patchwright:proof -->\n**")
    assert story.store.list_runs().runs == ()
