"""Patchwright as a GitHub App: its installations and their tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from github import Auth, GithubIntegration
from urllib3.util import Retry

from app.github.records import GitToken
from app.github.transport import use_checked_connections


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
    timeout_s: int = 20
    seconds_between_requests: float = 0.0
    seconds_between_writes: float = 1.0
    """GitHub asks for a second between writes."""


def integration(app: GithubApp) -> GithubIntegration:
    """A client that speaks as the App."""
    use_checked_connections()
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


def git_token(client: GithubIntegration, installation: int, repository: str) -> GitToken:
    """A token for git on one repository alone: PyGithub's own would open all of them."""
    _, data = client.requester.requestJsonAndCheck(
        "POST",
        f"/app/installations/{installation}/access_tokens",
        input={
            "repositories": [repository.partition("/")[2]],
            "permissions": {"contents": "write", "metadata": "read"},
        },
    )
    expires = datetime.fromisoformat(data["expires_at"].replace("Z", "+00:00"))
    return GitToken(data["token"], expires)
