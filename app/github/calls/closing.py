"""Closing pull requests that nobody looks at, and opening them again: the forge's blocking calls.

Source of facts: GitHub's REST descriptions, versions 2022-11-28 and 2026-03-10. A closed pull
request opens again only while its branch is there, at the commit that it was closed with or after
it: else GitHub answers 422, `state cannot be changed. The … branch has been deleted.`
(pytorch/pytorch#114423), or `… was force-pushed or recreated.` (cilium/cilium#47088; GitHub's
reason: isaacs/github#361).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from github import GithubException
from github.Requester import Requester

from app.github.answers import OddAnswer
from app.github.paging import all_entries


def last_word(requester: Requester, at: str, number: int) -> datetime | None:
    """When a person last commented on a pull request or reviewed it; None: nobody has.

    Only accounts of type `User` are people. Approvals count, reviews that are not sent yet do not.
    """
    pull = f"{at}/pulls/{number}"
    reviews = (
        review["submitted_at"]
        for review in all_entries(requester, f"{pull}/reviews")
        if review["state"] != "PENDING" and _is_person(review)
    )
    comments = (
        comment["created_at"]
        for path in (f"{pull}/comments", f"{at}/issues/{number}/comments")
        for comment in all_entries(requester, path)
        if _is_person(comment)
    )
    return max(map(datetime.fromisoformat, (*reviews, *comments)), default=None)


def _is_person(said: dict[str, Any]) -> bool:
    return (said.get("user") or {}).get("type") == "User"


def is_by_a_person(requester: Requester, at: str, sha: str) -> bool:
    """Whether a commit's author is no bot, by its e-mail address; one of nobody's counts, too."""
    _, found = requester.requestJsonAndCheck(
        "GET", f"{at}/commits", parameters={"sha": sha, "per_page": 1}
    )
    if not isinstance(found, list) or not found or found[0]["sha"] != sha:
        raise OddAnswer("another commit")
    account = found[0]["author"]
    return not account or account.get("type") == "User"


_MERGE_COMMIT = """query($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) { mergeCommit { oid } } }
}"""
"""https://docs.github.com/en/graphql/reference/objects#pullrequest; REST says it no longer."""


def merge_commit(requester: Requester, repository: str, number: int) -> str:
    """The commit of the base branch by which a pull request was merged; empty: none is named.

    `repository` is its full name now. After a rebase it is the last of the commits.
    """
    owner, _, name = repository.partition("/")
    asked = {"owner": owner, "name": name, "number": number}
    _, answer = requester.graphql_query(_MERGE_COMMIT, asked)
    pull = (answer["data"].get("repository") or {}).get("pullRequest") or {}
    return str((pull.get("mergeCommit") or {}).get("oid") or "")


def set_open(requester: Requester, at: str, number: int, *, is_open: bool) -> None:
    """Close a pull request, or open it again. Idempotent."""
    state = "open" if is_open else "closed"
    path = f"{at}/pulls/{number}"
    _, pull = requester.requestJsonAndCheck("GET", path)
    if pull["state"] != state:
        _, changed = requester.requestJsonAndCheck("PATCH", path, input={"state": state})
        if changed["state"] != state:
            raise OddAnswer("another state")


def keep_ref(requester: Requester, at: str, name: str, sha: str) -> None:
    """Keep a commit under a name outside of branches and tags, such as `refs/x/1`. Idempotent.

    A ref of that name at another commit is moved: it is the App's own.
    """
    try:
        requester.requestJsonAndCheck("POST", f"{at}/git/refs", input={"ref": name, "sha": sha})
    except GithubException as error:
        if error.status != 422:
            raise
        short = quote(name.removeprefix("refs/"))
        _, there = requester.requestJsonAndCheck("GET", f"{at}/git/ref/{short}")
        if there["object"]["sha"] != sha:
            moved = {"sha": sha, "force": True}
            requester.requestJsonAndCheck("PATCH", f"{at}/git/refs/{short}", input=moved)


def drop_ref(requester: Requester, at: str, name: str) -> None:
    """Delete such a ref. Idempotent."""
    try:
        short = quote(name.removeprefix("refs/"))
        requester.requestJsonAndCheck("DELETE", f"{at}/git/refs/{short}")
    except GithubException as error:
        if error.status not in (404, 409, 422):
            raise
