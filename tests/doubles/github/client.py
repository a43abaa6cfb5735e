"""People act on the stand-in GitHub: what tests and the demo read like a story with."""

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from tests.doubles.github.state import Json


class WorldRefused(Exception):
    """The stand-in answered with an error; the text is its own."""


@dataclass(frozen=True)
class Person:
    """Somebody with an account; acts through the ordinary REST API with an own token."""

    world: "GithubWorld"
    login: str
    token: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Any REST call; raises WorldRefused for an answer of 4xx or 5xx."""
        return self.world.rest(method, path, self.token, body)

    def open_issue(self, repo: str, title: str, body: str = "") -> int:
        """Open an issue; gives its number."""
        sent = {"title": title, "body": body}
        return int(self.call("POST", f"/repos/{repo}/issues", sent)["number"])

    def label(self, repo: str, number: int, *names: str) -> None:
        """Put labels on."""
        self.call("POST", f"/repos/{repo}/issues/{number}/labels", {"labels": list(names)})

    def unlabel(self, repo: str, number: int, name: str) -> None:
        """Take a label off."""
        self.call("DELETE", f"/repos/{repo}/issues/{number}/labels/{name}")

    def comment(self, repo: str, number: int, body: str) -> int:
        """Comment on an issue or pull request; gives the comment's id."""
        path = f"/repos/{repo}/issues/{number}/comments"
        return int(self.call("POST", path, {"body": body})["id"])

    def assign(self, repo: str, number: int, *logins: str) -> None:
        """Assign people."""
        path = f"/repos/{repo}/issues/{number}/assignees"
        self.call("POST", path, {"assignees": list(logins)})

    def review(
        self,
        repo: str,
        number: int,
        event: str = "COMMENT",
        body: str = "",
        comments: list[Json] | None = None,
    ) -> int:
        """Review; ``event`` APPROVE, REQUEST_CHANGES or COMMENT; gives the review's id.

        ``comments``: each ``{"path": …, "line": …, "body": …}``.
        """
        sent = {"event": event, "body": body, "comments": comments or []}
        return int(self.call("POST", f"/repos/{repo}/pulls/{number}/reviews", sent)["id"])

    def reply(self, repo: str, number: int, comment_id: int, body: str) -> int:
        """Answer a review comment; gives the reply's id."""
        path = f"/repos/{repo}/pulls/{number}/comments/{comment_id}/replies"
        return int(self.call("POST", path, {"body": body})["id"])

    def rerun(self, repo: str, check_run_id: int) -> None:
        """Press the re-run button of a check run."""
        self.call("POST", f"/repos/{repo}/check-runs/{check_run_id}/rerequest")

    def merge(self, repo: str, number: int) -> str:
        """Merge; gives the new commit."""
        return str(self.call("PUT", f"/repos/{repo}/pulls/{number}/merge", {})["sha"])

    def close(self, repo: str, number: int) -> None:
        """Close an issue or a pull request."""
        self.call("PATCH", f"/repos/{repo}/issues/{number}", {"state": "closed"})

    def git_remote(self, repo: str) -> str:
        """A URL for git that carries this person's token."""
        scheme, _, host = self.world.base.partition("://")
        return f"{scheme}://{self.login}:{self.token}@{host}/{repo}.git"


class GithubWorld:
    """The stand-in seen from outside; ``base`` is its web URL (``server.admin_url``)."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        # A connection each: after a fault of its own the stand-in closes what it answered on.
        alone = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(timeout=120, trust_env=False, limits=alone)
        self._known: dict[str, Person] = {}
        self.app = self.admin("app")

    def __enter__(self) -> "GithubWorld":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def admin(self, action: str, **body: Any) -> Any:
        """Any admin action (see admin.py); raises WorldRefused."""
        answer = self._http.post(f"{self.base}/_admin/{action}", json=body)
        if answer.status_code >= 400:
            raise WorldRefused(f"{action}: {answer.text}")
        return answer.json()

    def rest(self, method: str, path: str, token: str, body: Any = None) -> Any:
        """Any REST call with any token; raises WorldRefused."""
        answer = self._http.request(
            method,
            f"{self.app['api_url']}{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )
        if answer.status_code >= 400:
            raise WorldRefused(f"{answer.status_code} {method} {path}: {answer.text}")
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.json() if is_json and answer.content else answer.text

    def graphql(self, token: str, query: str, variables: Json) -> Json:
        """A GraphQL call with any token; raises WorldRefused."""
        url = re.sub(r"/v3$", "/graphql", self.app["api_url"])
        answer = self._http.post(
            url if url != self.app["api_url"] else f"{url}/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {token}"},
        )
        found: Json = answer.json()
        if answer.status_code >= 400 or found.get("errors"):
            raise WorldRefused(f"{answer.status_code} {answer.text}")
        return found

    def person(self, login: str) -> Person:
        """Somebody, made when new."""
        if login not in self._known:
            self._known[login] = Person(self, login, self.admin("user", login=login)["token"])
        return self._known[login]

    def create_repo(
        self, name: str, *, folder: Path | None = None, git: Path | None = None, **options: Any
    ) -> str:
        """A repository ``owner/name`` from a folder or a git repository; gives its name.

        Options: ``private``, ``default_branch``, ``description``, ``owner_kind``,
        ``install=False`` (else the App is installed in the account).
        """
        sources = {"folder": str(folder) if folder else None, "git": str(git) if git else None}
        return str(self.admin("create-repo", repo=name, **sources, **options)["full_name"])

    def upload(self, repo: str, data: bytes, content_type: str = "image/png") -> str:
        """Somebody drops a file into the text of an issue; gives the address that stands there."""
        encoded = base64.b64encode(data).decode()
        sent = {"repo": repo, "data": encoded, "content_type": content_type}
        return str(self.admin("upload", **sent)["url"])

    def collaborator(self, repo: str, login: str, role: str = "write") -> Person:
        """Give somebody a role: none, read, triage, write, maintain or admin."""
        self.admin("role", repo=repo, login=login, role=role)
        return self.person(login)

    def ci(self, repo: str, ref: str, conclusion: str, log: str = "", **more: Any) -> int:
        """The continuous integration ends on a branch or commit; gives the check run's id.

        The log is at ``GET …/actions/jobs/{id}/logs``. ``more``: ``name``, ``summary``,
        ``head_branch`` (what the event names; a fork's branch may be called like one here).
        """
        sent = {"repo": repo, "ref": ref, "conclusion": conclusion, "log": log, **more}
        return int(self.admin("ci", **sent)["id"])

    def send_webhooks_to(self, url: str) -> None:
        """Set the App's webhook URL."""
        self.admin("webhook", url=url)

    def acts(self, kind: str | None = None) -> list[Json]:
        """What the App did outwardly, in order: GitHub's operation ids, and ``git/push``."""
        found: list[Json] = self.admin("acts")
        return [act for act in found if kind in (None, act["kind"])]

    def issue(self, repo: str, number: int) -> Json:
        """An issue or pull request as an administrator sees it."""
        return dict(self._owner(repo, f"/issues/{number}"))

    def comments(self, repo: str, number: int) -> list[Json]:
        """The conversation."""
        return list(self._owner(repo, f"/issues/{number}/comments?per_page=100"))

    def pulls(self, repo: str, state: str = "all") -> list[Json]:
        """Pull requests, newest first."""
        return list(self._owner(repo, f"/pulls?state={state}&per_page=100"))

    def diff(self, repo: str, number: int) -> str:
        """A pull request's diff."""
        answer = self._http.get(f"{self.base}/{repo}/pull/{number}.diff")
        return answer.text

    def _owner(self, repo: str, path: str) -> Any:
        reader = self.collaborator(repo, "world-reader", "admin")
        return reader.call("GET", f"/repos/{repo}{path}")

    def deliveries(self, event: str | None = None) -> list[Json]:
        """Webhook deliveries, oldest first, when none is under way any more."""
        self.admin("idle")
        found: list[Json] = self.admin("deliveries")
        return [item for item in found if event in (None, item["event"])]

    def delivery_count(self) -> int:
        """How many webhook deliveries there were, when none is under way any more."""
        self.admin("idle")
        return int(self.admin("delivery_count"))

    def redeliver(self, delivery_id: int, times: int = 1) -> list[int]:
        """Deliver the same one again, ``times`` at once."""
        return list(self.admin("redeliver", id=delivery_id, times=times))

    def send(self, event: str, payload: Json) -> int:
        """Deliver any payload, signed; gives the delivery's id."""
        return int(self.admin("send", event=event, payload=payload)["id"])

    def advance(self, seconds: float) -> None:
        """Move GitHub's clock: tokens expire, rate limits fill up."""
        self.admin("clock", advance_s=seconds)

    def fail(self, pattern: str, times: int = 1, kind: str = "status", **more: Any) -> None:
        """Let the App's next calls whose ``METHOD /path`` matches go wrong (see faults.Fault)."""
        self.admin("fault", pattern=pattern, times=times, kind=kind, **more)

    def rate_limit(self, remaining: int, reset_in_s: int = 60) -> None:
        """Leave the App so many calls until the limit fills up."""
        self.admin("rate-limit", remaining=remaining, reset_in_s=reset_in_s)

    @property
    def violations(self) -> list[str]:
        """What did not fit GitHub's description."""
        return list(self.admin("violations"))
