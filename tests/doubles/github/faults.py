"""What goes wrong on demand: failing or slow answers, lost answers, rate limits."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass
class Fault:
    """The next ``times`` calls whose ``METHOD /path`` matches ``pattern`` go wrong.

    ``kind``: ``status`` (answers ``status``), ``slow`` (waits ``delay_s``, then goes on),
    ``secondary`` (secondary rate limit with Retry-After), ``lost`` (does it and then breaks the
    connection: a crash between the act and its answer), ``after`` (does it, answers ``status``).
    ``git`` requests match too, as ``GIT /owner/repo.git/info/refs`` and the like.
    ``people`` tells whether people's calls are hit as well as the App's.
    """

    pattern: str
    times: int = 1
    kind: str = "status"
    status: int = 502
    delay_s: float = 0.0
    retry_after_s: int = 1
    people: bool = False


KINDS = ("status", "slow", "secondary", "lost", "after")


@dataclass
class Faults:
    """The faults to come, and how many have struck."""

    pending: list[Fault] = field(default_factory=list)
    struck: int = 0

    def add(self, fault: Fault) -> None:
        """Let something go wrong; raises ValueError for an unknown kind or a bad pattern."""
        if fault.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, not {fault.kind!r}")
        try:
            re.compile(fault.pattern)
        except re.error as error:
            raise ValueError(f"pattern {fault.pattern!r}: {error}") from error
        self.pending.append(fault)

    def take(self, line: str, by_app: bool) -> Fault | None:
        """The fault that strikes this call, counted down."""
        for fault in self.pending:
            if (by_app or fault.people) and re.search(fault.pattern, line):
                fault.times -= 1
                self.struck += 1
                if fault.times <= 0:
                    self.pending.remove(fault)
                return fault
        return None


@dataclass
class RateLimit:
    """A primary rate limit; it fills up again every hour of the stand-in's clock."""

    limit: int = 5000
    used: int = 0
    reset: datetime | None = None

    def spend(self, now: datetime) -> bool:
        """Count one call; False when none was left."""
        self._refill(now)
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def set_remaining(self, remaining: int, reset_in_s: int, now: datetime) -> None:
        """Leave so many calls until the limit fills up again."""
        self.used = max(self.limit - remaining, 0)
        self.reset = now + timedelta(seconds=reset_in_s)

    def as_json(self, now: datetime) -> dict[str, int]:
        """As ``GET /rate_limit`` shows it."""
        reset = self._refill(now)
        return {
            "limit": self.limit,
            "used": self.used,
            "remaining": self.limit - self.used,
            "reset": int(reset.timestamp()),
        }

    def headers(self, now: datetime) -> dict[str, str]:
        """The headers that go with every answer."""
        known: dict[str, Any] = {**self.as_json(now), "resource": "core"}
        return {f"X-RateLimit-{name.title()}": str(value) for name, value in known.items()}

    def _refill(self, now: datetime) -> datetime:
        if self.reset is None or self.reset <= now:
            self.reset, self.used = now + timedelta(hours=1), 0
        return self.reset
