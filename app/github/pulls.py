"""What is said on pull requests, and of their checks: the forge's blocking calls for it.

Source of facts: GitHub's REST description, version 2022-11-28. Answers are read as JSON and not as
PyGithub's objects, which ask again for every field that a list leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import requests
from github import GithubException
from github.Requester import Requester

from app.github.records import FailedCheck, Remark

MOST_PAGES = 30
"""Of a hundred entries each; what comes after is not read."""
LOG_LIMIT = 50_000_000
"""Bytes of a CI log that are read, from its beginning."""
FAILURES = ("failure", "timed_out")
ASKING = ("CHANGES_REQUESTED", "COMMENTED")
"""States of reviews whose words ask for something; an approval's are thanks, a dismissed one's
are taken back."""


def remarks(requester: Requester, repository: str, number: int) -> tuple[Remark, ...]:
    """See `Forge.remarks`."""
    pull = f"/repos/{repository}/pulls/{number}"
    found = [
        _remark("review", said, said["submitted_at"])
        for said in _all(requester, f"{pull}/reviews")
        if said.get("body") and said.get("submitted_at") and said["state"] in ASKING
    ]
    found += [
        _remark("line", said, said["created_at"]) for said in _all(requester, f"{pull}/comments")
    ]
    page = f"/repos/{repository}/issues/{number}/comments"
    found += [_remark("page", said, said["created_at"]) for said in _all(requester, page)]
    order = ("review", "line", "page")
    return tuple(sorted(found, key=lambda r: (r.created_at, order.index(r.kind), r.id)))


def reply(
    requester: Requester,
    repository: str,
    number: int,
    thread: int,
    text: str,
    marker: str,
    login: str,
) -> None:
    """See `Forge.reply`."""
    path = f"/repos/{repository}/pulls/{number}/comments"
    for said in _all(requester, path):
        by = (said.get("user") or {}).get("login")
        if by == login and said.get("in_reply_to_id") == thread and said["body"].startswith(marker):
            return
    requester.requestJsonAndCheck("POST", f"{path}/{thread}/replies", input={"body": text})


def failed_checks(
    requester: Requester, repository: str, sha: str, own_app: str
) -> tuple[FailedCheck, ...]:
    """See `Forge.failed_checks`."""
    path = f"/repos/{repository}/commits/{sha}/check-runs"
    return tuple(
        FailedCheck(
            id=run["id"],
            name=run["name"],
            conclusion=run["conclusion"],
            summary=(run.get("output") or {}).get("summary") or "",
        )
        for run in _all(requester, path, "check_runs")
        if run["conclusion"] in FAILURES and str((run.get("app") or {}).get("id")) != own_app
    )


def check_log(
    requester: Requester,
    base_url: str,
    repository: str,
    check: int,
    timeout_s: int,
    verify: str | bool,
) -> bytes | None:
    """See `Forge.check_log`. The log lies elsewhere, where the token must not go."""
    auth = requester.auth
    if auth is None:
        return None
    answer = requests.get(
        f"{base_url}/repos/{repository}/actions/jobs/{check}/logs",
        headers={"Authorization": f"{auth.token_type} {auth.token}"},
        allow_redirects=False,
        timeout=timeout_s,
        verify=verify,
    )
    if answer.status_code in (404, 410):
        return None
    if answer.status_code not in (301, 302, 307):
        raise GithubException(answer.status_code, _json(answer), dict(answer.headers))
    with requests.get(
        answer.headers["Location"], timeout=timeout_s, verify=verify, stream=True
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


def open_issue(
    requester: Requester, repository: str, marker: str, title: str, body: str, login: str
) -> int:
    """See `Forge.open_issue`."""
    path = f"/repos/{repository}/issues"
    for issue in _all(requester, path, state="open"):
        by = (issue.get("user") or {}).get("login")
        if by == login and (issue.get("body") or "").startswith(marker):
            return int(issue["number"])
    _, made = requester.requestJsonAndCheck(
        "POST", path, input={"title": title, "body": f"{marker}\n{body}"}
    )
    return int(made["number"])


def delete_branch(requester: Requester, repository: str, branch: str, sha: str) -> None:
    """See `Forge.delete_branch`."""
    try:
        _, ref = requester.requestJsonAndCheck("GET", f"/repos/{repository}/git/ref/heads/{branch}")
        if ref["object"]["sha"] == sha:
            requester.requestJsonAndCheck("DELETE", f"/repos/{repository}/git/refs/heads/{branch}")
    except GithubException as error:
        if error.status not in (404, 409, 422):
            raise


def _all(requester: Requester, path: str, key: str = "", **query: Any) -> Iterator[dict[str, Any]]:
    """The entries of all pages."""
    for page in range(1, MOST_PAGES + 1):
        parameters = {"per_page": 100, "page": page, **query}
        _, data = requester.requestJsonAndCheck("GET", path, parameters=parameters)
        entries = data[key] if key else data
        yield from entries
        if len(entries) < 100:
            return


def _remark(kind: Any, said: dict[str, Any], at: str) -> Remark:
    return Remark(
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


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return {"message": ""}
