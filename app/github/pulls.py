"""What is said on pull requests, and of their checks: the forge's blocking calls for it.

Source of facts: GitHub's REST description, version 2022-11-28. Answers are read as JSON and not as
PyGithub's objects, which ask again for every field that a list leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from github import GithubException
from github.Requester import Requester

from app.github.paging import all_entries
from app.github.records import ReviewComment

ASKING = ("CHANGES_REQUESTED", "COMMENTED")
"""States of reviews whose words ask for something; an approval's are thanks, a dismissed one's
are taken back."""


def remarks(requester: Requester, repository: str, number: int) -> tuple[ReviewComment, ...]:
    """All that was said of a pull request by anybody, oldest first."""
    pull = f"/repos/{repository}/pulls/{number}"
    found = [
        _remark("review", said, said["submitted_at"])
        for said in all_entries(requester, f"{pull}/reviews")
        if said.get("body") and said.get("submitted_at") and said["state"] in ASKING
    ]
    found += [
        _remark("line", said, said["created_at"])
        for said in all_entries(requester, f"{pull}/comments")
    ]
    page = f"/repos/{repository}/issues/{number}/comments"
    found += [_remark("page", said, said["created_at"]) for said in all_entries(requester, page)]
    order = ("review", "line", "page")
    return tuple(sorted(found, key=lambda r: (r.created_at, order.index(r.kind), r.id)))


def reply(
    requester: Requester,
    repository: str,
    number: int,
    *,
    thread: int,
    text: str,
    marker: str,
    login: str,
) -> None:
    """Answer in a thread of a pull request, once for each `marker`."""
    path = f"/repos/{repository}/pulls/{number}/comments"
    for said in all_entries(requester, path):
        by = (said.get("user") or {}).get("login")
        if by == login and said.get("in_reply_to_id") == thread and said["body"].startswith(marker):
            return
    requester.requestJsonAndCheck("POST", f"{path}/{thread}/replies", input={"body": text})


def open_issue(
    requester: Requester, repository: str, *, marker: str, title: str, body: str, login: str
) -> int:
    """The App's own open issue that begins with `marker`, created if there is none."""
    path = f"/repos/{repository}/issues"
    for issue in all_entries(requester, path, state="open"):
        by = (issue.get("user") or {}).get("login")
        if by == login and (issue.get("body") or "").startswith(marker):
            return int(issue["number"])
    _, made = requester.requestJsonAndCheck(
        "POST", path, input={"title": title, "body": f"{marker}\n{body}"}
    )
    return int(made["number"])


def delete_branch(requester: Requester, repository: str, branch: str, sha: str) -> None:
    """Delete a branch if it stands at this commit. Idempotent."""
    try:
        _, ref = requester.requestJsonAndCheck("GET", f"/repos/{repository}/git/ref/heads/{branch}")
        if ref["object"]["sha"] == sha:
            requester.requestJsonAndCheck("DELETE", f"/repos/{repository}/git/refs/heads/{branch}")
    except GithubException as error:
        if error.status not in (404, 409, 422):
            raise


def _remark(kind: Any, said: dict[str, Any], at: str) -> ReviewComment:
    return ReviewComment(
        kind=kind,
        id=said["id"],
        author=(said.get("user") or {}).get("login") or "ghost",
        body=said.get("body") or "",
        created_at=datetime.fromisoformat(at.replace("Z", "+00:00")),
        thread=(said.get("in_reply_to_id") or said["id"]) if kind == "line" else 0,
        path=said.get("path") or "",
        line=said.get("line") or 0,
        hunk=said.get("diff_hunk") or "",
    )


def request_reviewers(
    requester: Requester,
    repository: str,
    number: int,
    people: Sequence[str],
    teams: Sequence[str],
) -> tuple[str, ...]:
    """Ask people (logins) and teams (slugs) for a review; gives those that GitHub refused."""
    pull = f"/repos/{repository}/pulls/{number}"
    _, asked = requester.requestJsonAndCheck("GET", f"{pull}/requested_reviewers")
    _, reviews = requester.requestJsonAndCheck("GET", f"{pull}/reviews?per_page=100")
    known = {user["login"].casefold() for user in asked["users"]}
    known |= {(review.get("user") or {}).get("login", "").casefold() for review in reviews}
    known_teams = {team["slug"].casefold() for team in asked["teams"]}
    wanted = [("reviewers", login) for login in people if login.casefold() not in known]
    wanted += [("team_reviewers", slug) for slug in teams if slug.casefold() not in known_teams]
    refused = []
    # One by one: GitHub refuses a whole request for one person who may not review.
    for kind, name in wanted:
        try:
            requester.requestJsonAndCheck(
                "POST", f"{pull}/requested_reviewers", input={kind: [name]}
            )
        except GithubException as error:
            if error.status != 422:
                raise
            refused.append(name)
    return tuple(refused)
