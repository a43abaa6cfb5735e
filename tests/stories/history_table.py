"""Stories about what the history tells: who is asked for a review."""

from __future__ import annotations

from collections.abc import Collection

from tests.stories.table import admin, published, story
from tests.stories.world import StoryWorld
from tests.support.github.app import CART


def written_by(world: StoryWorld, login: str, text: str = CART) -> str:
    """A commit on the default branch that GitHub knows to be of this account."""
    author = f"Somebody <{login}@users.noreply.github.com>"
    return world.commit_on("main", "shop/cart.py", text, author=author)


def last_written_by(world: StoryWorld, login: str) -> None:
    """The wrong line is somebody's who has access."""
    written_by(world, world.person("ann").login, CART.replace("1", "2"))
    written_by(world, world.person(login).login)


def asked(world: StoryWorld) -> Collection[str]:
    """Who was asked to review the pull request."""
    return [who["login"] for who in world.pull()["requested_reviewers"]]


@story(reviewers_from_history=True)
async def who_broke_it_and_who_wrote_the_line_are_asked(world: StoryWorld) -> None:
    cat, dan = world.person("cat").login, world.person("dan", "read").login
    world.culprit = written_by(world, cat, CART.replace("1", "2"))
    written_by(world, dan)
    issue = world.labelled()
    await world.work()
    published(world, issue)
    assert asked(world) == [cat, dan]
    assert not any("@cat" in text for text in world.bodies(world.pull()["number"]))


@story(reviewers_from_history=True)
async def strangers_and_who_asked_for_the_run_are_not_asked(world: StoryWorld) -> None:
    # Everybody may read it, and the culprit's author is nobody there.
    admin(world, "change-repo", private=False)
    world.culprit = written_by(world, world.person("eve", "none").login, CART.replace("1", "2"))
    written_by(world, world.person("tom", "triage").login)
    issue = world.labelled()
    await world.work()
    published(world, issue)
    assert asked(world) == []
    assert world.requested_reviews() == 0


@story(one_end=False, reviewers_from_history=True)
async def a_refused_reviewer_is_no_loss(world: StoryWorld) -> None:
    last_written_by(world, "cat")
    world.github.fail("POST .*/requested_reviewers", kind="status", status=422)
    issue = world.labelled()
    await world.work()
    published(world, issue)


@story()
async def nobody_is_asked_by_default(world: StoryWorld) -> None:
    last_written_by(world, "cat")
    issue = world.labelled()
    await world.work()
    published(world, issue)
    assert asked(world) == []
