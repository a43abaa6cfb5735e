"""Repositories that are renamed, transferred, deleted or opened while runs are about them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.doubles.sglang.turns import Call, Say, Script
from tests.e2e.conversation_world import REPAIR, REPO, Story, edit, scripts, submit

NEW = "acme/store"
REVIEWED = Script(
    (edit("amount += price\n", "amount = amount + price\n"), submit("Writes it out.")),
    when="<feedback-",
)


@pytest.fixture
def story(github_server: GithubServer, github_world: GithubWorld, tmp_path: Path) -> Story:
    made = Story(github_server, github_world, tmp_path, policy=scripts(REVIEWED))
    made.repository()
    return made


class Pause:
    """Lets a run wait in the middle of its work; `repairs` says whether it then finds the bug."""

    def __init__(self, story: Story, *, repairs: bool = True) -> None:
        self._file = story.folder / "pause"
        self._file.touch()
        wait = f"while [ -e {self._file} ]; do sleep 0.05; done"
        held = Say(calls=(Call.of("bash", command=wait),))
        rest = REPAIR[1:] if repairs else (Say(content="I found nothing."),)
        self.policy = story.policy = scripts(REVIEWED, Script((REPAIR[0], held, *rest)))

    def end(self) -> None:
        self._file.unlink()


def status(story: Story, number: int, repo: str) -> str:
    """The status comment."""
    [found] = [
        c["body"]
        for c in story.world.comments(repo, number)
        if "patchwright:status" in c["body"] and c["user"]["type"] == "Bot"
    ]
    return str(found)


def test_a_pull_request_lives_on_in_a_renamed_repository_of_a_renamed_organisation(
    story: Story, github_world: GithubWorld
) -> None:
    with story.serving():
        issue = story.labelled()
        run = story.done()
        github_world.admin("rename-repo", repo=REPO, name="store")
        github_world.admin("rename-user", login="acme", new="apex")
        repo = "apex/store"
        max_ = story.person("max", "write", repo)
        number = story.pull(repo)["number"]
        max_.review(repo, number, "REQUEST_CHANGES", "Write it out.")
        again = story.done(2)
        assert (again.id, again.outcome, again.repository) == (run.id, "proven", repo)
        assert len(story.commits(number, repo)) == 2
        max_.merge(repo, number)
        story.until(lambda: story.store.get_run(run.id).closed == "merged", 60, "the merge")
        story.settled()
    assert len(github_world.pulls(repo)) == 1
    assert Counter(story.acts())["git/delete-ref"] == 1
    assert "is working" not in status(story, issue, repo)
    shop = story.github.world_state.repo(repo)
    assert shop is not None
    tokens = [
        a for a in github_world.acts() if a["kind"].endswith("create-installation-access-token")
    ]
    assert tokens
    assert all(a["detail"]["sent"]["repository_ids"] == [shop.id] for a in tokens)


def test_a_run_at_work_goes_on_under_new_names_and_a_new_installation(
    story: Story, github_world: GithubWorld
) -> None:
    pause = Pause(story)
    with story.serving():
        issue = story.labelled()
        story.works(story.run().id)
        github_world.admin("rename-repo", repo=REPO, name="store")
        github_world.admin("rename-branch", repo=NEW, branch="main", new="trunk")
        github_world.admin("uninstall", account="acme")
        installed = github_world.admin("install", account="acme")["id"]
        pause.end()
        run = story.done()
    assert (run.outcome, run.repository, run.installation_id) == ("proven", NEW, installed)
    pull = story.pull(NEW)
    assert pull["base"]["ref"] == "trunk"
    assert pull["html_url"] in status(story, issue, NEW)
    assert run.pull_request == pull["html_url"]


@pytest.mark.long
def test_a_transfer_to_an_account_with_the_app_changes_nothing_else(
    story: Story, github_world: GithubWorld
) -> None:
    fresh = github_world.admin("install", account="umbrella")["id"]
    pause, repo = Pause(story), "umbrella/shop"
    with story.serving():
        issue = story.labelled()
        story.works(story.run().id)
        github_world.admin("transfer-repo", repo=REPO, owner="umbrella")
        pause.end()
        run = story.done()
        assert (run.outcome, run.repository, run.installation_id) == ("proven", repo, fresh)
        assert story.pull(repo)["html_url"] in status(story, issue, repo)
        story.person("max", "write", repo).merge(repo, run.pull_number)
        story.until(lambda: story.run().closed, 60, "the merge")
        story.settled()


def test_a_transfer_out_of_the_installation_ends_the_run(
    story: Story, github_world: GithubWorld
) -> None:
    pause = Pause(story, repairs=False)
    with story.serving():
        story.labelled()
        run_id = story.run().id
        story.works(run_id)
        github_world.admin("transfer-repo", repo=REPO, owner="elsewhere")
        pause.end()
        assert story.done().outcome == "failed"
        [end] = story.ends(run_id)
    assert "transferred" in end.diagnosis


@pytest.mark.long
def test_a_namesake_of_a_deleted_repository_continues_nothing(
    story: Story, github_world: GithubWorld
) -> None:
    with story.serving():
        story.labelled()
        old = story.done()
        github_world.admin("delete-repo", repo=REPO)
        story.repository()
        story.labelled()
        new = story.done(run_id=story.another_run(old.id).id)
        former = story.store.get_run(old.id)
    assert (new.outcome, new.repository) == ("proven", REPO)
    # The same numbers, in another repository.
    assert (new.issue_number, new.pull_number) == (old.issue_number, old.pull_number)
    assert (former.status, former.round) == ("done", 1)
    assert former.repository != REPO
    mirrors = [path for path in (story.folder / "state" / "mirrors").iterdir() if path.is_dir()]
    assert len(mirrors) == 2, "nothing is shared"
