"""Whose prefix is still in the cache after a tool call: a server in its steady state, by formula.

The cache throws out what was not used for longest (SGLang's `radix_cache.py`, `--radix-eviction-
policy lru`), from the end of a conversation on. By Che's approximation (H. Che, Y. Tung, Z. Wang,
"Hierarchical Web Caching Systems", 2002) there is one age at which prefixes are lost: the one at
which what is younger fills the pool. Prompts queue for the one reader (mean value analysis of a
closed queue with a general service time); while one is read no stream writes, unless others read.

Units: tokens, seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from app.operations.capacity.serving import Serving, load_tokens_per_s, pools, send_tokens_per_s
from app.operations.capacity.workload import Contexts, ToolTimes, Workload, contexts

STEPS = 5
"""Of the ramp between the age at which a prefix begins to be lost and that at which it is gone."""
ROUNDS = 50
DAMPING = 0.4
TOLERANCE = 1e-4
BISECTIONS = 20
FOREVER_S = 1e6
CROWDED = NormalDist().inv_cdf(0.99)
NOTHING_LOST = 1e-9
SAW_TOOTH = (-0.4, -0.2, 0.0, 0.2, 0.4)
"""What all contexts hold grows by each turn, and falls by a whole one whenever an attempt ends: the
times in between, as shares of that fall. Too short for the server to come to rest in each."""
_NORMAL = NormalDist()
DEVIATIONS = tuple(step / 2 for step in range(6, -7, -1))
"""Of what all contexts together hold from its mean, as multiples of the standard deviation, the
fullest first. So many, since between two of them throughput may fall to a fraction."""
_DENSITY = tuple(_NORMAL.pdf(deviation) for deviation in DEVIATIONS)
PROBABILITIES = tuple(density / sum(_DENSITY) for density in _DENSITY)


@dataclass(frozen=True, slots=True)
class SteadyState:
    """A server with so many attempts under way, each of which is replaced when it ends."""

    attempts: int
    turns_per_s: float
    attempt_s: float
    cached_share: float
    """Prompt tokens that were not read again, of all prompt tokens."""
    from_host_share: float
    """Prompt tokens that came from host memory or the store, of all."""
    reading: float
    """Share of the time in which prompts are read."""
    kept_s: float
    """Age at which a prefix is lost on the GPUs."""
    running: float
    """Requests under way."""
    lost: float
    """Share of a prefix that is gone from the GPUs when its next turn comes, on average."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """How much of a prefix is gone when its next turn comes: mean and mean square of the share."""

    mean: float
    square: float


@dataclass(frozen=True, slots=True)
class _Ramp:
    """A prefix is whole until `begins` and gone `takes` later."""

    begins: float
    takes: float

    def lost(self, idle: ToolTimes, wait_s: float) -> _Lost:
        """Of a prefix whose tool call and wait for the reader take that long."""
        if self.begins >= FOREVER_S:
            return _Lost(0.0, 0.0)
        mean = square = 0.0
        for step in range(STEPS):
            share = (step + 0.5) / STEPS
            gone = 1 - idle.share_within(self.begins + share * self.takes - wait_s)
            mean += gone / STEPS
            square += 2 * share * gone / STEPS
        return _Lost(mean, square)

    def resident_s(self, idle: ToolTimes, wait_s: float) -> float:
        """Mean time between two turns in which a prefix takes room, weighted by how much it is."""
        if self.begins >= FOREVER_S:
            return idle.mean + wait_s
        ages = (self.begins + (step + 0.5) / STEPS * self.takes for step in range(STEPS))
        return sum(min(age, wait_s) + idle.mean_up_to(age - wait_s) for age in ages) / STEPS


@dataclass(frozen=True, slots=True)
class _Flow:
    """What a pool sees: who holds how much of it for how long."""

    idle: ToolTimes
    pause_s: float
    """Of each conversation beside its tool call."""
    busy_s: float
    """In which a conversation cannot be lost, each turn."""
    held_per_s: float
    """What one turn holds, times turns per second."""
    left_per_s: float
    """What nobody will ask for again."""

    def ramp(self, takes: float, pool: float) -> _Ramp:
        """The age at which a pool of that size begins to lose prefixes, each in `takes` seconds.

        Where not even those fit that lose some from the first moment on, they are lost faster: what
        is read again in their places pushes them out.
        """

        def fits(begins: float, takes: float) -> bool:
            ramp = _Ramp(begins, takes)
            resident_s = self.busy_s + ramp.resident_s(self.idle, self.pause_s)
            left = self.left_per_s * (begins + takes / 2)
            return self.held_per_s * resident_s + left <= pool

        oldest = self.idle.seconds[-1] + self.pause_s
        if fits(oldest, takes):
            return _Ramp(FOREVER_S, takes)
        if fits(0.0, takes):
            return _Ramp(_most(lambda begins: fits(begins, takes), oldest), takes)
        return _Ramp(0.0, _most(lambda faster: fits(0.0, faster), takes))


@dataclass(frozen=True, slots=True)
class _Pace:
    """How long the parts of a turn take, for a given share of lost prefixes."""

    attempts: int
    service_s: float
    """The reader's, for one prompt, on average."""
    residual_s: float
    """What is left of the prompt that is being read, when another comes."""
    writing_s: float
    """Undisturbed."""
    late_s: float
    """Until what is not on the GPUs has come."""
    tool_s: float
    held_up: bool
    """Nothing is written while a prompt is read."""

    def parts(self, turns_per_s: float) -> tuple[float, float]:
        """The wait for the reader, and the time to write, at that rate."""
        others = (self.attempts - 1) / self.attempts
        busy = min(0.999, turns_per_s * self.service_s * others)
        wait = busy * self.residual_s / (1 - busy)
        return wait, self.writing_s / (1 - busy) if self.held_up else self.writing_s

    def turns_per_s(self, most_running: float) -> float:
        """The rate at which so many attempts keep going round; requests under way are limited."""

        def all_come_round(rate: float) -> bool:
            wait, writes = self.parts(rate)
            turn = wait + writes + self.service_s + self.late_s + self.tool_s
            return rate * turn <= self.attempts

        def all_fit(rate: float) -> bool:
            under_way = self.service_s + self.late_s + self.parts(rate)[1]
            return rate * under_way <= most_running

        most = 1 / self.service_s
        return min(_most(all_come_round, most), _most(all_fit, most))


def steady_state(work: Workload, one: Serving, attempts: int) -> SteadyState:
    """One server, or one group of prefill and decode servers, with `attempts` under way.

    Their contexts add up to more than the mean at some times and to less at others, and change
    slowly: the means are over states with the pool full to different degrees, turn by turn.
    """
    seen = contexts(work, work.written_tokens * one.model.written)
    spread = seen.context_sd / seen.context / math.sqrt(attempts)
    states: list[SteadyState] = []
    for deviation in DEVIATIONS:
        # Where nothing is lost, nothing is in emptier states either.
        if not states or states[-1].lost > NOTHING_LOST:
            size = max(0.1, 1 + spread * deviation)
            states.append(_with_contexts(work, one, attempts, seen, size))
        else:
            states.append(states[-1])
    found = list(zip(states, PROBABILITIES, strict=True))
    seconds = sum(probability / state.turns_per_s for state, probability in found)
    # A slow state lasts longer.
    lasting = [(state, p / state.turns_per_s / seconds) for state, p in found]
    return SteadyState(
        attempts=attempts,
        turns_per_s=1 / seconds,
        attempt_s=seen.turns * attempts * seconds,
        cached_share=sum(p * state.cached_share for state, p in found),
        from_host_share=sum(p * state.from_host_share for state, p in found),
        reading=sum(share * state.reading for state, share in lasting),
        kept_s=found[len(found) // 2][0].kept_s,
        running=sum(share * state.running for state, share in lasting),
        lost=sum(p * state.lost for state, p in found),
    )


def crowded(work: Workload, one: Serving, attempts: int) -> SteadyState:
    """The same at a bad time: all contexts together are longer in only 1 % of the turns."""
    seen = contexts(work, work.written_tokens * one.model.written)
    spread = seen.context_sd / seen.context / math.sqrt(attempts)
    return _with_contexts(work, one, attempts, seen, 1 + CROWDED * spread)


def _with_contexts(
    work: Workload, one: Serving, attempts: int, seen: Contexts, size: float
) -> SteadyState:
    """The steady state while all contexts together are so many times their mean."""
    written = work.written_tokens * one.model.written
    split, readers = one.prefill_servers > 0, max(1, one.prefill_servers)
    reader = one.speed.prefill_tokens_per_s * readers
    room, idle = pools(one, seen.context), work.tool_times
    slots = one.model.state.running_slots if one.model.state else 1
    held = (seen.prompt if split else seen.context) * size
    most_running = max(1, one.decode_servers) * min(
        float(one.speed.streams),
        max(1.0, room.tokens / seen.context / size - 0.5),
        max(1.0, room.states / slots),
    )
    # A split server's decoders keep no prefix: what they wrote is read again with the next prompt.
    fresh = work.read_tokens + (written if split else 0.0)
    send_s = seen.prompt / send_tokens_per_s(one) if split else 0.0
    lost = lost_behind = _Lost(0.0, 0.0)
    rate = 0.0
    for _ in range(ROUNDS):
        read, read_squared = _read(seen, fresh, lost_behind)
        loaded = (1 - seen.changed) * max(0.0, lost.mean - lost_behind.mean) * seen.prompt
        pace = _Pace(
            attempts,
            service_s=read / reader,
            residual_s=read_squared / read / reader / 2,
            writing_s=written / one.tokens_per_s,
            late_s=loaded / load_tokens_per_s(one) + send_s,
            tool_s=idle.mean,
            held_up=not split,
        )
        before = rate
        # The rate and the times of its turns belong together: only what is lost is damped.
        rate = pace.turns_per_s(most_running)
        writes = pace.parts(rate)[1]
        wait = max(0.0, attempts / rate - writes - pace.service_s - pace.late_s - idle.mean)
        # Where a split server keeps prefixes, writing is a pause like a tool call.
        busy = pace.service_s if split else pace.service_s + pace.late_s + writes
        flow = _Flow(
            idle=idle,
            pause_s=wait + pace.late_s + writes if split else wait,
            busy_s=busy,
            held_per_s=rate * held,
            left_per_s=rate / seen.turns * seen.left,
        )
        new_tokens = rate * (read + (0.0 if split else written))
        takes = held / size / (new_tokens + rate * loaded)
        kept = [
            flow.ramp(takes, readers * room.tokens + offset * seen.left) for offset in SAW_TOOTH
        ]
        if one.model.state:
            of_states = _Flow(idle, flow.pause_s, busy * slots, rate, rate / seen.turns)
            by_states = of_states.ramp(1 / rate, readers * room.states)
            kept = [min(ramp, by_states, key=lambda ramp: ramp.begins) for ramp in kept]
        gone = gone_behind = _mean_lost(kept, flow)
        if room.host_tokens:
            takes = held / size / new_tokens
            behind = [
                flow.ramp(takes, readers * room.host_tokens + offset * seen.left)
                for offset in SAW_TOOTH
            ]
            gone_behind = min(_mean_lost(behind, flow), gone, key=lambda one: one.mean)
        lost, lost_behind = _mix(lost, gone), _mix(lost_behind, gone_behind)
        settled = abs(gone_behind.mean - lost_behind.mean) < TOLERANCE
        if settled and abs(rate - before) < TOLERANCE * before:
            break
    return SteadyState(
        attempts=attempts,
        turns_per_s=rate,
        attempt_s=seen.turns * attempts / rate,
        cached_share=1 - read / seen.prompt,
        from_host_share=loaded / seen.prompt,
        reading=min(1.0, rate * read / reader),
        kept_s=kept[len(kept) // 2].begins,
        running=rate * (writes if split else busy),
        lost=lost.mean,
    )


def _read(seen: Contexts, fresh: float, lost: _Lost) -> tuple[float, float]:
    """Mean and mean square of the tokens that a turn has to read."""
    unchanged = 1 - seen.changed
    mean = seen.changed * seen.changed_tokens + unchanged * (fresh + lost.mean * seen.prompt)
    square = seen.changed * seen.changed_tokens**2 + unchanged * (
        2 * fresh**2 + 2 * fresh * lost.mean * seen.prompt + lost.square * seen.prompt_squared
    )
    return mean, square


def _mean_lost(ramps: Sequence[_Ramp], flow: _Flow) -> _Lost:
    lost = [ramp.lost(flow.idle, flow.pause_s) for ramp in ramps]
    return _Lost(fmean(one.mean for one in lost), fmean(one.square for one in lost))


def _mix(old: _Lost, new: _Lost) -> _Lost:
    return _Lost(_damped(old.mean, new.mean), _damped(old.square, new.square))


def _damped(old: float, new: float) -> float:
    return old + DAMPING * (new - old) if old else new


def _most(allowed: Callable[[float], bool], most: float) -> float:
    """The largest number up to `most` that is allowed, where all smaller ones are too."""
    if allowed(most):
        return most
    low, high = 0.0, most
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if allowed(middle):
            low = middle
        else:
            high = middle
    return low
