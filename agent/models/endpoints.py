"""Several servers with the same model: which one a run uses."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent.errors import ModelRefused

COOL_DOWN_S = 5.0
"""Seconds for which a server is left alone after its first failure; doubles up to a minute."""
LONGEST_COOL_DOWN_S = 60.0


class BadAddress(ModelRefused):
    """What should be a server's address is none."""


@dataclass(slots=True)
class _State:
    in_flight: int = 0
    failures: int = 0
    down_until: float = 0.0


class Endpoints:
    """A set of servers, shared by the runs of a process.

    A run stays on its server, where its prefix is cached, as long as that one is well; a new run,
    or one whose server went down, goes to the one with the fewest runs.
    """

    def __init__(
        self, base_urls: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not base_urls:
            raise BadAddress("A model needs at least one server's address.")
        self._states = {api_url(url): _State() for url in base_urls}
        self._homes: dict[str, str] = {}
        self._clock = clock

    @property
    def urls(self) -> tuple[str, ...]:
        """The servers' addresses, each ending in its API's version."""
        return tuple(self._states)

    def choose(self, key: str) -> str:
        """The server for the run of that key."""
        home = self._homes.get(key)
        if home is not None and self.is_up(home):
            return home
        up = [url for url in self._states if self.is_up(url)]
        if up:
            chosen = min(up, key=lambda url: (self._load(url), _rank(key, url)))
        else:
            chosen = min(self._states, key=lambda url: self._states[url].down_until)
        self._homes[key] = chosen
        return chosen

    def is_up(self, url: str) -> bool:
        """Whether the server may be used now."""
        return self._states[url].down_until <= self._clock()

    def is_suspect(self, url: str) -> bool:
        """Whether it failed last time, so that it is worth a look before it gets a run."""
        return self._states[url].failures > 0

    def request_started(self, url: str) -> None:
        """A request is under way."""
        self._states[url].in_flight += 1

    def request_ended(self, url: str) -> None:
        """A request is over, however it went."""
        self._states[url].in_flight -= 1

    def mark_up(self, url: str) -> None:
        """The server answered."""
        self._states[url].failures = 0
        self._states[url].down_until = 0.0

    def mark_down(self, url: str) -> None:
        """The server is unavailable or overloaded."""
        state = self._states[url]
        pause = min(LONGEST_COOL_DOWN_S, COOL_DOWN_S * 2.0 ** min(state.failures, 10))
        state.failures += 1
        state.down_until = self._clock() + pause

    def release(self, key: str) -> None:
        """The run is over."""
        self._homes.pop(key, None)

    def _load(self, url: str) -> int:
        return self._states[url].in_flight + sum(home == url for home in self._homes.values())


def api_url(url: str) -> str:
    """The address with its API's version: `http://host:30000` becomes `http://host:30000/v1`.

    Raises `BadAddress`.
    """
    trimmed = url.strip().rstrip("/")
    try:
        parts = urlsplit(trimmed)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise BadAddress(f"{url!r} is not the URL of a model server, such as http://HOST:30000/v1.")
    return trimmed if parts.path else f"{trimmed}/v1"


def server_url(url: str) -> str:
    """The address without the API's version, where `/health` stands."""
    return api_url(url).removesuffix("/v1")


def _rank(key: str, url: str) -> bytes:
    """Spreads equals evenly, the same in every process."""
    return hashlib.blake2b(f"{key}\0{url}".encode(), digest_size=8).digest()
