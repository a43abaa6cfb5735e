"""The capacity plan for a terminal: one row per hardware, and what to set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from app.operations.capacity import HARDWARE, Plan, Serving, Workload, plan


class UnknownHardware(ValueError):
    """There is no such hardware; the message names those that exist."""


def serving(
    name: str, *, tokens_per_s: float = 0, streams: int = 0, kv_bytes: int = 2, groups: int = 1
) -> Serving:
    """A server by name, with measured figures in place of the published ones where given.

    Raises `UnknownHardware`.
    """
    if name not in HARDWARE:
        raise UnknownHardware(f"there is no hardware {name!r}; known are {', '.join(HARDWARE)}")
    row = HARDWARE[name]
    if groups < 1 or row.gpus % groups:
        raise UnknownHardware(f"{name}: {row.gpus} GPUs cannot be split into {groups} groups")
    row = replace(row, streams=streams or row.streams)
    if tokens_per_s:
        row = replace(row, slow_tokens_per_s=tokens_per_s, fast_tokens_per_s=tokens_per_s)
    return Serving(row, row.tokens_per_s, kv_bytes, groups)


def print_plans(
    console: Console,
    work: Workload,
    servings: Sequence[Serving],
    *,
    most_utilised: float,
    longest_wait_s: float,
) -> None:
    """Compute and print the plans for this work."""
    plans = [
        plan(work, one, most_utilised=most_utilised, longest_wait_s=longest_wait_s)
        for one in servings
    ]
    console.print(
        f"{work.runs_per_day:g} runs per day, the busiest hour {work.peak:g} times the mean; "
        f"{work.attempts} attempt(s) of {work.calls:g} turns, window {work.window:,} tokens",
        highlight=False,
    )
    console.print(_table(work, plans, most_utilised, longest_wait_s))
    for made in plans:
        console.print(advice(work, made), markup=False, highlight=False)
        halved = replace(made.serving, kv_bytes=1)
        if made.server.attempts < made.serving.hardware.streams and halved != made.serving:
            less = plan(work, halved, most_utilised=most_utilised, longest_wait_s=longest_wait_s)
            console.print(
                f"    with --kv-dtype fp8: {_servers(less)} servers, {less.gpus} GPUs"
                if less.servers
                else "    --kv-dtype fp8 alone does not make it fit",
                highlight=False,
            )
    console.print(
        "Prefill speed and parallel streams are assumptions: measure, and pass "
        "--tokens-per-s and --streams. Formulas and sources: docs/capacity.md.",
        highlight=False,
    )


def advice(work: Workload, made: Plan) -> str:
    """What to do with the plan."""
    row, name = made.serving.hardware, made.serving.hardware.name
    if not made.servers:
        return (
            f"{name}: no attempt fits. Weights leave room for {made.server.kv_tokens:,.0f} tokens "
            f"of KV cache; an attempt needs up to {made.attempt.longest_context:,.0f}. Use INT4 "
            "weights, more GPUs, --kv-dtype fp8 or a smaller --window."
        )
    bound = "memory" if made.server.attempts_by_memory <= row.streams else "streams"
    runs = max(1, made.slots // work.attempts)
    return (
        f"{name}: PATCHWRIGHT_CONCURRENCY={runs} with {made.slots} concurrent sandboxes; each "
        f"server --max-running-requests {made.server.attempts}, limited by {bound}."
    )


def _table(
    work: Workload, plans: Sequence[Plan], most_utilised: float, longest_wait_s: float
) -> Table:
    table = Table("", *(p.serving.hardware.name for p in plans))
    rows = (
        ("servers needed", [_servers(p) for p in plans]),
        ("… at the slow end", [_slow(work, p, most_utilised, longest_wait_s) for p in plans]),
        ("GPUs", [str(p.gpus) if p.servers else "–" for p in plans]),
        ("busy in the peak hour", [f"{p.utilisation:.0%}" if p.servers else "–" for p in plans]),
        ("attempts that have to wait", [f"{p.waits:.0%}" if p.servers else "–" for p in plans]),
        ("mean wait", [_time(p.mean_wait_s) if p.servers else "–" for p in plans]),
        ("95 % wait less than", [_time(p.wait_95_s) if p.servers else "–" for p in plans]),
        ("attempt takes", [_time(p.attempt.seconds) for p in plans]),
        ("concurrent attempts per server", [str(p.server.attempts) for p in plans]),
        ("attempts per day and server", [_per_day(p, most_utilised) for p in plans]),
        ("tokens/s per stream", [_speed(p) for p in plans]),
        ("KV cache of a full window", [f"{p.server.kv_gb_per_window:.1f} GB" for p in plans]),
        ("KV cache per server", [f"{p.server.kv_tokens / 1e3:,.0f} K tokens" for p in plans]),
        ("full windows per server", [str(p.server.full_windows) for p in plans]),
        ("context of an attempt", [f"{p.attempt.context / 1e3:.0f} K tokens" for p in plans]),
        ("prompt from the cache", [f"{p.attempt.cached_share:.1%}" for p in plans]),
        ("", [p.serving.hardware.note for p in plans]),
    )
    for name, values in rows:
        table.add_row(name, *values)
    return table


def _servers(made: Plan) -> str:
    return str(made.servers) if made.servers else "does not fit"


def _slow(work: Workload, made: Plan, most_utilised: float, longest_wait_s: float) -> str:
    slow = replace(made.serving, tokens_per_s=made.serving.hardware.slow_tokens_per_s)
    return _servers(plan(work, slow, most_utilised=most_utilised, longest_wait_s=longest_wait_s))


def _per_day(made: Plan, most_utilised: float) -> str:
    return f"{math.floor(made.server.attempts * most_utilised * 86_400 / made.attempt.seconds):,}"


def _speed(made: Plan) -> str:
    row = made.serving.hardware
    if row.slow_tokens_per_s == row.fast_tokens_per_s:
        return f"{row.slow_tokens_per_s:g}"
    return f"{row.slow_tokens_per_s:g} to {row.fast_tokens_per_s:g}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
