"""Which attempts may take a turn, so that the model servers' caches keep the prefixes of them all.

A server evicts the prefix that was not used for longest. With more conversations than fit that is
always the one which asks next: each turn reads its whole context again, and all together do a
fraction of what half of them would do. So those that began first go on, and the others wait with
their sandboxes until there is room. docs/capacity.md has what that gains.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from app.telemetry import logs, metrics

GROWTH_TOKENS = 2_000
"""What a conversation may gain by its next turn."""
FIRST_TOKENS = 20_000
"""Least that a conversation is counted as which has not begun: it will grow."""
USED_SHARE = 0.95
"""Of the caches: requests are spread over several servers unevenly, and pages are not full."""
FORGIVEN_SHARE = 1.05
"""Of the caches, up to which nobody waits as long as all contexts together need no more: that
passes, and to stop an attempt costs more than what is read again meanwhile."""
LENT_AFTER_S = 120.0
"""A tool call that takes longer lends its conversation's place to the next."""
ASK_EVERY_S = 60.0
"""How often the servers are asked what they keep."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Room:
    """What the model servers' caches keep. Both 0: not known, which limits nothing."""

    tokens: float = 0.0
    streams: float = 0.0

    def shared_by(self, workers: int) -> Room:
        """One worker's part."""
        parts = max(1, workers)
        return Room(self.tokens / parts, self.streams / parts)


@dataclass(frozen=True, slots=True)
class Conversation:
    """An attempt's, as far as its prefix is concerned."""

    key: str
    since: float
    """When it asked for its first turn."""
    tokens: int = 0
    """Of its last prompt and answer; 0: it has not begun."""
    idle_since: float | None = None
    """Since when its tools have been running; None: it is in its turn, or asks for one."""


def may_take_turns(conversations: Iterable[Conversation], room: Room, now: float) -> frozenset[str]:
    """The keys of those whose prefixes fit into the room together, the oldest first.

    Nobody overtakes: the first that does not fit ends the list, so that each gets its turn when the
    older ones have ended. The oldest always goes on.
    """
    ordered = sorted(conversations, key=lambda one: (one.since, one.key))
    if not room.tokens and not room.streams:
        return frozenset(one.key for one in ordered)
    begun = [one.tokens for one in ordered if one.tokens]
    usual = max(FIRST_TOKENS, sum(begun) / len(begun) if begun else 0)
    total = sum((one.tokens or usual) + GROWTH_TOKENS for one in ordered)
    share = FORGIVEN_SHARE if total <= FORGIVEN_SHARE * room.tokens else USED_SHARE
    allowed: list[str] = []
    tokens, streams = 0.0, 0
    for one in ordered:
        if one.idle_since is not None and now - one.idle_since > LENT_AFTER_S:
            allowed.append(one.key)
            continue
        tokens += (one.tokens or usual) + GROWTH_TOKENS
        streams += 1
        over = room.tokens and tokens > share * room.tokens
        if streams > 1 and (over or (room.streams and streams > room.streams)):
            break
        allowed.append(one.key)
    return frozenset(allowed)


class WarmStreams:
    """The conversations of this process at one endpoint, and what its servers keep of them.

    `endpoint`: its name in metrics and logs.
    """

    def __init__(
        self,
        read_room: Callable[[], Awaitable[Room]],
        clock: Callable[[], float] = time.monotonic,
        endpoint: str = "default",
    ) -> None:
        self._read_room = read_room
        self._endpoint = endpoint
        self._clock = clock
        self._lock = threading.Lock()
        self._conversations: dict[str, Conversation] = {}
        self._waiting: set[str] = set()
        self._room = Room()
        self._asked = float("-inf")

    async def why_wait(self, key: str) -> str:
        """Why this conversation's next turn has to wait; empty: it may be taken now."""
        await self._ask()
        now = self._clock()
        with self._lock:
            known = self._conversations.get(key) or Conversation(key, now)
            self._conversations[key] = replace(known, idle_since=None)
            allowed = may_take_turns(self._conversations.values(), self._room, now)
            waits = key not in allowed
            (self._waiting.add if waits else self._waiting.discard)(key)
            self._count()
        if not waits:
            return ""
        return (
            f"The model servers' caches hold the contexts of {len(allowed)} attempts that began "
            "earlier; this one goes on when there is room."
        )

    def turned(self, key: str, tokens: int) -> None:
        """Its turn is over: so many tokens are in the cache now, and its tools run."""
        with self._lock:
            if key in self._conversations:
                self._conversations[key] = replace(
                    self._conversations[key], tokens=tokens, idle_since=self._clock()
                )

    def left(self, key: str) -> None:
        """It takes no more turns. Safe to call twice."""
        with self._lock:
            self._conversations.pop(key, None)
            self._waiting.discard(key)
            self._count()

    def _count(self) -> None:
        waiting = len(self._waiting)
        metrics.warm_streams(self._endpoint, len(self._conversations) - waiting, waiting)

    async def _ask(self) -> None:
        with self._lock:
            now = self._clock()
            if now - self._asked < ASK_EVERY_S:
                return
            self._asked = now
        room = await self._read_room()
        with self._lock:
            if room != self._room:
                _log.info(
                    "the model servers' caches",
                    endpoint=self._endpoint,
                    tokens=int(room.tokens),
                    streams=room.streams,
                )
            self._room = room
        metrics.warm_room(self._endpoint, room.tokens)
