"""Where the container engine listens, and how to open a raw connection to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from sandbox.errors import EngineUnavailable

DEFAULT_URL = "unix:///var/run/docker.sock"
P = TypeVar("P", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """The engine's URL (`unix://`, `tcp://`, `https://`) and its TLS material."""

    url: str
    tls: TLSConfig | None = None

    async def connect(self, protocol: Callable[[], P]) -> P:
        """Open one connection. Raises `EngineUnavailable` when nobody answers."""
        loop = asyncio.get_running_loop()
        parts = urlsplit(self.url)
        try:
            if parts.scheme in {"unix", "http+unix"}:
                _, made = await loop.create_unix_connection(protocol, parts.path)
            else:
                context = self._context()
                port = parts.port or (2376 if context else 2375)
                _, made = await loop.create_connection(
                    protocol, parts.hostname or "localhost", port, ssl=context
                )
        except OSError as error:
            raise EngineUnavailable(f"No engine responds at {self.url}: {error}") from None
        return made

    def _context(self) -> ssl.SSLContext | None:
        if self.tls is None:
            return None
        context = ssl.create_default_context(cafile=self.tls.ca_cert)
        if self.tls.cert:
            certificate, key = self.tls.cert
            context.load_cert_chain(certificate, key)
        if not self.tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def engine_address(docker_url: str = "") -> EngineAddress:
    """The address given, else that of `DOCKER_HOST`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`."""
    from_env = kwargs_from_env()
    url = docker_url or from_env.get("base_url") or DEFAULT_URL
    # docker-py rewrites tcp:// with TLS to https://; both mean the same to us.
    return EngineAddress(url=url, tls=from_env.get("tls") or None)
