"""The stories: what happens around a run, and how it ends. Each may be struck by a crash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from app.proof_block.text import find
from tests.doubles.github.state import Delivery
from tests.stories.world import StoryWorld
from tests.support.github.app import git

TICKET = {"kind": "commit_message", "pattern": "^JIRA-"}
"""A rule that no commit of the App's meets."""
UNPUBLISHED = "**Fix proven, but it could not be published: "


@dataclass(frozen=True)
class Story:
    """What happens, and what the repository asks for."""

    tell: Callable[[StoryWorld], Awaitable[None]]
    pull_request: dict[str, Any] = field(default_factory=dict)
    one_end: bool = True
    """Whether it looks the same in the end, wherever a crash came; it holds in any case."""
    crashes: bool = True
    """Whether it holds with crashes, too."""
    options: dict[str, Any] = field(default_factory=dict)
    """The operator's settings."""


STORIES: dict[str, Story] = {}


def story(
    *,
    one_end: bool = True,
    crashes: bool = True,
    options: dict[str, Any] | None = None,
    **pull_request: Any,
) -> Callable[[Callable[[StoryWorld], Awaitable[None]]], None]:
    """List a story under the name of its function."""

    def add(tell: Callable[[StoryWorld], Awaitable[None]]) -> None:
        STORIES[tell.__name__.replace("_", "-")] = Story(
            tell, pull_request, one_end, crashes, options or {}
        )

    return add


def admin(world: StoryWorld, action: str, **more: Any) -> Any:
    """Something happens to the repository."""
    return world.github.admin(action, repo=world.repo, **more)


def installation(world: StoryWorld, **changed: Any) -> None:
    """Something happens to the App's installation."""
    world.github.admin("change-installation", account=world.owner(), **changed)


def published(world: StoryWorld, issue: int) -> None:
    """The proven fix is in the one pull request, and the issue says so."""
    run, pull = world.run(), world.pull()
    assert (run.status, run.outcome) == ("done", "proven")
    assert run.pull_request == pull["html_url"]
    assert pull["html_url"] in world.status(issue)
    assert "+    t = 0" in world.github.diff(world.repo, pull["number"])
    once(world)


def once(world: StoryWorld) -> None:
    """Nothing was done twice that people would see twice."""
    acts = Counter(
        act.kind
        for act in world.server.world_state.acts
        if act.by_app and any(name in act.path for name in world.names)
    )
    assert acts["pulls/create"] <= 1
    for number in (item.number for item in world.issues()):
        markers = [body.split("\n")[0] for body in world.bodies(number)]
        assert len(markers) == len(set(markers)), markers


def kept_for_people(world: StoryWorld, issue: int, kind: str) -> None:
    """There is no pull request; a comment has the proven diff, and why."""
    run = world.run()
    assert (run.status, run.outcome, run.pull_request) == ("done", "proven", "")
    [said] = world.said(issue)
    assert UNPUBLISHED in said
    assert "-    t = 1\n+    t = 0\n" in said
    obstacle = world.publication().obstacle
    assert obstacle is not None
    assert obstacle.kind == kind


async def published_at_last(world: StoryWorld, issue: int) -> None:
    """Nothing is in the way any more: somebody asks, and the kept patch is published."""
    world.person("ann").comment(world.repo, issue, "/patchwright publish")
    await world.work()
    published(world, issue)
    assert not any(UNPUBLISHED in text for text in world.said(issue))


# Repositories by id, and redirects


@story()
async def nothing_in_the_way(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    published(world, issue)


@story()
async def renamed_at_work(world: StoryWorld) -> None:
    world.before("debug", lambda: world.rename("store"))
    issue = world.labelled()
    await world.work()
    published(world, issue)


@story()
async def renamed_before_publishing(world: StoryWorld) -> None:
    world.before("publish", lambda: world.rename("store"))
    issue = world.labelled()
    await world.work()
    published(world, issue)


@story()
async def owner_renamed_at_work(world: StoryWorld) -> None:
    world.before("publish", world.rename_owner)
    issue = world.labelled()
    await world.work()
    published(world, issue)


@story()
async def default_branch_renamed_at_work(world: StoryWorld) -> None:
    world.before("publish", lambda: admin(world, "rename-branch", branch="main", new="trunk"))
    issue = world.labelled()
    await world.work()
    published(world, issue)
    assert world.pull()["base"]["ref"] == "trunk"


@story()
async def renamed_with_an_open_pull_request(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    world.rename("store")
    world.review()
    await world.work()
    assert len(world.commits()) == 2
    published(world, issue)


@story()
async def transferred_to_an_account_with_the_app(world: StoryWorld) -> None:
    world.before("publish", world.transfer)
    issue = world.labelled()
    await world.work()
    published(world, issue)


@story()
async def transferred_away_from_the_app(world: StoryWorld) -> None:
    world.before("publish", lambda: world.transfer(install=False))
    world.labelled()
    await world.work()
    run = world.run()
    assert (run.outcome, run.pull_request) == ("proven", "")
    assert world.publication().told == "page"
    assert world.store.get_log(run.id, "patch")


@story()
async def deleted_and_made_again(world: StoryWorld) -> None:
    world.before("publish", world.delete_and_make_again)
    world.labelled()
    await world.work()
    assert (world.run().outcome, world.run().pull_request) == ("proven", "")
    assert world.github.pulls(world.repo) == []
    assert world.issues() == []


# Publication


@story()
async def push_refused_then_published(world: StoryWorld) -> None:
    admin(world, "change-repo", rules=[TICKET])
    issue = world.labelled()
    await world.work()
    kept_for_people(world, issue, "commit_message")
    [kept] = world.said(issue)
    # Those who may not give commands are not heard; and it is still in the way.
    world.person("eve", "read").comment(world.repo, issue, "/patchwright publish")
    await world.work()
    assert world.run().round == 1
    world.person("ann").comment(world.repo, issue, "/patchwright publish")
    await world.work()
    assert world.run().round == 2
    assert world.said(issue) == [kept]
    # The base branch has moved: the patch is proven on its tip, and no model is asked.
    admin(world, "change-repo", rules=[])
    tip = world.commit_on("main")
    turns = world.attempts
    await published_at_last(world, issue)
    assert not world.pull()["draft"]
    assert [c["parents"][0]["sha"] for c in world.commits()] == [tip]
    assert (world.attempts, world.proofs) == (turns, 1)
    [now] = world.said(issue)
    assert world.pull()["html_url"] in now
    world.person("ann").comment(world.repo, issue, "/patchwright publish")
    await world.work()
    assert "It is published" in world.said(issue)[-1]


@story(draft_only=True)
async def no_drafts(world: StoryWorld) -> None:
    admin(world, "change-repo", drafts=False)
    issue = world.labelled()
    await world.work()
    kept_for_people(world, issue, "drafts")
    admin(world, "change-repo", drafts=True)
    world.person("ann").comment(world.repo, issue, "/patchwright publish")
    await world.work()
    assert world.pull()["draft"]


@story()
async def pull_requests_are_turned_off(world: StoryWorld) -> None:
    admin(world, "change-repo", pull_creation="none")
    issue = world.labelled()
    await world.work()
    kept_for_people(world, issue, "no_pulls")
    [said] = world.said(issue)
    assert "pull requests are disabled" in said
    assert f"[The patch as a file](https://pw.example/runs/{world.run().id}/logs/patch)" in said
    admin(world, "change-repo", pull_creation="collaborators")
    world.person("ann").comment(world.repo, issue, "/patchwright publish")
    await world.work()
    kept_for_people(world, issue, "no_pulls")
    assert "must be a collaborator" in world.said(issue)[0]
    admin(world, "change-repo", pull_creation="all")
    await published_at_last(world, issue)


@story()
async def a_branch_is_in_the_way(world: StoryWorld) -> None:
    git(world.bare, "update-ref", "refs/heads/patchwright", "main")
    issue = world.labelled()
    await world.work()
    published(world, issue)


@story()
async def base_moves_and_the_fix_holds(world: StoryWorld) -> None:
    world.before("publish", lambda: world.commit_on("main"))
    issue = world.labelled()
    await world.work()
    published(world, issue)
    assert world.commits()[0]["parents"][0]["sha"] == git(world.bare, "rev-parse", "main")


@story()
async def change_refused_then_published(world: StoryWorld) -> None:
    number, head = await reviewed_before_a_rule(world)
    [said] = [text for text in world.said(number) if UNPUBLISHED in text]
    assert "Commit message must match a given regex pattern:" in said
    assert "-        t += x\n+        t = t + x\n" in said
    assert f"git checkout -b fix-issue-1 {head}" in said
    assert "git apply --index fix.patch" in said
    assert "If the pull request's branch has moved" in said
    assert any("Not pushed; the change is in a comment" in text for text in world.said(number))
    kept = world.store.get_log(world.run().id, "patch") or b""
    assert said.split("```diff\n")[1].split("```")[0] == kept.decode()
    admin(world, "change-repo", rules=[])
    world.person("ann").comment(world.repo, number, "/patchwright publish")
    await world.work()
    assert world.change() is None
    assert [c["parents"][0]["sha"] for c in world.commits()][1:] == [head]
    assert "+        t = t + x" in world.github.diff(world.repo, number)
    assert not any(UNPUBLISHED in text for text in world.said(number))
    once(world)


@story()
async def change_refused_then_its_branch_moves(world: StoryWorld) -> None:
    number, _ = await reviewed_before_a_rule(world)
    admin(world, "change-repo", rules=[])
    theirs = world.commit_on(world.pull()["head"]["ref"])
    world.verdicts += ["unproven"]
    world.person("ann").comment(world.repo, number, "/patchwright publish")
    await world.work()
    assert len(world.commits()) == 2
    [said] = [text for text in world.said(number) if UNPUBLISHED in text]
    assert "The reproduction still fails." in said
    world.verdicts.clear()
    world.person("ann").comment(world.repo, number, "/patchwright publish once more")
    await world.work()
    assert [c["parents"][0]["sha"] for c in world.commits()][2:] == [theirs]
    assert not any(UNPUBLISHED in text for text in world.said(number))
    once(world)


async def reviewed_before_a_rule(world: StoryWorld) -> tuple[int, str]:
    """A pull request whose review is answered with a change that a rule refuses."""
    world.labelled()
    await world.work()
    pull = world.pull()
    admin(world, "change-repo", rules=[TICKET])
    world.review()
    await world.work()
    assert [c["sha"] for c in world.commits()] == [pull["head"]["sha"]]
    assert world.run().pull_request == pull["html_url"]
    assert UNPUBLISHED.strip("* ").rstrip(":") in world.end().diagnosis
    change = world.change()
    assert change is not None
    assert (change.obstacle.kind, change.told) == ("commit_message", "comment")
    return pull["number"], pull["head"]["sha"]


# Ghosts


@story()
async def issue_locked_and_unlocked(world: StoryWorld) -> None:
    issue = world.labelled()
    world.before("publish", lambda: world.root("PUT", f"/issues/{issue}/lock"))
    await world.work()
    assert world.publication().told == "check"
    world.root("DELETE", f"/issues/{issue}/lock")
    await published_at_last(world, issue)


@story()
async def pull_request_locked_while_a_change_is_made(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    number = world.pull()["number"]
    world.before("push", lambda: world.root("PUT", f"/issues/{number}/lock"))
    world.review()
    await world.work()
    # The change is there, only the answers are not.
    assert len(world.commits()) == 2
    published(world, issue)


@story(labels=[])
async def label_deleted_at_work(world: StoryWorld) -> None:
    world.before("publish", lambda: world.root("DELETE", "/labels/patchwright"))
    issue = world.labelled()
    await world.work()
    published(world, issue)


@story(one_end=False)
async def our_branch_deleted_before_its_pull_request(world: StoryWorld) -> None:
    deleted: list[str] = []

    def delete(branch: str) -> None:
        if not deleted:
            deleted.append(branch)
            world.root("DELETE", f"/git/refs/heads/{branch}")

    world.after_push = delete
    issue = world.labelled()
    await world.work()
    assert deleted
    if world.run().pull_request:  # a crash came in between, and it was pushed again
        published(world, issue)
        return
    kept_for_people(world, issue, "head_gone")
    await published_at_last(world, issue)


@story()
async def branch_of_the_open_pull_request_deleted(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    pull = world.pull()
    number, branch = pull["number"], pull["head"]["ref"]
    world.before("push", lambda: world.root("DELETE", f"/git/refs/heads/{branch}"))
    world.review()
    await world.work()
    assert world.pull()["state"] == "closed"
    assert branch not in git(world.bare, "branch", "--list", "--format=%(refname:short)")
    [said] = [text for text in world.said(number) if UNPUBLISHED in text]
    assert "+        t = t + x" in said
    assert world.run().closed == "closed"
    assert world.run().pull_request in world.status(issue)
    once(world)


@story()
async def branch_deleted_and_the_pull_request_left_open(world: StoryWorld) -> None:
    world.labelled()
    await world.work()
    pull = world.pull()
    number, branch = pull["number"], pull["head"]["ref"]
    admin(world, "change-repo", closes_pulls=False)
    world.before("push", lambda: world.root("DELETE", f"/git/refs/heads/{branch}"))
    world.review()
    await world.work()
    assert branch not in git(world.bare, "branch", "--list", "--format=%(refname:short)")
    [said] = [text for text in world.said(number) if UNPUBLISHED in text]
    assert "+        t = t + x" in said
    once(world)


@story()
async def a_review_that_leads_to_nothing(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    world.finds = False
    world.review()
    await world.work()
    assert len(world.commits()) == 1
    published(world, issue)
    assert "**Patchwright found and proved a fix: " in world.status(issue)


@story()
async def pull_request_made_a_draft(world: StoryWorld) -> None:
    world.labelled()
    await world.work()
    number = world.pull()["number"]
    world.before("push", lambda: world.draft(number))
    world.review()
    await world.work()
    assert len(world.commits()) == 2
    assert world.pull()["draft"], "it is the people's word"
    once(world)


@story()
async def issue_made_a_discussion(world: StoryWorld) -> None:
    issue = world.labelled()
    world.before("publish", lambda: admin(world, "delete-issue", number=issue))
    await world.work()
    run = world.run()
    assert (run.outcome, run.pull_request) == ("proven", "")
    assert world.publication().told == "check"
    assert world.store.get_log(run.id, "patch")


@story()
async def issue_transferred_at_work(world: StoryWorld) -> None:
    other = world.repository(f"{world.owner()}/other")
    issue = world.labelled()
    world.before("publish", lambda: admin(world, "transfer-issue", number=issue, to=other))
    await world.work()
    run = world.run()
    assert (run.outcome, run.pull_request) == ("proven", "")
    assert world.github.pulls(world.repo) == []
    assert world.store.get_log(run.id, "patch")


@story()
async def archived_and_unarchived(world: StoryWorld) -> None:
    world.before("publish", lambda: admin(world, "change-repo", archived=True))
    issue = world.labelled()
    await world.work()
    assert world.publication().told == "page"
    admin(world, "change-repo", archived=False)
    await published_at_last(world, issue)


@story()
async def suspended_and_unsuspended(world: StoryWorld) -> None:
    world.before("publish", lambda: installation(world, suspended=True))
    issue = world.labelled()
    await world.work()
    assert world.publication().told == "page"
    installation(world, suspended=False)
    await published_at_last(world, issue)


@story()
async def uninstalled_and_installed_again(world: StoryWorld) -> None:
    world.before("publish", world.install_again)
    issue = world.labelled()
    await world.work()
    published(world, issue)


@story()
async def uninstalled_and_installed_later(world: StoryWorld) -> None:
    account = world.owner()
    world.before("publish", lambda: world.github.admin("uninstall", account=account))
    issue = world.labelled()
    await world.work()
    assert world.publication().told == "page"
    world.github.admin("install", account=account)
    await published_at_last(world, issue)


@story()
async def people_and_comments_deleted(world: StoryWorld) -> None:
    issue = world.labelled()
    world.before("publish", lambda: world.github.admin("delete-user", login=world.reporter))
    await world.work()
    published(world, issue)
    number = world.pull()["number"]
    said = world.person("max").comment(world.repo, number, "/patchwright fix write it out")
    world.root("DELETE", f"/issues/comments/{said}")
    await world.work()
    assert len(world.commits()) == 1, "what was taken back is not asked for"
    assert world.said(number) == []


@story()
async def status_comment_deleted_at_work(world: StoryWorld) -> None:
    issue = world.labelled()
    world.before("publish", lambda: world.delete_status(issue))
    await world.work()
    published(world, issue)


# Webhooks as they really come


@story()
async def webhooks_twice_and_backwards(world: StoryWorld) -> None:
    world.deliver = lambda found: [*reversed(found), *found]
    issue = world.labelled()
    await world.work()
    published(world, issue)
    world.review()
    world.person("max").comment(world.repo, world.pull()["number"], "/patchwright fix it too")
    await world.work()
    assert world.runs() == 1
    assert len(world.commits()) == 2
    once(world)


@story()
async def webhooks_an_hour_late(world: StoryWorld) -> None:
    late: list[Delivery] = []
    issue = world.labelled()
    await world.work()

    def keep(found: list[Delivery]) -> list[Delivery]:
        late.extend(found)
        return []

    world.deliver = keep
    number = world.pull()["number"]
    world.review()
    world.person("max").merge(world.repo, number)
    await world.work()
    world.github.advance(3600)
    world.deliver = lambda found: [*late, *found]
    world.github.send("ping", {"zen": "x", "hook_id": 1})
    await world.work()
    run = world.run()
    assert run.closed == "merged"
    assert len(world.commits()) == 1, "what is merged is over"
    assert run.pull_request in world.status(issue)
    once(world)


@story()
async def lists_are_stale(world: StoryWorld) -> None:
    """What was just made is not in lists yet: GitHub's lists may lag behind for seconds."""

    async def work() -> None:
        world.github.admin("stale", seconds=3)
        try:
            await world.work()
        finally:
            world.github.admin("stale", seconds=0)

    issue = world.labelled()
    await work()
    world.review()
    await work()
    assert len(world.commits()) == 2
    published(world, issue)


# Manners


@story(title_prefix="[bot] ", title="#{issue}: {title}")
async def titles_begin_as_the_repository_wants(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    published(world, issue)
    assert world.pull()["title"] == f"[bot] #{issue}: Fix: Total is wrong"
    assert world.commits()[0]["commit"]["message"].startswith("Fix: Total is wrong\n")


@story()
async def the_proof_block_follows_the_commits_and_comes_back(world: StoryWorld) -> None:
    world.labelled()
    await world.work()
    first = world.pull()
    block = find(first["body"])
    assert (block.kind, block.verdict, block.head) == ("fix", "proven", first["head"]["sha"])
    assert block.repository.name == world.repo
    assert block.times.judged
    assert find(world.proof_check()) == block
    # Whatever people make of the description stays, and a forged block there counts for nothing.
    forged = first["body"].replace('"proven"', '"failed"')
    mine = f"Looked at it.\n\n{forged}"
    world.root("PATCH", f"/pulls/{first['number']}", {"body": mine})
    world.finds = False
    world.review()
    await world.work()
    assert find(world.pull()["body"]) == block
    assert "Looked at it.\n" in world.pull()["body"]
    world.finds = True
    world.root("PATCH", f"/pulls/{first['number']}", {"body": "No."})
    world.review()
    await world.work()
    now = world.pull()
    assert now["head"]["sha"] != first["head"]["sha"]
    assert find(now["body"]).head == now["head"]["sha"]
    assert find(now["body"]).base == block.base
    assert now["body"].endswith("-->\nNo.")
    assert find(world.proof_check()) == find(now["body"])
    once(world)


@story(most_open=1)
async def no_more_pull_requests_than_are_wanted(world: StoryWorld) -> None:
    first = world.labelled()
    await world.work()
    published(world, first)
    second = world.labelled()
    await world.work()
    assert (world.run().outcome, world.run().pull_number) == ("stopped", 0)
    assert "1 pull requests of this App are open here" in world.status(second)
    world.person("ann").comment(world.repo, second, "/patchwright plan")
    await world.work()
    assert (world.runs(), world.run().trigger.goal, world.run().outcome) == (3, "plan", "stopped")
    assert len(world.github.pulls(world.repo)) == 1
    world.person("max").close(world.repo, world.pull()["number"])
    await world.work()
    world.person("ann").comment(world.repo, second, "/patchwright fix")
    await world.work()
    assert world.run().outcome == "proven"
    assert len(world.github.pulls(world.repo)) == 2
