"""What is gone, moved or closed while a run is about it: each has its own end or goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.e2e.conversation_world import REPO, Story, scripts
from tests.e2e.test_moved_repositories import NEW, REVIEWED, Pause, status


@pytest.fixture
def story(github_server: GithubServer, github_world: GithubWorld, tmp_path: Path) -> Story:
    made = Story(github_server, github_world, tmp_path, policy=scripts(REVIEWED))
    made.repository()
    return made


def test_a_transferred_issue_is_told_at_its_new_place(
    story: Story, github_world: GithubWorld
) -> None:
    story.repository("acme/other")
    pause = Pause(story, repairs=False)
    with story.serving():
        issue = story.labelled()
        run_id = story.run().id
        story.works(run_id)
        there = github_world.admin("transfer-issue", repo=REPO, number=issue, to="acme/other")
        pause.end()
        assert story.done().outcome == "failed"
        [end] = story.ends(run_id)
    assert f"acme/other/issues/{there['number']}" in end.diagnosis
    assert "was transferred" in status(story, there["number"], "acme/other")


def test_a_deleted_issue_ends_the_run(story: Story, github_world: GithubWorld) -> None:
    pause = Pause(story, repairs=False)
    with story.serving():
        issue = story.labelled()
        run_id = story.run().id
        story.works(run_id)
        github_world.admin("delete-issue", repo=REPO, number=issue)
        pause.end()
        assert story.done().outcome == "failed"
        [end] = story.ends(run_id)
    assert "deleted, turned into a discussion" in end.diagnosis


@pytest.mark.long
def test_ends_that_could_not_be_said_are_said_when_the_issue_has_its_next_run(
    story: Story, github_world: GithubWorld
) -> None:
    where, tom = {"repo": REPO, "account": "acme"}, story.person("tom", "triage")
    issue, last = story.issue(), ""
    failed: dict[str, str] = {}
    policies = [scripts()]
    story.policy = lambda request: policies[-1](request)
    with story.serving():
        for action, flag in (("change-repo", "archived"), ("change-installation", "suspended")):
            pause = Pause(story, repairs=False)
            policies.append(pause.policy)
            tom.label(REPO, issue, "patchwright")
            run_id = story.another_run(last).id
            story.works(run_id)
            github_world.admin(action, **where, **{flag: True})
            pause.end()
            assert story.done(run_id=run_id).outcome == "failed"
            github_world.admin(action, **where, **{flag: False})
            tom.unlabel(REPO, issue, "patchwright")
            last, failed[flag] = run_id, run_id
        said = {c["body"] for c in github_world.comments(REPO, issue)}
        assert any("is working" in body and last in body for body in said), "nothing could be said"
        policies.append(scripts())
        tom.label(REPO, issue, "patchwright")
        assert story.done(run_id=story.another_run(last).id).outcome == "proven"
    said = {c["body"] for c in github_world.comments(REPO, issue)}
    for flag, run_id in failed.items():
        assert any(run_id in body and flag in body for body in said), flag
    assert not any("is working" in body for body in said)


def test_people_who_were_renamed_or_deleted_and_what_they_took_back(
    story: Story, github_world: GithubWorld
) -> None:
    issue = story.issue()
    tom, ann = story.person("tom", "triage"), story.person("ann")
    tom.label(REPO, issue, "patchwright")
    taken_back = ann.comment(REPO, issue, "/patchwright explain")
    [labelled] = [d for d in github_world.deliveries("issues") if d["action"] == "labeled"]
    [commented] = github_world.deliveries("issue_comment")
    ann.call("DELETE", f"/repos/{REPO}/issues/comments/{taken_back}")
    github_world.admin("rename-user", login="tom", new="thomas")
    github_world.admin("delete-user", login="rita")
    github_world.admin("rename-repo", repo=REPO, name="store")
    with story.serving():
        github_world.redeliver(commented["id"])
        inbox = story.services.inbox
        story.until(lambda: inbox.answer_of(commented["guid"]), 60, "an answer")
        assert "was deleted" in inbox.answer_of(commented["guid"])
        # Queued under the repository's old name, by somebody with another login now.
        github_world.redeliver(labelled["id"])
        assert story.done().outcome == "proven"
    assert story.pull(NEW)["html_url"] in status(story, issue, NEW)
