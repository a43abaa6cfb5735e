"""Stories about repositories that take signed commits only."""

from __future__ import annotations

from tests.doubles.github.state import Json
from tests.stories.table import admin, published, story
from tests.stories.world import StoryWorld
from tests.support.github.app import git

SIGNED = {"kind": "signatures"}


def signed_by_github(world: StoryWorld) -> list[Json]:
    """The pull request's commits, which GitHub made for the App and signed."""
    commits = world.commits()
    for each in commits:
        commit = each["commit"]
        assert commit["verification"]["verified"], commit["verification"]
        assert commit["verification"]["reason"] == "valid"
        assert commit["author"]["name"] == "patchwright[bot]"
        assert commit["committer"]["name"] == "GitHub"
    return commits


@story(co_author_requester=True)
async def a_rule_wants_signatures_on_every_branch(world: StoryWorld) -> None:
    admin(world, "change-repo", rules=[SIGNED])
    issue = world.labelled()
    await world.work()
    published(world, issue)
    [made] = signed_by_github(world)
    assert made["parents"][0]["sha"] == git(world.bare, "rev-parse", "main")
    trailers = made["commit"]["message"].rpartition("\n\n")[2].splitlines()
    assert trailers[0] == f"Patchwright-Run: https://pw.example/runs/{world.run().id}"
    assert trailers[1].startswith("Co-authored-by: tom <")
    assert trailers[2].startswith("Signed-off-by: patchwright[bot] <")


@story()
async def a_rule_wants_signatures_on_the_default_branch(world: StoryWorld) -> None:
    # A push of the new branch would be taken, and its pull request could not be merged.
    admin(world, "change-repo", rules=[SIGNED | {"on": "main"}])
    issue = world.labelled()
    await world.work()
    published(world, issue)
    assert len(signed_by_github(world)) == 1


@story()
async def a_change_is_signed_too(world: StoryWorld) -> None:
    admin(world, "change-repo", rules=[SIGNED])
    issue = world.labelled()
    await world.work()
    world.review()
    await world.work()
    published(world, issue)
    assert len(signed_by_github(world)) == 2


@story()
async def branch_protection_wants_signatures_and_only_its_refusal_tells(world: StoryWorld) -> None:
    words = "Commits must have verified signatures."
    admin(world, "change-repo", rules=[{"kind": "protected_signatures", "says": words}])
    issue = world.labelled()
    await world.work()
    world.review()
    await world.work()
    published(world, issue)
    assert len(signed_by_github(world)) == 2


@story(options={"signed_commits": "always"})
async def all_commits_are_signed_where_that_is_wanted(world: StoryWorld) -> None:
    issue = world.labelled()
    await world.work()
    published(world, issue)
    assert len(signed_by_github(world)) == 1
    assert "git/push" not in {
        act.kind for act in world.server.world_state.acts if act.by_app and world.repo in act.path
    }
