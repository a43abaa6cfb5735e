"""`patchwright capacity`: its command-line options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class KvDtype(StrEnum):
    """Number formats of the KV cache."""

    recipe = "recipe"
    bf16 = "bf16"
    fp8 = "fp8"


def run_capacity(
    runs_per_day: Annotated[float, typer.Option(min=1, help="Runs per day.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="k2-thinking (default), k2.5, k2.6, k2.7-code, k3; may be repeated."),
    ] = None,
    hardware: Annotated[
        list[str] | None,
        typer.Option(help="8xH200, 8xB300, …; may be repeated; by default all with a recipe."),
    ] = None,
    from_journals: Annotated[
        bool,
        typer.Option(
            "--from-journals",
            help="Take turns, tokens and the time between turns from this installation's journals.",
        ),
    ] = False,
    attempts: Annotated[int, typer.Option(min=1, max=16, help="Parallel attempts per run.")] = 1,
    calls: Annotated[float, typer.Option(min=1, max=5000, help="Turns per attempt.")] = 150,
    read_tokens: Annotated[float, typer.Option(min=0, help="New prompt tokens per turn.")] = 600,
    written_tokens: Annotated[float, typer.Option(min=1, help="Written tokens per turn.")] = 400,
    tool_s: Annotated[
        float, typer.Option(min=0.01, help="Mean seconds per tool call; a few take much longer.")
    ] = 4,
    peak: Annotated[float, typer.Option(min=1, help="Ratio of the busiest hour to the mean.")] = 3,
    window: Annotated[
        int, typer.Option(min=0, help="Context window, tokens; 0: the model's, 262,144 at most.")
    ] = 262_144,
    kv_dtype: Annotated[
        KvDtype, typer.Option(help="Number format of the KV cache; recipe: as the recipe has it.")
    ] = KvDtype.recipe,
    attn_dp_size: Annotated[int, typer.Option(min=1, help="Attention groups per server.")] = 1,
    hicache_ratio: Annotated[
        float,
        typer.Option(min=0, help="HiCache's host memory, as a multiple of the GPUs'; 0: none."),
    ] = 2,
    mooncake_gb: Annotated[
        float, typer.Option(min=0, help="Each server's part of a Mooncake store, GB.")
    ] = 0,
    split: Annotated[
        str, typer.Option(help="Prefill and decode servers of a group, e.g. 1:1; empty: no split.")
    ] = "",
    speculative: Annotated[
        float, typer.Option(min=1, max=8, help="How many times faster a draft makes a stream.")
    ] = 1,
    tokens_per_s: Annotated[float, typer.Option(min=0, help="Measured speed of one stream.")] = 0,
    prefill_tokens_per_s: Annotated[
        float, typer.Option(min=0, help="Measured prompt tokens read per second.")
    ] = 0,
    streams: Annotated[int, typer.Option(min=0, help="Measured parallel streams.")] = 0,
    utilisation: Annotated[
        float, typer.Option(min=0.1, max=0.95, help="Highest utilisation.")
    ] = 0.8,
    wait_minutes: Annotated[float, typer.Option(min=0.1, help="Longest mean wait.")] = 5,
    plot: Annotated[Path | None, typer.Option(help="Write a plot to this SVG file.")] = None,
) -> None:
    """Compute how many GPU servers the runs need; formulas and sources: docs/capacity.md."""
    from app.operations.capacity.journals import TooLittle
    from app.operations.capacity.serving import NoRecipe
    from app.operations.capacity.text_report import (
        Setup,
        measured_workload,
        print_plans,
        servings,
        write_plot,
    )
    from app.operations.capacity.workload import ASSUMED_TOOL_TIMES, Workload
    from app.sanitize.terminal import SafeConsole
    from app.settings.loading import load

    out = SafeConsole()
    work = Workload(
        runs_per_day=runs_per_day,
        peak=peak,
        attempts=attempts,
        calls=calls,
        read_tokens=read_tokens,
        written_tokens=written_tokens,
        tool_times=ASSUMED_TOOL_TIMES.scaled(tool_s),
        window=window,
    )
    setup = Setup(
        kv_bytes={KvDtype.recipe: 0, KvDtype.bf16: 2, KvDtype.fp8: 1}[kv_dtype],
        groups=attn_dp_size,
        hicache_ratio=hicache_ratio,
        store_gb=mooncake_gb,
        split=split,
        speculative=speculative,
        tokens_per_s=tokens_per_s,
        prefill_tokens_per_s=prefill_tokens_per_s,
        streams=streams,
    )
    try:
        rows = servings(model or ["k2-thinking"], hardware or [], setup)
        if from_journals:
            work, sentence = measured_workload(load(), work)
            out.print(sentence, highlight=False)
    except (NoRecipe, TooLittle) as problem:
        raise typer.BadParameter(str(problem)) from None
    plans = print_plans(
        out, work, rows, most_utilised=utilisation, longest_wait_s=wait_minutes * 60
    )
    if plot is not None:
        write_plot(plot, work, plans)
        out.print(f"The plot is in {plot}.", highlight=False)
