"""The connection under PyGithub: redirects are followed, and only documented success passes.

PyGithub takes every status below 400 for success, also the 307 that GitHub gives to a write at the
old place of a renamed repository, and loses the query of a redirect that it does follow. So both
are decided here, before PyGithub sees the answer.

Source of facts: GitHub's "Best practices for using the REST API" ("Follow redirects": any request
may be redirected, and is to be repeated at the address of the Location header) and its REST
descriptions, versions 2022-11-28 and 2026-03-10, for the statuses of success.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from github.Requester import (
    HTTPRequestsConnectionClass,
    HTTPSRequestsConnectionClass,
    Requester,
    RequestsResponse,
)

from app.github.answers import OddAnswer

OLDEST_API_VERSION = "2022-11-28"
"""GitHub answers to it until March 2028 at least, and every Enterprise Server in support does.

https://docs.github.com/rest/about-the-rest-api/api-versions
"""


def version_header(version: str) -> dict[str, str]:
    """Names the version of the API that answers are read by; without it GitHub chooses one."""
    return {"X-GitHub-Api-Version": version}


REDIRECTS = (301, 302, 307, 308)
MOST_REDIRECTS = 4
"""Redirects of one request; GitHub needs one for a renamed repository."""
_SUCCESS: Mapping[str, tuple[int, ...]] = {
    "HEAD": (200, 204),
    "GET": (200, 202, 204),
    "POST": (200, 201, 202, 204),
    "PATCH": (200,),
    "PUT": (200, 201, 204),
    "DELETE": (200, 204),
}
"""What GitHub documents for each method; a 202 to a GET asks to come again, which PyGithub does."""


def redirect_target(address: str, location: str | None) -> str:
    """Path and query of the place to repeat a request at. Raises `OddAnswer`.

    Only within the same server: the request carries a token. A query that the redirect does not
    name is kept, for the request is to be repeated as it was.
    """
    if not location:
        raise OddAnswer("a redirect without a place")
    here, there = urlsplit(address), urlsplit(urljoin(address, location))
    if (here.scheme, here.hostname, _port(address)) != (
        there.scheme,
        there.hostname,
        _port(there.geturl()),
    ):
        raise OddAnswer(f"a redirect to another server, {there.hostname}")
    query = there.query or here.query
    return there.path + (f"?{query}" if query else "")


def _port(address: str) -> int:
    parts = urlsplit(address)
    return parts.port or (443 if parts.scheme == "https" else 80)


def check_success(verb: str, status: int, body: str) -> None:
    """Raise `OddAnswer` for an answer that is neither an error nor a documented success."""
    if status >= 400:
        return
    if status not in _SUCCESS[verb]:
        raise OddAnswer(f"the status {status}")
    # A login page of a proxy comes with status 200, too.
    if status != 204 and verb != "HEAD" and body.lstrip()[:1] not in ("{", "["):
        raise OddAnswer("no JSON")


class _Checked:
    """Both kinds of connection: `url` is the path, as PyGithub sets it for each request."""

    verb: str
    url: str
    headers: dict[str, str]
    protocol: str
    host: str
    port: int
    stream: bool
    api_version = OLDEST_API_VERSION

    def _send(self) -> RequestsResponse:
        raise NotImplementedError

    def getresponse(self) -> RequestsResponse:
        """The answer at the place where the request ends. Raises `OddAnswer`."""
        self.headers = {**self.headers, **version_header(self.api_version)}
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._send()
            if answer.status not in REDIRECTS:
                check_success(self.verb, answer.status, "{" if self.stream else answer.read())
                return answer
            headers = {name.lower(): value for name, value in answer.getheaders()}
            address = f"{self.protocol}://{self.host}:{self.port}{self.url}"
            self.url = redirect_target(address, headers.get("location"))
        raise OddAnswer("redirects without an end")


class _Http(_Checked, HTTPRequestsConnectionClass):
    def _send(self) -> RequestsResponse:
        return HTTPRequestsConnectionClass.getresponse(self)


class _Https(_Checked, HTTPSRequestsConnectionClass):
    def _send(self) -> RequestsResponse:
        return HTTPSRequestsConnectionClass.getresponse(self)


def use_checked_connections(api_version: str) -> None:
    """Let all clients of PyGithub in this process connect so, and name this version. Idempotent.

    Not by `Requester.injectConnectionClasses`, which also ends the reuse of connections.
    """
    _Checked.api_version = api_version
    Requester._Requester__httpConnectionClass = _Http  # type: ignore[attr-defined]
    Requester._Requester__httpsConnectionClass = _Https  # type: ignore[attr-defined]
