"""What is there to look at: open issues, and the repositories that the App is installed on.

Source of facts: GitHub's REST descriptions, versions 2022-11-28 and 2026-03-10: `GET
/repos/{owner}/{repo}/issues` lists pull requests, too, which have a `pull_request`; `assignee` is
gone in the newer one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import requests
from github import GithubException
from github.Requester import Requester

from app.github.answers import ODD, OddAnswer, check_answer
from app.github.app import GithubApp, installation_client, integration
from app.github.convert import forge_error
from app.github.errors import ForgeAway
from app.github.paging import all_entries
from app.github.records import ListedIssue, ListedRepository


def open_issues(requester: Requester, at: str, most: int) -> tuple[ListedIssue, ...]:
    """Open issues and pull requests, those that were opened first first; so many at most."""
    listed = all_entries(requester, f"{at}/issues", state="open", sort="created", direction="asc")
    return tuple(_listed(each) for each in itertools.islice(listed, most))


def _listed(issue: dict[str, Any]) -> ListedIssue:
    labels = (label if isinstance(label, str) else label["name"] for label in issue["labels"])
    return ListedIssue(
        number=issue["number"],
        title=issue["title"],
        body=issue.get("body") or "",
        author=(issue.get("user") or {}).get("login") or "ghost",
        labels=tuple(label or "" for label in labels),
        assigned=bool(issue.get("assignees")),
        locked=bool(issue["locked"]),
        is_pull=issue.get("pull_request") is not None,
        created_at=_time(issue["created_at"]),
        updated_at=_time(issue["updated_at"]),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def covered_repositories(app: GithubApp) -> Iterator[ListedRepository]:
    """All repositories of all installations that are not suspended. Raises `ForgeError`."""
    client = integration(app)
    try:
        for found in all_entries(client.requester, "/app/installations"):
            if found.get("suspended_at") is None:
                yield from _of_installation(client, int(found["id"]))
    except GithubException as error:
        raise forge_error("list the repositories", error) from None
    except requests.RequestException as error:
        reason = type(error).__name__
        raise ForgeAway(f"GitHub cannot be reached ({reason}).") from None
    except (*ODD, OddAnswer) as error:
        raise ForgeAway(f"What came was no answer of GitHub ({type(error).__name__}).") from None
    finally:
        client.close()


def _of_installation(client: Any, installation: int) -> Iterator[ListedRepository]:
    own = installation_client(client, installation, 0)
    try:
        listed = all_entries(own.requester, "/installation/repositories", "repositories")
        for found in listed:
            repository = ListedRepository(
                id=found["id"],
                full_name=found["full_name"],
                installation_id=installation,
                default_branch=found["default_branch"],
                private=found["private"],
                archived=found["archived"],
                pushed_at=found.get("pushed_at") or "",
            )
            check_answer(repository)
            yield repository
    finally:
        own.close()
