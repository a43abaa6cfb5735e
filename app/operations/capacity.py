"""How many GPU servers a team needs for its runs. Formulas and sources: docs/capacity.md.

Units: tokens, seconds, gigabytes of 10^9 bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from agent.decisions.context_cut import HIGH_WATER, LOW_WATER
from agent.models.profiles import KIMI_WINDOW

GB = 1e9
LAYERS, KV_LORA_RANK, QK_ROPE_DIM = 61, 512, 64
"""Kimi K2's published architecture: what multi-head latent attention keeps of a token."""
HIDDEN, HEADS, Q_LORA_RANK, QK_NOPE_DIM, V_DIM = 7168, 64, 1536, 128, 128
STATIC_SHARE = 0.88
"""Share of GPU memory for weights and KV cache: `--mem-fraction-static` in deploy/sglang."""
LENGTHS = ((0.25, 0.4), (0.5, 1.0), (0.25, 1.6))
"""Probability and length of short, usual and long runs, as multiples of the mean."""
FIT_QUANTILE = 1.645
"""Contexts fit into the KV cache for 95 % of the time (normal approximation)."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """One server (a *cluster* in the sense of GPUs that hold the model once)."""

    name: str
    gpus: int
    gpu_gb: float
    """Memory of one GPU, the maker's nominal figure."""
    weights_gb: float
    slow_tokens_per_s: float
    fast_tokens_per_s: float
    """Written tokens per second in one stream: both ends of the published range."""
    prefill_tokens_per_s: float
    """New prompt tokens read per second, all GPUs together. Assumed: measure yours."""
    streams: int
    """Streams that keep that speed side by side. Assumed: measure yours."""
    note: str = ""

    @property
    def tokens_per_s(self) -> float:
        """The middle of the range."""
        return (self.slow_tokens_per_s + self.fast_tokens_per_s) / 2


HARDWARE = {
    row.name: row
    for row in (
        Hardware("8xH200", 8, 141, 594, 30, 45, 8_000, 16, "INT4 weights"),
        Hardware("16xH100", 16, 80, 594, 15, 20, 6_000, 16, "INT4 weights; derived, not tried"),
        Hardware("16xH100-fp8", 16, 80, 1_100, 15, 20, 6_000, 16, "FP8 weights"),
        Hardware("8xB200", 8, 180, 594, 45, 75, 14_000, 16, "INT4 weights; speed assumed"),
    )
}
"""Servers by name, with the published figures."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What teams ask for, and what a usual run does."""

    runs_per_day: float
    peak: float = 3.0
    """The busiest hour has this many times the day's mean: 3 is a day of eight hours."""
    attempts: int = 1
    """Attempts side by side per run."""
    calls: float = 150.0
    """Model turns of a usual attempt, one tool call each."""
    start_tokens: float = 8_000.0
    """System prompt, tools and issue."""
    read_tokens: float = 600.0
    """New prompt tokens per turn: the tool's output."""
    written_tokens: float = 400.0
    """Thinking and call."""
    tool_s: float = 4.0
    """Seconds in the sandbox between two turns."""
    window: int = KIMI_WINDOW


@dataclass(frozen=True, slots=True)
class Serving:
    """How the server is set up."""

    hardware: Hardware
    tokens_per_s: float
    kv_bytes: int = 2
    """Bytes per number in the KV cache: 2 for bfloat16, 1 for `--kv-cache-dtype fp8_e4m3`."""
    attention_groups: int = 1
    """`--attn-dp-size`: each group keeps the caches of its own streams. 1: all GPUs keep all."""


@dataclass(frozen=True, slots=True)
class AverageTurn:
    """One turn of an attempt, on average."""

    context: float
    """Prompt and answer, tokens."""
    uncached: float
    """Prompt tokens that the server has not in its cache."""
    seconds: float
    """With the tool call after it."""


@dataclass(frozen=True, slots=True)
class AttemptProfile:
    """What attempts of all lengths need, on average over time."""

    seconds: float
    seconds_cv: float
    """Standard deviation of the length over its mean."""
    model_share: float
    """Share of the time in which the model reads or writes."""
    context: float
    context_sd: float
    longest_context: float
    cached_share: float


@dataclass(frozen=True, slots=True)
class ServerCapacity:
    """What one server holds."""

    kv_gb_per_window: float
    """KV cache of one stream with a full window."""
    kv_tokens: float
    """Tokens of KV cache, over all attention groups."""
    full_windows: int
    """Streams of a full window that fit."""
    attempts_by_memory: int
    attempts: int
    """Attempts at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer."""

    serving: Serving
    attempt: AttemptProfile
    server: ServerCapacity
    servers: int
    """0: the model fits, but no attempt does."""
    offered: float
    """Attempts at once that the busiest hour asks for."""
    utilisation: float
    """In the busiest hour."""
    waits: float
    """Probability that an attempt waits for a place, in the busiest hour."""
    mean_wait_s: float
    wait_95_s: float

    @property
    def gpus(self) -> int:
        """GPUs of all servers."""
        return self.servers * self.serving.hardware.gpus

    @property
    def slots(self) -> int:
        """Attempts at once on all servers."""
        return self.servers * self.server.attempts


def kv_bytes_per_token(number_bytes: int = 2) -> int:
    """Bytes of KV cache for one token: the latent and the rotary key of each layer."""
    return LAYERS * (KV_LORA_RANK + QK_ROPE_DIM) * number_bytes


def attention_weights_gb() -> float:
    """Attention weights in bfloat16, which INT4 leaves alone; each attention group holds them."""
    query = HIDDEN * Q_LORA_RANK + Q_LORA_RANK * HEADS * (QK_NOPE_DIM + QK_ROPE_DIM)
    latent = HIDDEN * (KV_LORA_RANK + QK_ROPE_DIM)
    expand = KV_LORA_RANK * HEADS * (QK_NOPE_DIM + V_DIM)
    return LAYERS * (query + latent + expand + HEADS * V_DIM * HIDDEN) * 2 / GB


def kv_tokens_per_group(serving: Serving) -> float:
    """Tokens of KV cache in one attention group: what one of its GPUs holds, for all hold the same.

    The latent has no heads to share out, so tensor parallelism repeats it on each GPU.
    """
    row, groups = serving.hardware, serving.attention_groups
    more_weights = attention_weights_gb() * (groups - 1) / row.gpus
    free_gb = row.gpu_gb * STATIC_SHARE - row.weights_gb / row.gpus - more_weights
    return max(0.0, free_gb * GB / kv_bytes_per_token(serving.kv_bytes))


def turns(work: Workload, serving: Serving, calls: int) -> Iterator[AverageTurn]:
    """An attempt of that many turns: the context grows, is cut at the high mark, grows again."""
    context, uncached = work.start_tokens, work.start_tokens
    for _ in range(calls):
        reading = uncached / serving.hardware.prefill_tokens_per_s
        writing = work.written_tokens / serving.tokens_per_s
        context += work.written_tokens
        yield AverageTurn(context, uncached, reading + writing + work.tool_s)
        context += work.read_tokens
        # What the model wrote stays in the server's cache.
        uncached = work.read_tokens
        if context > HIGH_WATER * work.window:
            context = LOW_WATER * work.window
            # Everything after the first changed message is read again.
            uncached = context - work.start_tokens


def attempt_profile(work: Workload, serving: Serving) -> AttemptProfile:
    """Means over short, usual and long attempts; contexts weighted by the time they last."""
    seconds = squares = tools = weighted = weighted_squares = prompt = uncached = longest = 0.0
    for probability, length in LENGTHS:
        calls = max(1, round(work.calls * length))
        of_this = list(turns(work, serving, calls))
        lasted = sum(turn.seconds for turn in of_this)
        seconds += probability * lasted
        squares += probability * lasted**2
        tools += probability * calls * work.tool_s
        weighted += probability * sum(t.seconds * t.context for t in of_this)
        weighted_squares += probability * sum(t.seconds * t.context**2 for t in of_this)
        prompt += probability * sum(t.context - work.written_tokens for t in of_this)
        uncached += probability * sum(t.uncached for t in of_this)
        longest = max(longest, *(t.context for t in of_this))
    context = weighted / seconds
    return AttemptProfile(
        seconds=seconds,
        seconds_cv=math.sqrt(max(0.0, squares - seconds**2)) / seconds,
        model_share=1 - tools / seconds,
        context=context,
        context_sd=math.sqrt(max(0.0, weighted_squares / seconds - context**2)),
        longest_context=longest,
        cached_share=1 - uncached / prompt,
    )


def server_capacity(serving: Serving, attempt: AttemptProfile, window: int) -> ServerCapacity:
    """How many attempts one server holds at once: by memory, and by the streams it can write."""
    group = kv_tokens_per_group(serving)
    groups = serving.attention_groups
    in_group = _fitting(group, attempt)
    by_memory = groups * in_group
    return ServerCapacity(
        kv_gb_per_window=window * kv_bytes_per_token(serving.kv_bytes) / GB,
        kv_tokens=groups * group,
        full_windows=groups * int(group // window),
        attempts_by_memory=by_memory,
        attempts=min(by_memory, serving.hardware.streams),
    )


def _fitting(tokens: float, attempt: AttemptProfile) -> int:
    """The most attempts whose contexts fit together for 95 % of the time."""
    if attempt.longest_context > tokens:
        return 0
    # The positive root of: count * mean + quantile * deviation * sqrt(count) = tokens.
    spread = FIT_QUANTILE * attempt.context_sd
    root = math.sqrt(spread**2 + 4 * attempt.context * tokens) - spread
    return max(1, int((root / (2 * attempt.context)) ** 2))


def plan(
    work: Workload, serving: Serving, *, most_utilised: float = 0.8, longest_wait_s: float = 300.0
) -> Plan:
    """The fewest servers that keep utilisation and mean wait of the busiest hour in bounds."""
    attempt = attempt_profile(work, serving)
    server = server_capacity(serving, attempt, work.window)
    offered = work.runs_per_day * work.attempts * work.peak / 86_400 * attempt.seconds
    if not server.attempts:
        return Plan(serving, attempt, server, 0, offered, 0.0, 0.0, 0.0, 0.0)
    servers = max(1, math.ceil(offered / most_utilised / server.attempts))
    while True:
        slots = servers * server.attempts
        waits, mean, late = waiting(slots, offered, attempt.seconds, attempt.seconds_cv)
        if mean <= longest_wait_s:
            return Plan(
                serving, attempt, server, servers, offered, offered / slots, waits, mean, late
            )
        servers += 1


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
