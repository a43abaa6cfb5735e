"""Attempts on servers in virtual time: they come, take turns and tool calls, grow, and leave."""

from __future__ import annotations

import random
import statistics
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from agent.decisions.context_cut import high_water, low_water
from app.operations.capacity.serving import (
    Serving,
    load_tokens_per_s,
    pools,
    send_tokens_per_s,
)
from app.operations.capacity.workload import Workload, contexts
from tests.doubles.sglang.latency import Hardware, Latency
from tests.doubles.virtual_cluster.servers import Agenda, Seen, Server, Shape, Sizes, Turn

POLL_S = 10.0
"""How often an attempt that has to wait for its turn asks again."""
WARM_UP = 0.15
"""Share of the attempts that fill the empty house and are not counted."""


@dataclass
class Attempt:
    """One attempt on its way."""

    number: int
    arrived: float
    calls: int
    context: int
    same: int = 0
    """Tokens of its next prompt that were in the last one."""
    began: float = 0.0
    last_turn: float = 0.0
    in_turn: bool = False
    server: Server | None = None
    asks: bool = False
    """It has a turn to take."""
    asked_at: float = 0.0
    longest_pause: float = 0.0


Choose = Callable[[float, Sequence[Attempt]], Collection[int]]
"""From the time and all that are under way: the numbers of those that may take a turn."""


@dataclass
class Outcome:
    """What was measured after the warm-up."""

    seconds: list[float] = field(default_factory=list)
    """From being taken to its end, of each attempt."""
    waits: list[float] = field(default_factory=list)
    """From arriving to being taken."""
    pauses: list[float] = field(default_factory=list)
    """The longest pause of each attempt, for its turn: begun or not."""
    cluster: Seen = field(default_factory=Seen)
    lasted_s: float = 0.0
    ended: int = 0
    attempt_seconds: float = 0.0

    @property
    def cached_share(self) -> float:
        """Prompt tokens that were not read again."""
        return 1 - self.cluster.read / self.cluster.prompt

    @property
    def brought_share(self) -> float:
        """Prompt tokens that came from behind."""
        return self.cluster.brought / self.cluster.prompt

    @property
    def turns_per_s(self) -> float:
        """Of the whole cluster."""
        return self.cluster.turns / self.lasted_s

    @property
    def runs_per_day(self) -> float:
        """Attempts that ended, in a day."""
        return self.ended * 86_400 / self.lasted_s

    @property
    def attempt_s(self) -> float:
        """Mean length."""
        return statistics.fmean(self.seconds)


def shape_of(work: Workload, one: Serving) -> Shape:
    """The server as the formula knows it; its times are those of the stand-in's latency model."""
    written = work.written_tokens * one.model.written
    room = pools(one, contexts(work, written).context)
    slots = one.model.state.running_slots if one.model.state else 1
    readers, writers = max(1, one.prefill_servers), max(1, one.decode_servers)
    hardware = Hardware(one.name, one.speed.prefill_tokens_per_s, one.tokens_per_s)
    return Shape(
        latency=Latency(hardware),
        sizes=Sizes(
            readers * room.tokens, readers * room.host_tokens, readers * room.states, slots
        ),
        streams=writers * one.speed.streams,
        load_tokens_per_s=load_tokens_per_s(one),
        split=one.prefill_servers > 0,
        readers=readers,
        send_tokens_per_s=send_tokens_per_s(one),
        writing_tokens=writers * room.tokens,
    )


class VirtualRuns:
    """A cluster and the attempts that a worker has under way on it."""

    def __init__(
        self,
        work: Workload,
        one: Serving,
        *,
        servers: int,
        under_way: int,
        seed: int,
        choose: Choose | None = None,
    ) -> None:
        self._work = work
        self._written = work.written_tokens * one.model.written
        self._under_way = under_way
        self._choose = choose
        # Deterministic on purpose.
        self._rng = random.Random(seed)
        self._agenda = Agenda()
        shape = shape_of(work, one)
        self._servers = [Server(self._agenda, shape) for _ in range(servers)]
        self._queue: deque[Attempt] = deque()
        self._active: dict[int, Attempt] = {}
        self._count = 0
        self._backlog = False
        self._counting = False
        self._began = 0.0
        self.outcome = Outcome()

    def closed(self, attempts: int) -> Outcome:
        """As many under way as are allowed, always: each that ends is replaced at once."""
        self._backlog = True
        for _ in range(self._under_way):
            self._arrive(0.0)
        self._run_until(lambda: self._count >= WARM_UP * attempts + self._under_way)
        self._start_counting()
        self._run_until(lambda: self.outcome.ended >= attempts)
        return self._stop_counting()

    def open(self, attempts: int, per_s: float) -> Outcome:
        """Attempts arrive at random and wait for a place; those left at the end are left out."""
        when = 0.0
        for number in range(attempts):
            when += self._rng.expovariate(per_s)
            self._agenda.at(when, self._arrive)
            if number == int(WARM_UP * attempts):
                self._agenda.at(when, lambda _now: self._start_counting())
        self._run_until(lambda: self._agenda.now >= when)
        return self._stop_counting()

    def _run_until(self, enough: Callable[[], bool]) -> None:
        while not enough() and self._agenda.step():
            pass

    def _start_counting(self) -> None:
        self._counting, self._began = True, self._agenda.now
        for server in self._servers:
            server.seen = Seen()

    def _stop_counting(self) -> Outcome:
        made = self.outcome
        made.lasted_s = self._agenda.now - self._began
        for server in self._servers:
            made.cluster.turns += server.seen.turns
            made.cluster.prompt += server.seen.prompt
            made.cluster.read += server.seen.read
            made.cluster.brought += server.seen.brought
            made.cluster.reading_s += server.seen.reading_s / len(self._servers)
        return made

    def _arrive(self, now: float) -> None:
        lengths = self._work.lengths
        (length,) = self._rng.choices([x for _, x in lengths], [p for p, _ in lengths])
        calls = max(1, round(self._work.calls * length))
        self._count += 1
        self._queue.append(Attempt(self._count, now, calls, round(self._work.start_tokens)))
        self._admit(now)

    def _admit(self, now: float) -> None:
        """The oldest of those that wait for a place, if there is one."""
        while self._queue and len(self._active) < self._under_way:
            attempt = self._queue.popleft()
            attempt.began = now
            self._active[attempt.number] = attempt
            if self._counting:
                self.outcome.waits.append(now - attempt.arrived)
            self._ask(attempt, now)

    def _ask(self, attempt: Attempt, now: float) -> None:
        attempt.asks, attempt.asked_at = True, now
        self._let(attempt, now)

    def _let(self, attempt: Attempt, now: float) -> None:
        """Begin the turn, or ask again later."""
        if self._choose is not None:
            allowed = self._choose(now, list(self._active.values()))
            if attempt.number not in allowed:
                self._agenda.at(now + POLL_S, lambda then: self._let(attempt, then))
                return
        attempt.asks, attempt.in_turn = False, True
        attempt.longest_pause = max(attempt.longest_pause, now - attempt.asked_at)
        written = 1 + round(self._rng.expovariate(1 / self._written))
        if attempt.server is None:
            # To the server with the fewest, as the router's `min_group` sends a new key.
            attempt.server = min(self._servers, key=lambda one: one.attempts)
            attempt.server.attempts += 1
        attempt.server.ask(
            Turn(
                attempt.number,
                attempt.same,
                attempt.context,
                written,
                lambda then, turn: self._turned(attempt, turn, then),
                attempt.calls == 1,
            )
        )

    def _turned(self, attempt: Attempt, turn: Turn, now: float) -> None:
        attempt.calls -= 1
        attempt.in_turn, attempt.last_turn = False, now
        if not attempt.calls:
            self._leave(attempt, now)
            return
        work = self._work
        read = round(self._rng.expovariate(1 / work.read_tokens)) if work.read_tokens else 0
        attempt.same = turn.prompt + turn.written
        attempt.context = attempt.same + read
        if attempt.context > high_water(work.window):
            attempt.context = round(low_water(work.window))
            attempt.same = round(work.start_tokens)
        pause = self._rng.choice(work.tool_times.seconds)
        self._agenda.at(now + pause, lambda then: self._ask(attempt, then))

    def _leave(self, attempt: Attempt, now: float) -> None:
        assert attempt.server is not None
        attempt.server.attempts -= 1
        del self._active[attempt.number]
        if self._counting:
            self.outcome.ended += 1
            self.outcome.seconds.append(now - attempt.began)
            self.outcome.pauses.append(attempt.longest_pause)
        if self._backlog:
            self._arrive(now)
        self._admit(now)
