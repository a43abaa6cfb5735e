"""Stories about branches whose rules ask for reviews of what a bot proposes."""

from __future__ import annotations

import json

import pytest

from tests.doubles.github.client import WorldRefused
from tests.stories.table import admin, published, story
from tests.stories.world import StoryWorld

REVIEWS = {
    "kind": "pull_request",
    "on": "main",
    "approvals": "2",
    "last_push": "yes",
    "dismiss_stale": "yes",
}
TOO_FEW = "At least 2 approving reviews are required by reviewers with write access."
LAST_PUSH = "New changes require approval from someone other than the last pusher."


def merge_refused(world: StoryWorld) -> str:
    """What GitHub says to a maintainer who would merge."""
    with pytest.raises(WorldRefused, match=r"^405 ") as error:
        world.person("max").merge(world.repo, world.pull()["number"])
    return str(json.loads(str(error.value).split(": ", 1)[1])["message"])


def approve(world: StoryWorld, *logins: str) -> None:
    """These people approve the pull request."""
    for login in logins:
        world.person(login).review(world.repo, world.pull()["number"], "APPROVE")


def neither_approves_nor_merges(world: StoryWorld) -> None:
    """The App leaves both to people."""
    acts = world.server.world_state.acts
    own = {act.kind for act in acts if act.by_app and world.repo in act.path}
    assert not own & {"pulls/merge", "pulls/create-review", "pulls/submit-review"}


@story()
async def a_bots_pull_request_needs_two_reviews(world: StoryWorld) -> None:
    admin(world, "change-repo", rules=[REVIEWS])
    issue = world.labelled()
    await world.work()
    published(world, issue)
    told = world.pull()["body"].split("## Before it can be merged")[1].split("##")[0]
    assert "The rules of `main` ask for this; Patchwright neither approves nor merges." in told
    assert "- 2 approving reviews of people with write access" in told
    assert "- An approval of the newest push by somebody who did not make it" in told
    assert TOO_FEW in merge_refused(world)
    approve(world, "max")
    assert TOO_FEW in merge_refused(world)
    # What follows a review takes the approvals back.
    approve(world, "ann")
    world.review()
    await world.work()
    assert len(world.commits()) == 2
    assert TOO_FEW in merge_refused(world)
    # Anybody's approval of the App's own push counts.
    approve(world, "ann", "max")
    neither_approves_nor_merges(world)
    world.person("max").merge(world.repo, world.pull()["number"])
    await world.work()
    assert world.run().closed == "merged"
    neither_approves_nor_merges(world)


@story()
async def branch_protection_wants_a_review_and_tells_nobody(world: StoryWorld) -> None:
    rule = {"kind": "protection", "on": "main", "approvals": "1", "last_push": "yes"}
    admin(world, "change-repo", rules=[rule])
    issue = world.labelled()
    await world.work()
    published(world, issue)
    assert "## Before it can be merged" not in world.pull()["body"]
    assert "At least 1 approving review is required" in merge_refused(world)
    world.commit_on(world.pull()["head"]["ref"])
    await world.work()
    approve(world, "ann")
    assert merge_refused(world) == LAST_PUSH
    approve(world, "max")
    world.person("max").merge(world.repo, world.pull()["number"])
    await world.work()
    assert world.run().closed == "merged"
    neither_approves_nor_merges(world)
