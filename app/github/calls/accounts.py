"""Who wrote a commit, and who has access: the forge's blocking calls for it.

Source of facts: GitHub's REST descriptions, versions 2022-11-28 and 2026-03-10.
"""

from __future__ import annotations

from urllib.parse import quote

from github import GithubException
from github.Requester import Requester

from app.github.answers import OddAnswer


def commit_author(requester: Requester, at: str, sha: str) -> str:
    """Login of the person whose account GitHub names as a commit's author; empty for none.

    No proof that they wrote it: GitHub takes the account that the author's e-mail address belongs
    to, and anybody may write any address into a commit ("Why are my commits linked to the wrong
    user?" at docs.github.com). It is good for a suggestion, and for no permission.
    """
    try:
        # Of a list, as a commit alone comes with the diffs of all its files.
        _, listed = requester.requestJsonAndCheck(
            "GET", f"{at}/commits", parameters={"sha": sha, "per_page": 1}
        )
    except GithubException as error:
        if error.status in (404, 409, 422):  # GitHub does not know it, or has no commits at all
            return ""
        raise
    if not isinstance(listed, list) or not listed or listed[0]["sha"] != sha:
        raise OddAnswer("another commit")
    account = listed[0]["author"] or {}
    return str(account["login"]) if account.get("type") == "User" else ""


def is_collaborator(requester: Requester, at: str, user: str) -> bool:
    """Whether somebody was given access; to read a public repository is none."""
    try:
        requester.requestJsonAndCheck("GET", f"{at}/collaborators/{quote(user, safe='')}")
    except GithubException as error:
        if error.status != 404:
            raise
        return False
    return True
