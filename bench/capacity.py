"""The capacity formula against a simulation of every turn, in virtual time.

The simulation draws arrivals, lengths, outputs and tool times at random, queues attempts for a
place, keeps each on its server, lets prompts queue for the server's reading, and takes the times of
the stand-in server's latency model. The formula (`app/operations/capacity.py`) knows only means.

    python bench/capacity.py [--runs-per-day 500] [--attempts 4000] [--seed 1]

Ends with status 1 when a figure is off by more than 15 %.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table

from agent.decisions.context_cut import HIGH_WATER, LOW_WATER
from app.cli.capacity import serving
from app.operations.capacity import LENGTHS, Plan, Serving, Workload, plan
from tests.doubles.sglang.latency import HARDWARE, Latency

STAND_IN = {"8xH200": "8xH200-int4", "16xH100": "16xH100-fp8", "8xB200": "8xB200-int4"}
"""The stand-in's row for each of the plan's; H100 speeds are the same for both weights."""
TOLERANCE = 0.15
WARM_UP = 0.1
"""Share of the attempts that fill the empty house and are not counted."""


@dataclass
class Attempt:
    """One attempt on its way."""

    arrived: float
    calls: int
    context: float
    uncached: float
    server: int = -1
    began: float = 0.0
    at: float = 0.0
    """When its context was last counted."""


@dataclass
class Server:
    """One server: who is on it, and until when it reads prompts."""

    attempts: int = 0
    reads_until: float = 0.0
    tokens: float = 0.0


@dataclass
class Seen:
    """What was measured."""

    seconds: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    token_seconds: float = 0.0
    attempt_seconds: float = 0.0
    prompt: float = 0.0
    uncached: float = 0.0
    turns: int = 0
    overfull_s: float = 0.0
    """Server-seconds with more contexts than KV cache."""
    server_seconds: float = 0.0


class Simulation:
    """A day's busiest hour, for ever."""

    def __init__(self, work: Workload, made: Plan, latency: Latency, seed: int) -> None:
        self._work = work
        self._plan = made
        self._latency = latency
        # Deterministic on purpose.
        self._rng = random.Random(seed)
        self._servers = [Server() for _ in range(made.servers)]
        self._queue: deque[Attempt] = deque()
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = 0
        self._left = 0
        self._counting_from = float("inf")
        self._counted_at = [0.0] * made.servers
        self.seen = Seen()

    def run(self, attempts: int) -> Seen:
        """Let that many attempts come and go."""
        rate = self._work.runs_per_day * self._work.attempts * self._work.peak / 86_400
        self._counting_from = attempts * WARM_UP / rate
        now = 0.0
        for _ in range(attempts):
            now += self._rng.expovariate(rate)
            self._at(now, self._arrive)
        last = now
        while self._agenda:
            now, _, act = heapq.heappop(self._agenda)
            if now > last:
                # The last guests are left out: the house empties.
                break
            act(now)
        return self.seen

    def _at(self, when: float, act: Callable[[float], None]) -> None:
        self._order += 1
        heapq.heappush(self._agenda, (when, self._order, act))

    def _arrive(self, now: float) -> None:
        (length,) = self._rng.choices([x for _, x in LENGTHS], [p for p, _ in LENGTHS])
        calls = max(1, round(self._work.calls * length))
        start = self._work.start_tokens
        self._queue.append(Attempt(now, calls, start, start))
        self._admit(now)

    def _admit(self, now: float) -> None:
        """The oldest gets a place on the server with the fewest, as the router does."""
        while self._queue:
            number = min(range(len(self._servers)), key=lambda n: self._servers[n].attempts)
            if self._servers[number].attempts >= self._plan.server.attempts:
                return
            attempt = self._queue.popleft()
            attempt.server, attempt.began, attempt.at = number, now, now
            self._servers[number].attempts += 1
            self._hold(number, now, attempt.context)
            if attempt.arrived >= self._counting_from:
                self.seen.waits.append(now - attempt.arrived)
            self._turn(attempt, now)

    def _turn(self, attempt: Attempt, now: float) -> None:
        """Read the prompt when the server is free to, write, run the tool."""
        work, server = self._work, self._servers[attempt.server]
        begin = max(now, server.reads_until)
        server.reads_until = begin + self._latency.first_token_s(round(attempt.uncached))
        written = self._rng.expovariate(1 / work.written_tokens)
        read = self._rng.expovariate(1 / work.read_tokens) if work.read_tokens else 0.0
        tool = self._rng.expovariate(1 / work.tool_s) if work.tool_s else 0.0
        done = server.reads_until + self._latency.writing_s(round(written)) + tool
        if now >= self._counting_from:
            self.seen.turns += 1
            self.seen.prompt += attempt.context
            self.seen.uncached += attempt.uncached
        # While it is under way the turn holds its answer's place too.
        self._grow(attempt, now, attempt.context + written)
        self._at(done, lambda then: self._turned(attempt, then, read))

    def _turned(self, attempt: Attempt, now: float, read: float) -> None:
        attempt.calls -= 1
        if not attempt.calls:
            self._leave(attempt, now)
            return
        context, attempt.uncached = attempt.context + read, read
        if context > HIGH_WATER * self._work.window:
            context = LOW_WATER * self._work.window
            attempt.uncached = context - self._work.start_tokens
        self._grow(attempt, now, context)
        self._turn(attempt, now)

    def _leave(self, attempt: Attempt, now: float) -> None:
        self._grow(attempt, now, 0.0)
        self._servers[attempt.server].attempts -= 1
        if attempt.arrived >= self._counting_from:
            self.seen.seconds.append(now - attempt.began)
        self._admit(now)

    def _grow(self, attempt: Attempt, now: float, context: float) -> None:
        if attempt.at >= self._counting_from:
            self.seen.token_seconds += attempt.context * (now - attempt.at)
            self.seen.attempt_seconds += now - attempt.at
        self._hold(attempt.server, now, context - attempt.context)
        if context:
            attempt.context = context
        attempt.at = now

    def _hold(self, number: int, now: float, more: float) -> None:
        """Note the server's contexts; those that leave make room at once."""
        server = self._servers[number]
        since = max(self._counted_at[number], self._counting_from)
        if now > since:
            self.seen.server_seconds += now - since
            if server.tokens > self._plan.server.kv_tokens:
                self.seen.overfull_s += now - since
        self._counted_at[number] = now
        server.tokens += more


@dataclass(frozen=True)
class Line:
    """One figure, computed and simulated."""

    name: str
    formula: float
    simulated: float
    unit: str

    @property
    def off(self) -> float:
        """How far the formula is from the simulation, as a share of it."""
        return self.formula / self.simulated - 1 if self.simulated else float(self.formula != 0)


def compare(work: Workload, one: Serving, attempts: int, seed: int) -> tuple[Plan, list[Line]]:
    """The plan, and its figures beside the simulation's."""
    made = plan(work, one)
    seen = _simulated(work, made, attempts, seed)
    seconds = statistics.fmean(seen.seconds)
    busy = seen.attempt_seconds / (seen.server_seconds / made.servers) / made.slots
    context = seen.token_seconds / seen.attempt_seconds
    cached = 1 - seen.uncached / seen.prompt
    overfull = seen.overfull_s / seen.server_seconds
    attempt = made.attempt
    day = 0.8 * made.server.attempts * 86_400
    return made, [
        Line("attempt takes", attempt.seconds / 60, seconds / 60, "min"),
        Line("attempts a day, a server", day / attempt.seconds, day / seconds, ""),
        Line("busy", made.utilisation * 100, busy * 100, "%"),
        Line("context", attempt.context / 1e3, context / 1e3, "K"),
        Line("prompt from cache", attempt.cached_share * 100, cached * 100, "%"),
        Line("KV cache suffices (goal: 95)", 95.0, 100 * (1 - overfull), "%"),
    ]


def compare_waits(attempts: int, seed: int) -> tuple[Plan, list[Line]]:
    """A house so full that waits are long: one server with five places, short attempts."""
    work = Workload(runs_per_day=420, calls=20)
    made = plan(work, serving("8xH200", streams=5), most_utilised=0.95, longest_wait_s=1e9)
    waits = sorted(_simulated(work, made, attempts, seed).waits)
    late = waits[int(0.95 * len(waits))]
    mean = statistics.fmean(waits)
    waited = sum(wait > 0 for wait in waits) / len(waits)
    return made, [
        Line("attempts that wait", 100 * made.waits, 100 * waited, "%"),
        Line("mean wait", made.mean_wait_s, mean, "s"),
        Line("95 % wait less than", made.wait_95_s, late, "s"),
    ]


def _simulated(work: Workload, made: Plan, attempts: int, seed: int) -> Seen:
    name = STAND_IN[made.serving.hardware.name]
    return Simulation(work, made, Latency(HARDWARE[name]), seed).run(attempts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs-per-day", type=float, default=500)
    parser.add_argument("--attempts", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    console = Console()
    work = Workload(runs_per_day=asked.runs_per_day)
    cases = [compare(work, serving(name), asked.attempts, asked.seed) for name in STAND_IN]
    cases.append(compare_waits(5 * asked.attempts, asked.seed))
    for made, lines in cases:
        title = f"{made.serving.hardware.name}: {made.servers} server(s), {made.slots} places"
        table = Table("", "formula", "simulated", "off", title=title)
        for line in lines:
            figures = (f"{value:,.1f} {line.unit}" for value in (line.formula, line.simulated))
            table.add_row(line.name, *figures, f"{line.off:+.1%}")
        console.print(table)
    missed = [line.name for _, lines in cases for line in lines if abs(line.off) > TOLERANCE]
    console.print(f"beyond {TOLERANCE:.0%}: {', '.join(missed) or 'none'}; seed {asked.seed}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
