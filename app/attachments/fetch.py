"""Fetching what people attached: without any credential, in small bounded pieces.

From the forge's own host, and by https from wherever that leads to, except to addresses that are
not public: a link must not make the host ask what only it can reach.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import httpx

from sandbox.egress.rules import EgressRules, networks_of

MOST_BYTES = 20 * 1024**2
MOST_REDIRECTS = 3
TIMEOUT_S = 30.0
"""Without a byte."""
LONGEST_S = 120.0
"""For all of one attachment."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a name. Raises `OSError`."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, by this machine's resolver. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where attachments come from."""

    web_url: str
    """The forge's own, which may stand anywhere."""
    networks: tuple[str, ...] = ()
    """Networks (CIDR) that are not public and may be led to."""
    ca_file: Path | None = None
    resolve: Resolve = resolve

    @property
    def host(self) -> str:
        """The forge's host, with its port."""
        return urlsplit(self.web_url).netloc

    def client(self) -> httpx.AsyncClient:
        """A client for its attachments; holds no credential and keeps no cookie."""
        trusted = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
        # No connection serves two names: each was opened, and its certificate read, for one.
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.AsyncClient(timeout=TIMEOUT_S, verify=trusted, limits=limits)


async def fetch_text(client: httpx.AsyncClient, url: str, origin: Origin) -> bytes | None:
    """An attached text file's bytes; None if it cannot be fetched, is too large or is not text."""
    data = await fetch(client, url, origin)
    return None if data is None or b"\0" in data[:8192] else data


async def fetch_image(client: httpx.AsyncClient, url: str, origin: Origin) -> bytes | None:
    """An attached image's bytes, not yet looked at; None if it cannot be fetched or is too large.

    None too for what its server calls anything but an image.
    """
    return await fetch(client, url, origin, kinds=("image/", "application/octet-stream"))


async def fetch(
    client: httpx.AsyncClient, url: str, origin: Origin, kinds: tuple[str, ...] = ("",)
) -> bytes | None:
    """An attachment's bytes; None if it cannot be fetched, is too large or of another kind."""
    try:
        async with asyncio.timeout(LONGEST_S):
            return await _fetch(client, url, origin, kinds)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError):
        return None


async def _fetch(
    client: httpx.AsyncClient, url: str, origin: Origin, kinds: tuple[str, ...]
) -> bytes | None:
    for _ in range(MOST_REDIRECTS + 1):
        request = await _request(client, url, origin)
        if request is None:
            return None
        answer = await client.send(request, stream=True, follow_redirects=False)
        try:
            client.cookies.clear()
            if answer.is_redirect:
                url = urljoin(url, answer.headers.get("location", ""))
                continue
            kind = answer.headers.get("content-type", kinds[0]).lower()
            if answer.status_code != 200 or not kind.startswith(kinds) or "svg" in kind:
                return None
            data = bytearray()
            async for piece in answer.aiter_bytes():
                data += piece
                if len(data) > MOST_BYTES:
                    return None
            return bytes(data)
        finally:
            await answer.aclose()
    return None


async def _request(client: httpx.AsyncClient, url: str, origin: Origin) -> httpx.Request | None:
    """The request for an address; None where it may not be asked.

    It goes to the very address that was looked at: a name may give another one the next time.
    """
    asked = httpx.URL(url)
    if urlsplit(url).netloc == origin.host:
        return client.build_request("GET", asked)
    if asked.scheme != "https" or asked.userinfo or not asked.host:
        return None
    rules = EgressRules(networks=networks_of(origin.networks))
    try:
        addresses = [str(ipaddress.ip_address(asked.host))]
    except ValueError:
        if "https" in getproxies():  # which resolves names, and which the operator chose
            return client.build_request("GET", asked)
        addresses = await origin.resolve(asked.host, asked.port or 443)
    if not addresses or any(rules.refused_address(address) for address in addresses):
        return None
    return client.build_request(
        "GET",
        asked.copy_with(host=addresses[0]),
        headers={"Host": asked.netloc.decode("ascii")},
        extensions={"sni_hostname": asked.host},
    )
