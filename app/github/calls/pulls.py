"""What is said on pull requests, and of their checks: the forge's blocking calls for it.

Source of facts: GitHub's REST descriptions, versions 2022-11-28 and 2026-03-10. Answers are read
as JSON and not as PyGithub's objects, which ask again for every field that a list leaves out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from github import GithubException
from github.Requester import Requester

from app.github.answers import OddAnswer
from app.github.paging import all_entries
from app.github.records import ReviewComment

STATES_WITH_FEEDBACK = ("CHANGES_REQUESTED", "COMMENTED")
"""States of reviews whose words ask for something; an approval's are thanks, a dismissed one's
are taken back."""


def review_comments(requester: Requester, at: str, number: int) -> tuple[ReviewComment, ...]:
    """Everything that was said about a pull request by anybody, oldest first."""
    pull = f"{at}/pulls/{number}"
    found = [
        _as_review_comment("review", comment, comment["submitted_at"])
        for comment in all_entries(requester, f"{pull}/reviews")
        if comment.get("body")
        and comment.get("submitted_at")
        and comment["state"] in STATES_WITH_FEEDBACK
    ]
    found += [
        _as_review_comment("line", comment, comment["created_at"])
        for comment in all_entries(requester, f"{pull}/comments")
    ]
    page = f"{at}/issues/{number}/comments"
    found += [
        _as_review_comment("page", comment, comment["created_at"])
        for comment in all_entries(requester, page)
    ]
    order = ("review", "line", "page")
    return tuple(sorted(found, key=lambda r: (r.created_at, order.index(r.kind), r.id)))


def changed_paths(requester: Requester, at: str, number: int, most: int) -> tuple[str, ...]:
    """The first files that a pull request changes, of a renamed one both names."""
    found: dict[str, None] = {}
    for file in itertools.islice(all_entries(requester, f"{at}/pulls/{number}/files"), most):
        found[file["filename"]] = None
        if before := file.get("previous_filename"):
            found[before] = None
    return tuple(found)


def reply(
    requester: Requester,
    at: str,
    number: int,
    *,
    thread: int,
    text: str,
    marker: str,
    login: str,
) -> None:
    """Answer in a thread of a pull request, once for each `marker`."""
    path = f"{at}/pulls/{number}/comments"
    for comment in all_entries(requester, path):
        by = (comment.get("user") or {}).get("login")
        if (
            by == login
            and comment.get("in_reply_to_id") == thread
            and comment["body"].startswith(marker)
        ):
            return
    _, made = requester.requestJsonAndCheck(
        "POST", f"{path}/{thread}/replies", input={"body": text}
    )
    if not made["id"]:
        raise OddAnswer("no reply")


def find_issue(
    requester: Requester, at: str, *, marker: str, login: str, since: datetime | None = None
) -> int:
    """The App's own open issue that begins with `marker`; 0: none is listed.

    With `since`, any that changed after that time, closed ones, too.
    """
    wanted = {"state": "open"}
    if since is not None:
        wanted = {"state": "all", "since": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    for issue in all_entries(requester, f"{at}/issues", **wanted):
        by = (issue.get("user") or {}).get("login")
        if by == login and (issue.get("body") or "").startswith(marker):
            return int(issue["number"])
    return 0


def make_issue(requester: Requester, at: str, *, title: str, body: str) -> int:
    """A new issue; its number."""
    _, made = requester.requestJsonAndCheck(
        "POST", f"{at}/issues", input={"title": title, "body": body}
    )
    return int(made["number"])


def edit_issue(
    requester: Requester, at: str, number: int, *, title: str, body: str, reopen: bool
) -> None:
    """Give an issue this title and text, if it has others, and open it again if it is closed."""
    path = f"{at}/issues/{number}"
    _, found = requester.requestJsonAndCheck("GET", path)
    wanted: dict[str, Any] = {}
    # GitHub keeps line ends as they are sent, and cuts spaces at the ends.
    if (found.get("body") or "").strip() != body.strip():
        wanted["body"] = body
    if (found.get("title") or "").strip() != title.strip():
        wanted["title"] = title
    if reopen and found.get("state") == "closed":
        wanted["state"] = "open"
    if wanted:
        requester.requestJsonAndCheck("PATCH", path, input=wanted)


def edit_pull(requester: Requester, at: str, number: int, body: str) -> None:
    """Give a pull request this description."""
    _, found = requester.requestJsonAndCheck("PATCH", f"{at}/pulls/{number}", input={"body": body})
    if found["number"] != number:
        raise OddAnswer("another pull request")


def _as_review_comment(kind: Any, comment: dict[str, Any], at: str) -> ReviewComment:
    # Only comments on lines have a place; GitHub describes no such fields for the others.
    placed = comment if kind == "line" else {}
    return ReviewComment(
        kind=kind,
        id=comment["id"],
        author=(comment.get("user") or {}).get("login") or "ghost",
        body=comment.get("body") or "",
        created_at=datetime.fromisoformat(at.replace("Z", "+00:00")),
        thread=placed.get("in_reply_to_id") or placed.get("id") or 0,
        path=placed.get("path") or "",
        line=placed.get("line") or 0,
        hunk=placed.get("diff_hunk") or "",
    )


def request_reviewers(
    requester: Requester,
    at: str,
    number: int,
    people: Sequence[str],
    teams: Sequence[str],
) -> tuple[str, ...]:
    """Ask people (logins) and teams (slugs) for a review; returns those that GitHub refused."""
    pull = f"{at}/pulls/{number}"
    _, pending = requester.requestJsonAndCheck("GET", f"{pull}/requested_reviewers")
    _, reviews = requester.requestJsonAndCheck("GET", f"{pull}/reviews?per_page=100")
    known = {user["login"].casefold() for user in pending["users"]}
    known |= {(review.get("user") or {}).get("login", "").casefold() for review in reviews}
    known_teams = {team["slug"].casefold() for team in pending["teams"]}
    wanted = [("reviewers", login) for login in people if login.casefold() not in known]
    wanted += [("team_reviewers", slug) for slug in teams if slug.casefold() not in known_teams]
    refused = []
    # One by one: GitHub refuses a whole request for one person who may not review.
    for kind, name in wanted:
        try:
            _, asked = requester.requestJsonAndCheck(
                "POST", f"{pull}/requested_reviewers", input={kind: [name]}
            )
            if asked["number"] != number:
                raise OddAnswer("another pull request")
        except GithubException as error:
            if error.status != 422:
                raise
            refused.append(name)
    return tuple(refused)


FULL = {"Accept": "application/vnd.github.full+json"}
MOST_IMAGES = 200
"""Addresses of images that are looked at."""


def rendered_images(
    requester: Requester, at: str, number: int, *, reviews: bool = False
) -> tuple[str, ...]:
    """The addresses of all images in an issue and its comments, as GitHub renders them.

    `reviews`: it is a pull request, whose reviews and comments on lines count too.

    Images that people upload to a private repository's issue are shown to nobody by the address in
    the text, tokens included. In `body_html`, which the media type `full` adds, the address is a
    signed one on another host, good for five minutes. Sources: GitHub's REST documentation ("Media
    types"), and anthropics/claude-code-action, `src/github/utils/image-downloader.ts`.
    """
    issue = f"{at}/issues/{number}"
    found = list(_image_addresses(requester.requestJsonAndCheck("GET", issue, headers=FULL)[1]))
    said = [f"{issue}/comments"]
    said += [f"{at}/pulls/{number}/{kind}" for kind in ("reviews", "comments") if reviews]
    for path in said:
        for comment in all_entries(requester, path, headers=FULL):
            found += _image_addresses(comment)
    return tuple(dict.fromkeys(found))[:MOST_IMAGES]


def _image_addresses(said: dict[str, Any]) -> Iterator[str]:
    parser = _Images()
    parser.feed(said.get("body_html") or "")
    yield from parser.found


class _Images(HTMLParser):
    """Collects the addresses of images."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        if tag == "img":
            self.found += [value for name, value in attrs if name == "src" and value]
