"""Comments are made once, though workers die and GitHub's list of comments is seconds old."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.github.client import GithubForge
from app.github.errors import ForgeAway, ForgeDenied
from app.github.written_comments import CommentPlace
from app.storage.database.connection import open_database
from app.storage.kept_comments import KeptComments
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.support.github.app import app_of, installation_of
from tests.support.postgresql import fresh_database

MARKER = "<!-- patchwright:status run=r1 -->"
MAKING = "issues/create-comment"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'patchwright.db'}"
    else:
        url = fresh_database(request.getfixturevalue("postgresql"))
    made = open_database(url)
    yield made
    made.dispose()


@pytest.fixture
def worker(
    github_server: GithubServer, shop: str, database: sa.Engine
) -> Callable[..., GithubForge]:
    """A worker that was just started: it knows what the database knows."""

    def start(listed_after_s: float = 3600.0) -> GithubForge:
        found = github_server.world_state.repo(shop)
        assert found is not None
        place = installation_of(github_server, shop), shop, found.id
        kept = KeptComments(database, listed_after_s)
        return GithubForge(app_of(github_server), *place, written=kept)

    return start


@pytest.fixture
def issue(github_world: GithubWorld, shop: str) -> Iterator[int]:
    """An issue, and lists that lag a minute behind."""
    number = github_world.collaborator(shop, "ann").open_issue(shop, "x")
    github_world.admin("stale", seconds=60)
    yield number
    github_world.admin("stale", seconds=0)


def bodies(world: GithubWorld, repo: str, issue: int) -> list[str]:
    return [c["body"] for c in world.comments(repo, issue)]


async def test_a_successor_edits_the_comment_that_is_not_listed_yet(
    worker: Callable[..., GithubForge], github_world: GithubWorld, shop: str, issue: int
) -> None:
    first = await worker().put_comment(issue, MARKER, "one")
    second = await worker().put_comment(issue, MARKER, "two")
    assert first.id == second.id
    assert len(github_world.acts(MAKING)) == 1


@pytest.mark.parametrize("kind", ["lost", "after"])
async def test_a_comment_whose_answer_nobody_heard_is_waited_for(
    worker: Callable[..., GithubForge],
    github_world: GithubWorld,
    shop: str,
    issue: int,
    kind: str,
) -> None:
    github_world.fail("POST .*/comments$", kind=kind)
    died = worker()
    with pytest.raises(ForgeAway):
        await died.put_comment(issue, MARKER, "one")
    for each in (died, worker()):
        with pytest.raises(ForgeAway, match="not list it yet"):
            await each.put_comment(issue, MARKER, "one")
    github_world.advance(61)
    await worker().put_comment(issue, MARKER, "two")
    assert len(github_world.acts(MAKING)) == 1
    assert bodies(github_world, shop, issue) == [f"{MARKER}\ntwo"]


async def test_a_comment_that_was_never_made_is_made_when_it_would_be_listed(
    worker: Callable[..., GithubForge], github_world: GithubWorld, shop: str, issue: int
) -> None:
    github_world.fail("POST .*/comments$", kind="status", status=502)
    with pytest.raises(ForgeAway):
        await worker().put_comment(issue, MARKER, "one")
    with pytest.raises(ForgeAway, match="not list it yet"):
        await worker().put_comment(issue, MARKER, "one")
    await worker(listed_after_s=0.0).put_comment(issue, MARKER, "one")
    github_world.advance(61)
    assert bodies(github_world, shop, issue) == [f"{MARKER}\none"]


async def test_a_refused_comment_is_not_waited_for(
    worker: Callable[..., GithubForge], github_world: GithubWorld, shop: str, issue: int
) -> None:
    owner = github_world.collaborator(shop, "root", "admin")
    owner.call("PUT", f"/repos/{shop}/issues/{issue}/lock")
    with pytest.raises(ForgeDenied):
        await worker().put_comment(issue, MARKER, "one")
    owner.call("DELETE", f"/repos/{shop}/issues/{issue}/lock")
    await worker().put_comment(issue, MARKER, "one")
    assert len(github_world.acts(MAKING)) == 1


async def test_a_comment_that_people_deleted_is_made_again(
    worker: Callable[..., GithubForge], github_world: GithubWorld, shop: str, issue: int
) -> None:
    first = await worker().put_comment(issue, MARKER, "one")
    owner = github_world.collaborator(shop, "root", "admin")
    owner.call("DELETE", f"/repos/{shop}/issues/comments/{first.id}")
    second = await worker().put_comment(issue, MARKER, "two")
    third = await worker().put_comment(issue, MARKER, "three")
    assert second.id == third.id != first.id


def test_what_is_known_of_one_place_is_not_known_of_another(database: sa.Engine) -> None:
    kept, place = KeptComments(database), CommentPlace(1, 2, MARKER)
    others = CommentPlace(2, 2, MARKER), CommentPlace(1, 3, MARKER), CommentPlace(1, 2, "<!-- -->")
    kept.begin(place)
    assert kept.may_be_unlisted(place)
    assert not any(kept.may_be_unlisted(other) for other in others)
    kept.confirm(place, 7)
    assert kept.id_of(place) == 7
    assert not kept.may_be_unlisted(place)
    assert not any(kept.id_of(other) for other in others)
    kept.forget(place)
    assert kept.id_of(place) == 0
