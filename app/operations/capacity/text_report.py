"""The capacity plan for a terminal: one row per server, without HiCache and with it; and a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.operations.capacity.cache import steady_state
from app.operations.capacity.hardware import HARDWARE
from app.operations.capacity.journals import measure
from app.operations.capacity.models import MODELS
from app.operations.capacity.plan import Plan, plan
from app.operations.capacity.plot import Curve, svg
from app.operations.capacity.serving import NoRecipe, Serving, fitted, hardware_for, serving
from app.operations.capacity.workload import Workload
from app.settings.schema import Settings
from app.storage.archive import Journals
from app.storage.store import SqlStore

MOST_RUNS = 500
"""Whose journals are measured, the latest first."""
POINTS = 14
"""Of each curve."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How the servers are set up, beyond model and hardware."""

    kv_bytes: int = 0
    groups: int = 1
    hicache_ratio: float = 2.0
    """0: only plans without HiCache."""
    store_gb: float = 0.0
    split: str = ""
    """`1:1`: prefill and decode servers of a group; empty: each does both."""
    speculative: float = 1.0
    tokens_per_s: float = 0.0
    prefill_tokens_per_s: float = 0.0
    streams: int = 0


def servings(models: Sequence[str], hardware: Sequence[str], setup: Setup) -> list[Serving]:
    """Each model on each server for which there is a recipe, without HiCache and with it.

    Raises `NoRecipe` when a name is unknown, or when nothing of what was asked for has a recipe.
    """
    for kind, names, known in (("model", models, MODELS), ("hardware", hardware, HARDWARE)):
        if unknown := [name for name in names if name not in known]:
            raise NoRecipe(f"there is no {kind} {unknown[0]!r}; known are {', '.join(known)}")
    pairs = [
        (model, name)
        for model in models
        for name in hardware_for(model)
        if not hardware or name in hardware
    ]
    if not pairs:
        fitting = "; ".join(f"{model}: {', '.join(hardware_for(model))}" for model in models)
        raise NoRecipe(f"no recipe is known for this. Recipes: {fitting}")
    prefill, decode = _split(setup.split)
    made = []
    for model, name in pairs:
        one = replace(
            serving(
                model, name,
                tokens_per_s=setup.tokens_per_s,
                prefill_tokens_per_s=setup.prefill_tokens_per_s,
                streams=setup.streams, kv_bytes=setup.kv_bytes, groups=setup.groups,
            ),
            prefill_servers=prefill, decode_servers=decode, speculative=setup.speculative,
        )  # fmt: skip
        made.append(one)
        if setup.hicache_ratio:
            made.append(replace(one, host_ratio=setup.hicache_ratio, store_gb=setup.store_gb))
    return made


def _split(text: str) -> tuple[int, int]:
    if not text:
        return 0, 0
    prefill, _, decode = text.partition(":")
    if not (prefill.isdigit() and decode.isdigit() and int(prefill) and int(decode)):
        raise NoRecipe(f"--split {text!r}: give prefill and decode servers of a group, e.g. 1:1")
    return int(prefill), int(decode)


def measured_workload(settings: Settings, asked: Workload) -> tuple[Workload, str]:
    """The workload with what the latest runs' journals tell, and a sentence on it.

    Raises `TooLittle`.
    """
    store = SqlStore(settings.database)
    try:
        journals = Journals(settings, store)
        found = measure(journals.events(run.id) for run in store.list_runs(limit=MOST_RUNS).runs)
    finally:
        store.close()
    work = found.workload(asked)
    times = work.tool_times
    return work, (
        f"Measured in {len(found.turns)} attempts: {work.calls:.0f} turns, "
        f"{work.start_tokens:,.0f} tokens at first, {work.read_tokens:.0f} read and "
        f"{work.written_tokens:.0f} written a turn; tools {times.mean:.1f} s, a tenth longer than "
        f"{times.seconds[int(0.9 * len(times.seconds))]:.1f} s (n = {len(found.pauses_s)})."
    )


def print_plans(
    console: Console,
    work: Workload,
    rows: Sequence[Serving],
    *,
    most_utilised: float,
    longest_wait_s: float,
) -> list[Plan]:
    """Compute and print the plans for this work."""
    plans = [
        plan(fitted(work, one), one, most_utilised=most_utilised, longest_wait_s=longest_wait_s)
        for one in rows
    ]
    console.print(
        f"{work.runs_per_day:g} runs per day, the busiest hour {work.peak:g} times the mean; "
        f"{work.attempts} attempt(s) of {work.calls:g} turns; tools {work.tool_times.mean:.1f} s "
        "between two turns",
        highlight=False,
    )
    console.print(_table(plans))
    for made in plans:
        console.print(advice(made), markup=False, highlight=False)
    console.print(
        "All of this is estimated. Speeds marked * are assumed, as are all prefill speeds and "
        "streams: measure, and pass --tokens-per-s, --prefill-tokens-per-s and --streams. Formulas "
        "and sources: docs/capacity.md.",
        highlight=False,
        markup=False,
    )
    return plans


def write_plot(file: Path, work: Workload, plans: Sequence[Plan]) -> None:
    """Write what a server does with more and more attempts at once, as SVG."""
    curves = []
    for made in plans:
        if not made.steady:
            continue
        last = max(8, round(2.5 * made.attempts))
        counts = sorted({max(1, round(last * n / POINTS)) for n in range(1, POINTS + 1)})
        states = [steady_state(fitted(work, made.serving), made.serving, n) for n in counts]
        curves.append(
            Curve(
                _name(made),
                tuple((s.attempts, s.attempts * 86_400 / s.attempt_s) for s in states),
                tuple((s.attempts, 100 * s.cached_share) for s in states),
                made.attempts,
            )
        )
    file.write_text(svg(curves), "utf-8")


def advice(made: Plan) -> str:
    """What to do with the plan."""
    one = made.serving
    if not made.servers:
        return (
            f"{_name(made)}: no attempt fits. Weights leave room for {made.pools.tokens:,.0f} "
            f"tokens of KV cache; an attempt needs up to {made.contexts.longest:,.0f}. Use more "
            "GPUs, --kv-dtype fp8, --attn-dp-size or a smaller --window."
        )
    runs = max(1, made.slots // made.attempts_per_run)
    return (
        f"{_name(made)}: PATCHWRIGHT_CONCURRENCY={runs} with {made.slots} concurrent sandboxes; "
        f"each server --max-running-requests {one.speed.streams}."
    )


def _name(made: Plan) -> str:
    with_hicache = ", HiCache" if made.serving.host_ratio else ""
    return f"{made.serving.name}{with_hicache}"


def _table(plans: Sequence[Plan]) -> Table:
    table = Table("", "servers", "GPUs", "GPU-hours a run", "cached", "from host", "at once")
    for heading in ("attempt", "a day", "busy", "mean wait", "95 %", "tokens/s", "KV tokens"):
        table.add_column(heading)
    for made in plans:
        one, state = made.serving, made.steady
        if state is None:
            table.add_row(_name(made), "does not fit", *["–"] * 10, _speed(one), _pool(made))
            continue
        table.add_row(
            _name(made),
            str(made.servers),
            str(made.gpus),
            f"{made.gpu_hours:.2f} to {made.paid_gpu_hours:.2f}",
            f"{state.cached_share:.1%}",
            f"{state.from_host_share:.0%}",
            str(made.attempts),
            _time(state.attempt_s),
            f"{math.floor(made.attempts_per_day):,}",
            f"{made.utilisation:.0%}",
            _time(made.mean_wait_s),
            _time(made.wait_95_s),
            _speed(one),
            _pool(made),
        )
    return table


def _pool(made: Plan) -> str:
    states = "" if math.isinf(made.pools.states) else f" + {made.pools.states:.0f} states"
    return f"{made.pools.tokens / 1e3:,.0f} K{states}"


def _speed(one: Serving) -> str:
    mark = "*" if one.speed.basis == "assumed" else ""
    return f"{one.tokens_per_s:.3g}{mark}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
