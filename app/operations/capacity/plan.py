"""How many servers, and how many attempts at once on each.

Units: tokens, seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.operations.capacity.cache import SteadyState, crowded, steady_state
from app.operations.capacity.models import GB
from app.operations.capacity.serving import Pools, Serving, pools
from app.operations.capacity.workload import Contexts, Workload, contexts

MOST_ATTEMPTS = 400
"""Under way on one server: more are not looked at."""
HOPELESS = 0.7
"""Below this share of the best throughput so far, more attempts do not make it better again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer."""

    serving: Serving
    contexts: Contexts
    pools: Pools
    steady: SteadyState | None
    """One server with as many attempts under way as it is given; None: no attempt fits."""
    servers: int
    """Or groups of prefill and decode servers; 0: the model fits, but no attempt does."""
    offered: float
    """Attempts at once that the busiest hour asks for."""
    waits: float
    """Probability that an attempt waits for a place, in the busiest hour."""
    mean_wait_s: float
    wait_95_s: float
    runs_per_day: float
    attempts_per_run: int

    @property
    def attempts(self) -> int:
        """Under way at once on one server."""
        return self.steady.attempts if self.steady else 0

    @property
    def gpus(self) -> int:
        """GPUs of all servers."""
        return self.servers * self.serving.gpus

    @property
    def slots(self) -> int:
        """Attempts at once on all servers."""
        return self.servers * self.attempts

    @property
    def utilisation(self) -> float:
        """In the busiest hour."""
        return self.offered / self.slots if self.slots else 0.0

    @property
    def attempts_per_day(self) -> float:
        """Of one server that is never idle."""
        return self.attempts * 86_400 / self.steady.attempt_s if self.steady else 0.0

    @property
    def gpu_hours(self) -> float:
        """Of a run, on servers that are never idle."""
        return self.attempts_per_run * self.serving.gpus * 24 / self.attempts_per_day

    @property
    def paid_gpu_hours(self) -> float:
        """Of a run, when the servers run day and night."""
        return self.gpus * 24 / self.runs_per_day

    @property
    def kv_gb_per_window(self) -> float:
        """KV cache of one stream with a full window, in GB."""
        one = self.serving
        return one.model.window * one.model.kv_bytes_per_token(one.kv_bytes) / GB


def plan(
    work: Workload, one: Serving, *, most_utilised: float = 0.8, longest_wait_s: float = 300.0
) -> Plan:
    """The fewest servers that keep utilisation and mean wait of the busiest hour in bounds."""
    seen = contexts(work, work.written_tokens * one.model.written)
    room = pools(one, seen.context)
    steady = best_state(work, one) if room.tokens >= seen.longest else None
    seconds = steady.attempt_s if steady else 0.0
    offered = work.runs_per_day * work.attempts * work.peak / 86_400 * seconds
    servers, waits, mean, late = 0, 0.0, 0.0, 0.0
    if steady:
        servers = max(1, math.ceil(offered / most_utilised / steady.attempts))
        while True:
            slots = servers * steady.attempts
            waits, mean, late = waiting(slots, offered, seconds, seen.turns_cv)
            if mean <= longest_wait_s:
                break
            servers += 1
    return Plan(
        one, seen, room, steady, servers, offered, waits, mean, late,
        work.runs_per_day, work.attempts,
    )  # fmt: skip


def best_state(work: Workload, one: Serving) -> SteadyState:
    """With as many attempts under way as give most, also while their contexts are long by chance.

    A few more would lose their prefixes to one another, and do a fraction.
    """
    best, most, attempts = 1, 0.0, 0
    while attempts < MOST_ATTEMPTS:
        attempts += max(1, attempts // 12)
        rate = crowded(work, one, attempts).turns_per_s
        # A hundredth more is not worth the risk of one attempt more.
        if rate > 1.01 * most:
            best, most = attempts, rate
        if rate < HOPELESS * most or attempts > 3 * best + 4:
            break
    return steady_state(work, one, best)


def waiting(slots: int, offered: float, seconds: float, cv: float) -> tuple[float, float, float]:
    """Probability of a wait, its mean, and the wait that 95 % stay below, in seconds.

    Erlang's C formula for Poisson arrivals at `slots` places, corrected for the spread of lengths
    (Lee and Longton); the tail is taken as exponential. `offered` < `slots`.
    """
    blocked = 1.0
    for place in range(1, slots + 1):
        blocked = offered * blocked / (place + offered * blocked)
    waits = blocked / (1 - offered / slots * (1 - blocked))
    of_those = seconds / (slots - offered) * (1 + cv**2) / 2
    late = of_those * math.log(waits / 0.05) if waits > 0.05 else 0.0
    return waits, waits * of_those, late
