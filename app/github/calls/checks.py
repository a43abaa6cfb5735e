"""Check runs, their commits, and requests for review: the forge's blocking calls for them.

Source of facts: GitHub's REST descriptions, versions 2022-11-28 and 2026-03-10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import quote, urljoin

import requests
from github import GithubException
from github.Requester import Requester

from app.github.app import GithubApp
from app.github.paging import all_entries
from app.github.records import CheckReport, CheckRun, FailedCheck
from app.github.transport import MOST_REDIRECTS, REDIRECTS, version_header
from app.github.webhooks import FAILURES

MOST_ANNOTATIONS = 50
"""Annotations that GitHub accepts in one request."""


def put_check(requester: Requester, at: str, report: CheckReport, own_app: str) -> CheckRun:
    """Create or update the App's check run with this external id on this commit.

    In several requests where there are more annotations than one takes.
    """
    path = f"{at}/commits/{report.head_sha}/check-runs"
    listed = all_entries(requester, path, "check_runs", check_name=report.name, filter="all")
    # Any workflow with the right to write checks may make one with our name and id.
    own = [
        run
        for run in listed
        if run["external_id"] == report.external_id and _app_of(run) == own_app
    ]
    # GitHub shows the newest. There are two where its list was late for one who had just made one.
    found = max(own, key=lambda run: run["id"], default=None)
    if found is None or not _is_up_to_date(found, report):
        # GitHub adds annotations to those that are there; a second time would double them.
        present = found["output"]["annotations_count"] if found else 0
        found = _write_check(requester, at, report, found, present)
        for more in range(present + MOST_ANNOTATIONS, len(report.annotations), MOST_ANNOTATIONS):
            found = _write_check(requester, at, report, found, more)
    return CheckRun(
        found["id"],
        found["external_id"],
        found["status"],
        found["conclusion"] or "",
        found["html_url"] or "",
    )


def _app_of(run: dict[str, Any]) -> str:
    return str((run.get("app") or {}).get("id"))


def _write_check(
    requester: Requester,
    at: str,
    report: CheckReport,
    found: dict[str, Any] | None,
    present: int,
) -> dict[str, Any]:
    """Write everything but annotations, and as many of these, after `present`, as one call may."""
    body: dict[str, Any] = {
        "name": report.name,
        "status": report.status,
        "output": {"title": report.title, "summary": report.summary},
    }
    if report.conclusion:
        body["conclusion"] = report.conclusion
    if report.details_url:
        body["details_url"] = report.details_url
    if missing := report.annotations[present : present + MOST_ANNOTATIONS]:
        body["output"]["annotations"] = [
            {
                "path": a.path,
                "start_line": a.first_line,
                "end_line": a.last_line,
                "annotation_level": a.level,
                "title": a.title,
                "message": a.message,
            }
            for a in missing
        ]
    if found:
        _, run = requester.requestJsonAndCheck(
            "PATCH", f"{at}/check-runs/{found['id']}", input=body
        )
    else:
        body |= {"head_sha": report.head_sha, "external_id": report.external_id}
        _, run = requester.requestJsonAndCheck("POST", f"{at}/check-runs", input=body)
    return cast(dict[str, Any], run)


def _is_up_to_date(run: dict[str, Any], report: CheckReport) -> bool:
    """Whether a check run says all this already."""
    output = run["output"]
    present = (run["status"], run["conclusion"], output["title"], output["summary"])
    wanted = (report.status, report.conclusion, report.title, report.summary)
    return present == wanted and bool(output["annotations_count"] >= len(report.annotations))


def is_on_branch(requester: Requester, at: str, branch: str, sha: str) -> bool:
    """Whether a commit is on a branch of this repository; a fork's commits are not."""
    path = f"{at}/compare/{quote(branch, safe='')}...{sha}"
    try:
        _, compared = requester.requestJsonAndCheck("GET", path, parameters={"per_page": 1})
    except GithubException as error:
        if error.status in (404, 422):
            return False
        raise
    return compared["status"] in ("identical", "behind")


LOG_LIMIT = 50_000_000
"""Bytes of a CI log that are read, from its beginning."""


def failed_checks(requester: Requester, at: str, sha: str, own_app: str) -> tuple[FailedCheck, ...]:
    """The latest check runs of other Apps on a commit that ended badly."""
    path = f"{at}/commits/{sha}/check-runs"
    return tuple(
        FailedCheck(
            id=run["id"],
            name=run["name"],
            conclusion=run["conclusion"],
            summary=(run.get("output") or {}).get("summary") or "",
        )
        for run in all_entries(requester, path, "check_runs")
        if run["conclusion"] in FAILURES and _app_of(run) != own_app
    )


def commit_with_both_outcomes(
    requester: Requester, at: str, name: str, commits: Sequence[str], own_app: str
) -> str:
    """The first of these commits on which a check failed and passed; empty: there is none.

    Checks of earlier attempts are listed too (`filter=all`).
    """
    for sha in commits:
        path = f"{at}/commits/{sha}/check-runs"
        ended = {
            run["conclusion"]
            for run in all_entries(requester, path, "check_runs", check_name=name, filter="all")
            if _app_of(run) != own_app
        }
        if "success" in ended and not ended.isdisjoint(FAILURES):
            return sha
    return ""


def check_log(requester: Requester, app: GithubApp, at: str, check: int) -> bytes | None:
    """The log of a check run that is a job of GitHub Actions; None when there is none.

    The log lies elsewhere, where the token must not go.
    """
    auth = requester.auth
    if auth is None:
        return None
    base_url, verify = app.api_url.rstrip("/"), app.ca_file or True
    address = f"{base_url}{at}/actions/jobs/{check}/logs"
    for _ in range(MOST_REDIRECTS):
        answer = requests.get(
            address,
            headers={
                "Authorization": f"{auth.token_type} {auth.token}",
                **version_header(app.api_version),
            },
            allow_redirects=False,
            timeout=app.timeout_s,
            verify=verify,
        )
        elsewhere = urljoin(address, answer.headers.get("Location", address))
        moved = elsewhere.startswith((f"{base_url}/repositories/", f"{base_url}/repos/"))
        if answer.status_code not in REDIRECTS or not moved:
            break
        address = elsewhere  # the repository was renamed
    if answer.status_code in (404, 410):
        return None
    if answer.status_code not in REDIRECTS or "Location" not in answer.headers:
        raise GithubException(answer.status_code, _json(answer), dict(answer.headers))
    with requests.get(
        answer.headers["Location"], timeout=app.timeout_s, verify=verify, stream=True
    ) as log:
        if log.status_code in (404, 410):
            return None
        if log.status_code != 200:
            raise GithubException(log.status_code, {"message": "the log"}, dict(log.headers))
        read = b""
        for chunk in log.iter_content(1 << 16):
            read += chunk
            if len(read) >= LOG_LIMIT:
                break
        return read[:LOG_LIMIT]


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return {"message": ""}
