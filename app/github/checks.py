"""Check runs, their commits, and requests for review: the forge's blocking calls for them.

Source of facts: GitHub's REST description, version 2022-11-28.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from github import GithubException
from github.Requester import Requester

from app.github.records import CheckReport, CheckRun

MOST_ANNOTATIONS = 50
"""That GitHub takes in one request."""


def put_check(requester: Requester, repository: str, report: CheckReport) -> CheckRun:
    """See `Forge.put_check`."""
    path = f"/repos/{repository}/commits/{report.head_sha}/check-runs"
    query = {"check_name": report.name, "filter": "all", "per_page": 100}
    _, listed = requester.requestJsonAndCheck("GET", path, parameters=query)
    found = next((r for r in listed["check_runs"] if r["external_id"] == report.external_id), None)
    body: dict[str, Any] = {
        "name": report.name,
        "status": report.status,
        "output": {"title": report.title, "summary": report.summary},
    }
    if report.conclusion:
        body["conclusion"] = report.conclusion
    if report.details_url:
        body["details_url"] = report.details_url
    # GitHub adds annotations to those that are there; a second time would double them.
    if report.annotations and not (found and found["output"]["annotations_count"]):
        body["output"]["annotations"] = [
            {
                "path": a.path,
                "start_line": a.first_line,
                "end_line": a.last_line,
                "annotation_level": a.level,
                "title": a.title,
                "message": a.message,
            }
            for a in report.annotations[:MOST_ANNOTATIONS]
        ]
    if found and _says(found, report):
        run = found
    elif found:
        _, run = requester.requestJsonAndCheck(
            "PATCH", f"/repos/{repository}/check-runs/{found['id']}", input=body
        )
    else:
        body |= {"head_sha": report.head_sha, "external_id": report.external_id}
        _, run = requester.requestJsonAndCheck(
            "POST", f"/repos/{repository}/check-runs", input=body
        )
    return CheckRun(
        run["id"],
        run["external_id"],
        run["status"],
        run["conclusion"] or "",
        run["html_url"] or "",
    )


def _says(run: dict[str, Any], report: CheckReport) -> bool:
    """Whether a check run says all this already."""
    output = run["output"]
    said = (run["status"], run["conclusion"], output["title"], output["summary"])
    wanted = (report.status, report.conclusion, report.title, report.summary)
    told = not report.annotations or output["annotations_count"]
    return said == wanted and bool(told)


def is_on(requester: Requester, repository: str, branch: str, sha: str) -> bool:
    """See `Forge.is_on`."""
    path = f"/repos/{repository}/compare/{quote(branch, safe='/')}...{sha}"
    try:
        _, compared = requester.requestJsonAndCheck("GET", path, parameters={"per_page": 1})
    except GithubException as error:
        if error.status in (404, 422):
            return False
        raise
    return compared["status"] in ("identical", "behind")


def request_reviewers(
    requester: Requester,
    repository: str,
    number: int,
    people: Sequence[str],
    teams: Sequence[str],
) -> tuple[str, ...]:
    """See `Forge.request_reviewers`."""
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
