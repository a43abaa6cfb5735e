"""What GitHub takes, and no more: lengths, counts, names, contents in a minute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.github.client import GithubForge
from app.github.errors import RateLimited
from app.github.records import CheckReport
from app.publishing.pull_request import CHECK_LIMIT
from app.sanitize.markdown import fit, octets
from tests.doubles.github.client import GithubWorld, WorldRefused
from tests.doubles.github.server import GithubServer
from tests.support.github.app import app_of, git, installation_of, shop

__all__ = ["shop"]


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/issues", {"title": "t" * 257}, "title is too long (maximum is 256 characters)"),
        ("PATCH", "/issues/1", {"title": "t" * 257}, "title is too long"),
        ("PATCH", "/issues/1", {"body": "b" * 65_537}, "body is too long (maximum is 65536"),
        ("POST", "/issues/1/labels", {"labels": ["l" * 51]}, "name is too long (maximum is 50"),
        (
            "POST",
            "/labels",
            {"name": "x", "description": "d" * 101},
            "description is too long (maximum is 100 characters)",
        ),
        ("POST", "/git/refs", {"ref": "refs/heads/a..b"}, "Reference name is invalid"),
        ("POST", "/git/refs", {"ref": "refs/heads/" + "a" * 256}, "Reference name is invalid"),
        ("POST", "/git/refs", {"ref": "refs/heads/" + "1" * 40}, "Reference name is invalid"),
    ],
)
def test_what_is_too_long_or_no_name(
    github_server: GithubServer,
    github_world: GithubWorld,
    shop: str,
    method: str,
    path: str,
    body: dict[str, Any],
    words: str,
) -> None:
    ann = github_world.collaborator(shop, "ann")
    ann.open_issue(shop, "Total is wrong")
    if path == "/git/refs":
        found = github_server.world_state.repo(shop)
        assert found is not None
        body = body | {"sha": git(found.git, "rev-parse", "main")}
    with pytest.raises(WorldRefused, match=r"^422 ") as refused:
        ann.call(method, f"/repos/{shop}{path}", body)
    assert words in str(refused.value)


async def test_a_check_takes_so_many_bytes_and_not_characters(
    github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    found = github_server.world_state.repo(shop)
    assert found is not None
    head = git(found.git, "rev-parse", "main")
    forge = GithubForge(app_of(github_server), installation_of(github_server, shop), shop)
    long = "\n".join(["prüft 検査 ✅"] * 5_000)
    assert len(long) < 65_536 < octets(long)
    said = fit(long, CHECK_LIMIT, octets)
    assert octets(said) <= CHECK_LIMIT < octets(said) + 600
    await forge.put_check(CheckReport("r1", "Proof", head, "Done", said, conclusion="success"))
    too_long = CheckReport("r2", "Proof", head, "Done", long, conclusion="success")
    with pytest.raises(Exception, match="summary exceeds a maximum bytesize of 65535"):
        await forge.put_check(too_long)
    await forge.close()


async def test_contents_are_counted_where_that_is_wanted(
    github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    number = github_world.collaborator(shop, "ann").open_issue(shop, "Total is wrong")
    forge = GithubForge(app_of(github_server), installation_of(github_server, shop), shop)
    github_world.admin("content-limit", per_minute=2)
    await forge.put_comment(number, "<!-- a -->", "1")
    await forge.put_comment(number, "<!-- b -->", "2")
    await forge.put_comment(number, "<!-- b -->", "an edit makes nothing new")
    with pytest.raises(RateLimited) as limited:
        await forge.put_comment(number, "<!-- c -->", "3")
    assert limited.value.retry_after == 60
    github_world.advance(61)
    await forge.put_comment(number, "<!-- c -->", "3")
    assert len(github_world.comments(shop, number)) == 3
    await forge.close()


async def test_a_page_is_short_where_somebody_is_hidden_and_the_next_is_read(
    github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    eve = github_world.collaborator(shop, "eve", "read")
    ann = github_world.collaborator(shop, "ann")
    number = ann.open_issue(shop, "Total is wrong")
    found = github_server.world_state.repo(shop)
    assert found is not None
    base = git(found.git, "rev-parse", "main")
    tree = git(found.git, "rev-parse", "main^{tree}")
    head = git(found.git, "commit-tree", tree, "-p", base, "-m", "fix")
    git(found.git, "update-ref", "refs/heads/fix", head)
    sent = {"title": "Fix", "head": "fix", "base": "main"}
    pull = ann.call("POST", f"/repos/{shop}/pulls", sent)["number"]
    for count in range(100):
        (eve if count == 5 else ann).comment(shop, pull, f"{count}")
    ann.comment(shop, pull, "the last word")
    github_world.admin("hide-user", login="eve")
    forge = GithubForge(app_of(github_server), installation_of(github_server, shop), shop)
    said = [each.body for each in await forge.review_comments(pull)]
    assert len(said) == 100 and said[-1] == "the last word" and "5" not in said
    assert (await forge.issue(number)).comments == ()
    await forge.close()


def test_reviews_are_asked_of_collaborators_alone(
    github_server: GithubServer, github_world: GithubWorld, shop: str
) -> None:
    ann = github_world.collaborator(shop, "ann")
    github_world.person("stranger")
    found = github_server.world_state.repo(shop)
    assert found is not None
    tree = git(found.git, "rev-parse", "main^{tree}")
    head = git(found.git, "commit-tree", tree, "-p", "main", "-m", "fix")
    git(found.git, "update-ref", "refs/heads/fix", head)
    sent = {"title": "Fix", "head": "fix", "base": "main"}
    pull = ann.call("POST", f"/repos/{shop}/pulls", sent)["number"]
    path = f"/repos/{shop}/pulls/{pull}/requested_reviewers"
    own = "Review cannot be requested from pull request author."
    others = f"is not a collaborator of the {shop} repository."
    for asked, words in (
        ({"reviewers": ["ann"]}, own),
        ({"reviewers": ["stranger"]}, others),
        ({"team_reviewers": ["none"]}, others),
    ):
        with pytest.raises(WorldRefused, match=r"^422 ") as refused:
            ann.call("POST", path, asked)
        assert json.loads(str(refused.value).split(": ", 1)[1])["message"].endswith(words)


def test_an_event_of_more_than_25_mb_is_not_delivered(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    github_world.send_webhooks_to("http://127.0.0.1:9/webhooks")
    github_world.send("ping", {"zen": "z" * 25_000_001, "hook_id": 1})
    assert github_server.world_state.deliveries[-1].status == "payload too large"
