"""How long to wait after which fault, and when to give up. The clock is the one given."""

from __future__ import annotations

import random
from collections.abc import Callable

from agent.errors import ContextTooLong, ModelAway, ModelError, ModelRefused
from agent.model import Record
from agent.models.faults import Fault


class Patience(Record):
    """The budget for one turn's faults."""

    away_s: float = 600.0
    """Seconds to wait for a server that is away before the run goes back to the queue."""
    retries: int = 6
    """Further attempts after a failure of a server that answers."""
    bad_turns: int = 3
    """Further attempts after an empty or endless answer."""
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0


class TurnFaults:
    """The faults of one turn so far."""

    def __init__(self, patience: Patience, clock: Callable[[], float], rng: random.Random) -> None:
        self._patience = patience
        self._clock = clock
        self._rng = rng
        self._away_since: float | None = None
        self._away = 0
        self._retries = 0
        self.bad_turns = 0

    def progressed(self) -> None:
        """The server began to answer: it is not away any more."""
        self._away_since = None
        self._away = 0

    @property
    def may_ask_again(self) -> bool:
        """Whether another useless answer would be asked again."""
        return self.bad_turns < self._patience.bad_turns

    def after(self, fault: Fault) -> float:
        """Seconds to wait before the next attempt.

        Raises the error that the caller of `turn` gets when there is to be no other: `ModelAway`,
        `ContextTooLong`, `ModelRefused` or `ModelError`.
        """
        match fault.kind:
            case "too_long":
                raise ContextTooLong(fault.reason)
            case "refused":
                raise ModelRefused(fault.reason)
            case "bad_turn":
                self.bad_turns += 1
                if self.bad_turns > self._patience.bad_turns:
                    raise ModelError(f"{fault.reason} ({self.bad_turns} attempts)")
                return 0.0
            case "retry":
                self._retries += 1
                if self._retries > self._patience.retries:
                    raise ModelAway(f"{fault.reason} ({self._retries} attempts)")
                return self._backoff(self._retries, fault.retry_after_s)
            case "away":
                return self._wait_while_away(fault)

    def _wait_while_away(self, fault: Fault) -> float:
        now = self._clock()
        if self._away_since is None:
            self._away_since = now
        left = self._away_since + self._patience.away_s - now
        if left <= 0:
            raise ModelAway(f"{fault.reason} (waited {self._patience.away_s:.0f} s)")
        self._away += 1
        # Never past the end, so that the last attempt falls on it.
        return min(left, self._backoff(self._away, fault.retry_after_s))

    def _backoff(self, count: int, requested_s: float | None) -> float:
        longest = min(
            self._patience.longest_wait_s, self._patience.first_wait_s * 2.0 ** min(count - 1, 20)
        )
        jittered = longest * self._rng.uniform(0.5, 1.0)
        # Nobody comes back before the server asked, nor all at the same moment after it.
        return jittered if requested_s is None else requested_s + jittered
