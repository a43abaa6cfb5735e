"""Stories of what becomes of pull requests: merged as proven, with edits, closed, taken back."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.stories.table import published, story
from tests.stories.world import FIXED, StoryWorld
from tests.support.github.app import git


async def proposed(world: StoryWorld) -> int:
    """The number of the pull request with the proven fix."""
    issue = world.labelled()
    await world.work()
    published(world, issue)
    return int(world.pull()["number"])


def merge(world: StoryWorld, number: int, **how: str) -> str:
    """A maintainer merges; returns the commit."""
    return str(world.root("PUT", f"/pulls/{number}/merge", how)["sha"])


def revert(world: StoryWorld, *what: str) -> str:
    """A maintainer takes a commit back with git, and pushes; returns the commit that does."""
    clone = Path(tempfile.mkdtemp(dir=world.folder))
    git(world.folder, "clone", "-q", world.person("ann").git_remote(world.repo), str(clone))
    git(clone, "revert", "--no-edit", *what)
    git(clone, "push", "-q", "origin", "main")
    return git(clone, "rev-parse", "HEAD")


@story()
async def merged_as_proven_then_taken_back_and_put_back(world: StoryWorld) -> None:
    number = await proposed(world)
    world.commit_on("main")
    merged = merge(world, number)
    await world.work()
    await world.look_at_outcomes()
    found = world.outcome()
    assert (found.kind, found.lines_edited, found.reverted_by) == ("untouched", 0, "")
    assert found.commit == merged
    assert found.hours is not None
    # It is looked at as soon as somebody pushes a commit that says to revert something.
    by = revert(world, "-m", "1", merged)
    await world.work()
    await world.look_at_outcomes()
    assert (world.outcome().kind, world.outcome().reverted_by) == ("untouched", by)
    revert(world, by)
    await world.work()
    await world.look_at_outcomes()
    assert world.outcome().reverted_by == ""


@story()
async def merged_with_somebodys_edits(world: StoryWorld) -> None:
    number = await proposed(world)
    branch = world.pull()["head"]["ref"]
    edited = FIXED.replace("def total", "# Starts at 0.\ndef total")
    world.commit_on(branch, "shop/cart.py", edited)
    await world.work()
    merge(world, number, merge_method="squash")
    await world.work()
    await world.look_at_outcomes()
    found = world.outcome()
    assert (found.kind, found.lines_edited) == ("edited", 1)
    assert found.reverted_by == ""


@story()
async def closed_and_nobody_told_us(world: StoryWorld) -> None:
    number = await proposed(world)
    world.deliver = lambda _: []
    world.root("PATCH", f"/pulls/{number}", {"state": "closed"})
    await world.work()
    assert world.run().closed == ""
    # The daily look at open pull requests finds out, and this one follows it.
    await world.days_pass(1.5)
    assert world.run().closed == "closed"
    await world.look_at_outcomes()
    assert world.outcome().kind == "closed"
    # Somebody has it opened again, and merges it.
    world.deliver = lambda deliveries: deliveries
    world.person("ann").comment(world.repo, number, "/patchwright reopen")
    await world.work()
    assert world.run().closed == ""
    merge(world, number, merge_method="squash")
    await world.work()
    await world.look_at_outcomes()
    assert (world.run().closed, world.outcome().kind) == ("merged", "untouched")
