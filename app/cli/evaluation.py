"""`patchwright eval`: its command-line options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.models.replay_mode import ReplayMode


def run_eval(
    instances: Annotated[
        Path | None, typer.Argument(help="Instances in SWE-bench's format, one per line.")
    ] = None,
    model: Annotated[str, typer.Option(help="`offline` or a model profile.")] = "",
    attempts: Annotated[int, typer.Option(min=1, max=16, help="Attempts per instance.")] = 1,
    parallel: Annotated[int, typer.Option(min=1, max=256, help="Instances in parallel.")] = 1,
    folder: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path(
        "patchwright-eval"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Continue what --out holds.")] = False,
    mirrors: Annotated[
        str, typer.Option(help="Folder or URL with the repositories, as owner/name.git.")
    ] = "",
    from_history: Annotated[
        list[str] | None,
        typer.Option(
            help="Make instances from the merged fixes of this repository, a folder or a URL; "
            "may be repeated."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="Maximum instances per history, newest first; 0: all.")
    ] = 0,
    branch: Annotated[str, typer.Option(help="Branch of the history.")] = "HEAD",
    test_command: Annotated[
        str, typer.Option(help="Test command of the history; detected by default.")
    ] = "",
    only_instances: Annotated[
        bool, typer.Option("--only-instances", help="Create the instances and stop.")
    ] = False,
    replay: Annotated[
        ReplayMode | None,
        typer.Option(
            help="Measure the gate alone: replay each merged fix unchanged (whole), with only one "
            "of its failing tests (narrow), or without its last source hunk (partial)."
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Folders of two finished evaluations.")
    ] = None,
) -> None:
    """Measure on instances with hidden tests how much is fixed and how far to trust proofs."""
    from app.evaluation.command import EvalOptions, run_command

    run_command(
        EvalOptions(
            instances=instances,
            model=model,
            attempts=attempts,
            parallel=parallel,
            folder=folder,
            resume=resume,
            mirrors=mirrors,
            histories=tuple(from_history or ()),
            limit=limit,
            branch=branch,
            test_command=test_command,
            only_instances=only_instances,
            replay=replay,
            compare=compare,
        )
    )
