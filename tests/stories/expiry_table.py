"""Stories of pull requests that nobody looks at."""

from __future__ import annotations

from tests.stories.table import once, published, story
from tests.stories.world import StoryWorld
from tests.support.github.app import git


def about_expiry(world: StoryWorld, number: int) -> list[str]:
    """What the App said of how long it stays open."""
    kinds = ("patchwright:reminder", "patchwright:expired")
    return [body for body in world.bodies(number) if any(kind in body for kind in kinds)]


async def opened(world: StoryWorld) -> int:
    """A pull request that was just opened."""
    issue = world.labelled()
    await world.work()
    published(world, issue)
    await world.days_pass(0)
    return int(world.pull()["number"])


def branches(world: StoryWorld) -> list[str]:
    """The branches and what else is kept, without GitHub's own refs of pull requests."""
    refs = git(world.bare, "for-each-ref", "--format=%(refname)").splitlines()
    return [ref for ref in refs if not ref.startswith("refs/pull/")]


@story(expires="14d")
async def nobody_looks_at_a_pull_request_and_then_it_is_wanted(world: StoryWorld) -> None:
    number = await opened(world)
    head, branch = world.pull()["head"]["sha"], world.pull()["head"]["ref"]
    await world.days_pass(8)
    assert about_expiry(world, number) == []
    await world.days_pass(1)
    [reminder] = about_expiry(world, number)
    assert "**Is this pull request still wanted?**" in reminder
    await world.days_pass(4)
    assert (world.pull()["state"], about_expiry(world, number)) == ("open", [reminder])
    await world.days_pass(1)
    assert f"on **{world.github_now():%Y-%m-%d}**" in reminder
    assert world.pull()["state"] == "closed"
    [_, said] = about_expiry(world, number)
    assert f"kept as `refs/patchwright/closed/{number}`" in said
    assert branches(world) == ["refs/heads/main", f"refs/patchwright/closed/{number}"]
    assert git(world.bare, "rev-parse", f"refs/patchwright/closed/{number}") == head
    assert (world.run().closed, world.run().status) == ("closed", "done")
    world.person("eve", "read").comment(world.repo, number, "/patchwright reopen")
    await world.days_pass(20)
    assert (world.pull()["state"], len(about_expiry(world, number))) == ("closed", 2)
    world.person("ann").comment(world.repo, number, "/patchwright reopen")
    await world.work()
    assert (world.pull()["state"], world.pull()["head"]["sha"]) == ("open", head)
    assert branches(world) == ["refs/heads/main", f"refs/heads/{branch}"]
    assert world.run().closed == ""
    # Its run answers for it as before, and its time begins anew.
    world.review()
    await world.days_pass(3)
    assert len(world.commits()) == 2
    assert (world.pull()["state"], len(about_expiry(world, number))) == ("open", 2)
    once(world)


@story(expires="2w")
async def people_come_by_and_keep_a_pull_request(world: StoryWorld) -> None:
    number = await opened(world)
    await world.days_pass(8)
    world.person("eve", "read").comment(world.repo, number, "I would like this.")
    await world.days_pass(4)
    assert about_expiry(world, number) == []
    world.github.admin("user", login="ci[bot]", kind="Bot")
    world.person("ci[bot]").comment(world.repo, number, "All checks have passed.")
    await world.days_pass(6)
    assert len(about_expiry(world, number)) == 1, "a bot is nobody"
    world.commit_on(world.pull()["head"]["ref"], "shop/more.py")
    await world.days_pass(1)
    await world.days_pass(8)
    assert len(about_expiry(world, number)) == 1, "a push is somebody"
    await world.days_pass(1)
    [first, second] = about_expiry(world, number)
    assert first.split("\n")[0] != second.split("\n")[0]
    world.person("max").review(world.repo, number, "APPROVE", "")
    await world.days_pass(6)
    assert world.pull()["state"] == "open"
    world.person("eve", "read").comment(world.repo, number, "/patchwright keep")
    world.person("ann").comment(world.repo, number, "/patchwright keep")
    await world.work()
    assert "patchwright:keep" in [label["name"] for label in world.pull()["labels"]]
    await world.days_pass(100)
    await world.days_pass(100)
    assert (world.pull()["state"], len(about_expiry(world, number))) == ("open", 2)
    once(world)


@story()
async def the_service_was_off_for_weeks(world: StoryWorld) -> None:
    world.pull_request["expires"] = "never"
    number = await opened(world)
    world.draft(number)
    world.pull_request["expires"] = "7d"
    await world.days_pass(60)
    assert about_expiry(world, number) == [], "somebody made it a draft"
    world.draft(number, ready=True)
    await world.days_pass(60)
    [reminder] = about_expiry(world, number)
    await world.days_pass(3)
    assert world.pull()["state"] == "open"
    world.root("PUT", f"/issues/{number}/lock")
    await world.days_pass(60)
    assert (world.pull()["state"], world.run().closed) == ("closed", "closed")
    assert about_expiry(world, number) == [reminder], "nobody can be told"
    # A person opens it again, as GitHub's page does it.
    world.root("DELETE", f"/issues/{number}/lock")
    head = world.pull()["head"]
    wanted = {"ref": f"refs/heads/{head['ref']}", "sha": head["sha"]}
    world.root("POST", "/git/refs", wanted)
    world.root("PATCH", f"/pulls/{number}", {"state": "open"})
    await world.work()
    world.review()
    await world.work()
    assert (len(world.commits()), world.run().closed) == (2, "")
    world.person("max").close(world.repo, number)
    await world.work()
    world.commit_on("main")
    other = git(world.bare, "rev-parse", "main")
    world.root("POST", "/git/refs", wanted | {"sha": other})
    world.person("ann").comment(world.repo, number, "/patchwright reopen")
    await world.work()
    assert "branch was force-pushed or recreated" in world.bodies(number)[-1]
    once(world)
