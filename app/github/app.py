"""Patchwright as a GitHub App: its installations and their tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from github import Auth, Github, GithubException, GithubIntegration
from github.InstallationAuthorization import InstallationAuthorization
from github.Requester import Requester
from urllib3.util import Retry

from app.github.answers import OddAnswer
from app.github.records import GitToken
from app.github.transport import OLDEST_API_VERSION, use_checked_connections


@dataclass(frozen=True, slots=True)
class GithubApp:
    """The App's identity and how GitHub is reached."""

    app_id: str
    private_key: str | Callable[[], str] = field(repr=False)
    """PEM, or a function that returns it at each use, so that a key can be changed."""
    api_url: str = "https://api.github.com"
    """`https://HOST/api/v3` for GitHub Enterprise Server."""
    ca_file: str = ""
    """Certificates to trust instead of the built-in ones, for your own server."""
    api_version: str = OLDEST_API_VERSION
    """The version of the REST API that is spoken; the same for all Apps of a process."""
    timeout_s: int = 20
    seconds_between_requests: float = 0.0
    seconds_between_writes: float = 1.0
    """GitHub asks for a second between writes."""


def integration(app: GithubApp) -> GithubIntegration:
    """A client that speaks as the App."""
    use_checked_connections(app.api_version)
    return GithubIntegration(
        auth=Auth.AppAuth(app.app_id, app.private_key),
        base_url=app.api_url.rstrip("/"),
        timeout=app.timeout_s,
        user_agent="patchwright",
        per_page=100,
        verify=app.ca_file or True,
        # Not PyGithub's own retry: it repeats POST after a 5xx (which may have been done) and
        # sleeps through rate limits in the thread. Limits go to the caller as `RateLimited`.
        retry=Retry(
            total=3,
            backoff_factor=0.5,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods={"GET", "PATCH"},
            respect_retry_after_header=False,
            raise_on_status=False,
        ),
        seconds_between_requests=app.seconds_between_requests,
        seconds_between_writes=app.seconds_between_writes,
    )


def repository_path(name: str, repository_id: int) -> str:
    """Where a repository's part of the REST API begins: by its id, else (0) by its name.

    A name may go to another repository; an id never does. GitHub itself leads from a repository's
    old name to its id, for reads and for writes.
    """
    return f"/repositories/{repository_id}" if repository_id else f"/repos/{name}"


class NoAccess(GithubException):
    """GitHub gives this installation no token for the repository."""


def _request_token(
    requester: Requester, installation: int, wanted: dict[str, Any]
) -> tuple[dict[str, Any], Any]:
    try:
        return requester.requestJsonAndCheck(
            "POST", f"/app/installations/{installation}/access_tokens", input=wanted
        )
    except GithubException as error:
        if error.status not in (404, 422):
            raise
        raise NoAccess(error.status, error.data, error.headers, error.message) from None


class RepositoryAuth(Auth.AppInstallationAuth):
    """Tokens of an installation for one repository alone (0: for all of them)."""

    def __init__(
        self,
        app_auth: Auth.AppAuth,
        installation: int,
        requester: Requester,
        repository_id: int,
    ) -> None:
        self._repository_id = repository_id
        super().__init__(app_auth, installation, None, requester)

    def _get_installation_authorization(self) -> InstallationAuthorization:
        alone = {"repository_ids": [self._repository_id]} if self._repository_id else {}
        headers, data = _request_token(self.requester, self._installation_id, alone)
        if not isinstance(data.get("token"), str):
            raise OddAnswer("no token")
        return InstallationAuthorization(self.requester, headers, data)


def installation_client(client: GithubIntegration, installation: int, repository_id: int) -> Github:
    """A client that speaks as an installation, in one repository alone (0: in all of them)."""
    auth = client.auth
    assert isinstance(auth, Auth.AppAuth)
    own = RepositoryAuth(auth, installation, client.requester, repository_id)
    return Github(**client.requester.withAuth(own).kwargs)


def git_token(
    client: GithubIntegration, installation: int, repository: str, repository_id: int = 0
) -> GitToken:
    """A token for git on one repository alone, named by its id (0: by its name)."""
    named = {"repositories": [repository.partition("/")[2]]}
    wanted = {
        **({"repository_ids": [repository_id]} if repository_id else named),
        "permissions": {"contents": "write", "metadata": "read"},
    }
    _, data = _request_token(client.requester, installation, wanted)
    expires = datetime.fromisoformat(data["expires_at"].replace("Z", "+00:00"))
    return GitToken(data["token"], expires)
