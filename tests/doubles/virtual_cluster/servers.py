"""Servers in virtual time: their caches, the one reader of each, and the streams that write.

Events instead of requests, so that days of hundreds of conversations take seconds. The cache obeys
the rule of the stand-in's `PrefixCache`, with whole conversations for its pages; a test compares.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.doubles.sglang.latency import Latency

Act = Callable[[float], None]


class Agenda:
    """What happens when."""

    def __init__(self) -> None:
        self._coming: list[tuple[float, int, Act]] = []
        self._order = 0
        self.now = 0.0

    def at(self, when: float, act: Act) -> None:
        """Do that then."""
        self._order += 1
        heapq.heappush(self._coming, (when, self._order, act))

    def step(self) -> bool:
        """Do the next thing; False: there is none."""
        if not self._coming:
            return False
        self.now, _, act = heapq.heappop(self._coming)
        act(self.now)
        return True


@dataclass
class _Kept:
    """A conversation's tokens in the two tiers."""

    tokens: int = 0
    behind: int = 0
    in_use: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Found:
    """What the cache had of a prompt."""

    on_gpu: int
    behind: int
    """Further tokens that have to be brought back."""


@dataclass(frozen=True)
class Sizes:
    """What the tiers hold: tokens, and states of linear attention."""

    tokens: float
    behind: float = 0.0
    states: float = float("inf")
    slots: int = 1
    """States that a conversation holds while it is written; one in between."""


class ConversationCache:
    """Prefixes of conversations: the one not used for longest is lost first, from its end on."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        """The last used at the end."""
        self.used = 0
        self._branches = 0
        self._behind = 0
        self._states = 0

    def begin(self, key: int, same: int, grows_to: int) -> Found | None:
        """Make room for a turn whose prompt begins with `same` known tokens; None: there is none.

        What is kept beyond that belongs to a past that was rewritten, and ages.
        """
        kept = self._kept.setdefault(key, _Kept())
        if kept.tokens > same or kept.behind > same:
            self._branch(key, kept, same)
        found = Found(kept.tokens, max(0, min(kept.behind, same) - kept.tokens))
        slots = self._sizes.slots - (1 if kept.tokens else 0)
        kept.in_use = True
        if not self._make_room(grows_to - kept.tokens, slots):
            kept.in_use = False
            return None
        self._states += slots
        self.used += grows_to - kept.tokens
        kept.tokens = grows_to
        self._kept.move_to_end(key)
        return found

    def end(self, key: int, last: bool) -> None:
        """The turn is over; its tokens may be lost from now on, and are copied behind."""
        kept = self._kept[key]
        kept.in_use, kept.ended = False, last
        self._states -= self._sizes.slots - 1
        self._kept.move_to_end(key)
        self.copy(key, kept.tokens)

    def copy(self, key: int, tokens: int) -> None:
        """Copy what was read or written behind (`--hicache-write-policy write_through`)."""
        kept = self._kept[key]
        if self._sizes.behind and tokens > kept.behind:
            self._behind += tokens - kept.behind
            kept.behind = tokens
            self._make_room_behind(kept)

    def holds(self, key: int) -> int:
        """Tokens of a conversation on the GPUs."""
        kept = self._kept.get(key)
        return kept.tokens if kept else 0

    def _branch(self, key: int, kept: _Kept, same: int) -> None:
        """Cut a conversation back; what it loses stays as one that nobody asks for."""
        old = _Kept(max(0, kept.tokens - same), max(0, kept.behind - same), ended=True)
        if old.tokens:
            self._states += 1
        kept.tokens, kept.behind = min(kept.tokens, same), min(kept.behind, same)
        self._branches += 1
        # It stands where the conversation stood: it was last used then.
        self._kept = OrderedDict(
            (-self._branches, old) if one is kept else (name, one)
            for name, one in self._kept.items()
        )
        self._kept[key] = kept

    def _make_room(self, tokens: int, states: int) -> bool:
        missing = self.used + tokens - self._sizes.tokens
        states_missing = self._states + states - self._sizes.states
        if missing <= 0 and states_missing <= 0:
            return True
        free = sum(one.tokens for one in self._kept.values() if not one.in_use)
        if free < missing:
            return False
        gone = []
        for key, one in self._kept.items():
            if missing <= 0 and states_missing <= 0:
                break
            if one.in_use or not one.tokens:
                continue
            # Without its state a prefix is of no use.
            lost = one.tokens if states_missing > 0 else min(one.tokens, math.ceil(missing))
            one.tokens -= lost
            self.used -= lost
            missing -= lost
            if not one.tokens:
                self._states -= 1
                states_missing -= 1
                if one.ended and not one.behind:
                    gone.append(key)
        for key in gone:
            del self._kept[key]
        return missing <= 0 and states_missing <= 0

    def _make_room_behind(self, newest: _Kept) -> None:
        """Only what is no longer on the GPUs may go; a copy for which there is no room is dropped.

        SGLang's `unified_tree_core.py`, `_is_host_leaf` and `_evict_host_leaf`.
        """
        over = self._behind - self._sizes.behind
        gone = []
        for key, one in self._kept.items():
            if over <= 0:
                break
            if one.in_use or one.behind <= one.tokens:
                continue
            lost = min(one.behind - one.tokens, math.ceil(over))
            one.behind -= lost
            self._behind -= lost
            over -= lost
            if one.ended and not one.behind and not one.tokens:
                gone.append(key)
        for key in gone:
            del self._kept[key]
        if over > 0:
            lost = min(newest.behind, math.ceil(over))
            newest.behind -= lost
            self._behind -= lost


@dataclass(frozen=True)
class Shape:
    """What one server, or a group of prefill and decode servers, is."""

    latency: Latency
    sizes: Sizes
    streams: int
    load_tokens_per_s: float = float("inf")
    split: bool = False
    """Prefill and decode apart: reading holds up no writing, and decoders keep no prefix."""
    readers: int = 1
    send_tokens_per_s: float = float("inf")
    """Of a whole context, from prefill to decode."""
    writing_tokens: float = float("inf")
    """Tokens that decoders have room for."""


@dataclass
class Turn:
    """A request: what its conversation has in common with the last one, and what it becomes."""

    key: int
    same: int
    prompt: int
    written: int
    done: Callable[[float, Turn], None]
    last: bool = False
    read: int = 0
    """Tokens that had to be read."""
    brought: int = 0
    """Tokens that came from behind."""


@dataclass
class Seen:
    """What a server has done."""

    turns: int = 0
    prompt: int = 0
    read: int = 0
    brought: int = 0
    reading_s: float = 0.0


@dataclass
class Server:
    """Reads one prompt at a time, first come first served; writes many, but not while it reads."""

    agenda: Agenda
    shape: Shape
    seen: Seen = field(default_factory=Seen)
    attempts: int = 0
    """Conversations that belong to it."""

    def __post_init__(self) -> None:
        self.cache = ConversationCache(self.shape.sizes)
        self._waiting: deque[Turn] = deque()
        self._reading = 0
        self._running = 0
        self._writing_tokens = 0.0
        self._clock = 0.0
        """Seconds in which it wrote."""
        self._since = 0.0
        self._writing: list[tuple[float, int, Turn]] = []
        self._order = 0
        self._version = 0

    def ask(self, turn: Turn) -> None:
        """Begin a turn as soon as there is room."""
        self._waiting.append(turn)
        self._next()

    def _next(self) -> None:
        while self._waiting and self._reading < self.shape.readers:
            turn, now = self._waiting[0], self.agenda.now
            whole = turn.prompt + turn.written
            if self._running >= self.shape.streams:
                return
            if self.shape.split and self._writing_tokens + whole > self.shape.writing_tokens:
                return
            grows_to = turn.prompt if self.shape.split else whole
            found = self.cache.begin(turn.key, turn.same, grows_to)
            if found is None:
                return
            self._waiting.popleft()
            self._running += 1
            self._writing_tokens += whole
            turn.read = turn.prompt - found.on_gpu - found.behind
            turn.brought = found.behind
            self._note(turn)
            self._stop_clock(now)
            self._reading += 1
            took = self.shape.latency.first_token_s(turn.read)
            self.seen.reading_s += took
            # What is brought back comes layer by layer beside the reading: it delays this turn.
            late = turn.brought / self.shape.load_tokens_per_s
            if self.shape.split:
                late += turn.prompt / self.shape.send_tokens_per_s
            self.agenda.at(now + took, lambda then, t=turn, late=late: self._read(then, t, late))

    def _note(self, turn: Turn) -> None:
        self.seen.turns += 1
        self.seen.prompt += turn.prompt
        self.seen.read += turn.read
        self.seen.brought += turn.brought

    def _read(self, now: float, turn: Turn, late: float) -> None:
        self._stop_clock(now)
        self._reading -= 1
        self.cache.copy(turn.key, turn.prompt)
        if self.shape.split:
            self.cache.end(turn.key, turn.last)
        if late:
            self.agenda.at(now + late, lambda then: self._write(then, turn))
        else:
            self._write(now, turn)
        self._next()
        self._plan(now)

    def _write(self, now: float, turn: Turn) -> None:
        self._stop_clock(now)
        self._order += 1
        until = self._clock + self.shape.latency.writing_s(turn.written)
        heapq.heappush(self._writing, (until, self._order, turn))
        self._plan(now)

    def _stop_clock(self, now: float) -> None:
        """Bring the clock of writing up to date; it stands while something is read."""
        if self.shape.split or not self._reading:
            self._clock += now - self._since
        self._since = now

    def _plan(self, now: float) -> None:
        self._version += 1
        if not self._writing or (self._reading and not self.shape.split):
            return
        version = self._version
        when = now + max(0.0, self._writing[0][0] - self._clock)
        self.agenda.at(when, lambda then: self._written(then, version))

    def _written(self, now: float, version: int) -> None:
        if version != self._version:
            return  # a prompt came in between
        self._stop_clock(now)
        _, _, turn = heapq.heappop(self._writing)
        self._running -= 1
        self._writing_tokens -= turn.prompt + turn.written
        if not self.shape.split:
            self.cache.end(turn.key, turn.last)
        turn.done(now, turn)
        self._next()
        self._plan(now)
