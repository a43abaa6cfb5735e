"""What `patchwright eval` does with its words: compare, or make instances and measure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from agent.evaluation.instances import BadInstances, Instance, write_instances
from app.eval_folder import EvalFolder, write_whole
from app.eval_history import mine
from app.eval_run import OpenTree
from app.eval_text import comparison_text, report_text
from app.evaluate import EvalRequest, compare_folders, docker_trees, evaluate, load_instances
from app.settings import Settings
from app.settings_sources import load

out = Console()
err = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class EvalWords:
    """What was typed; see the options in `app.eval_cli`."""

    instances: Path | None
    model: str
    attempts: int
    parallel: int
    folder: Path
    resume: bool
    mirrors: str
    histories: tuple[Path, ...]
    limit: int
    branch: str
    test_command: str
    only_instances: bool
    compare: tuple[Path, Path] | None


def carry_out(words: EvalWords) -> None:
    """Do it and print the report.

    Raises `BadInstances`, `FolderRefused`, `NoHistory`, `GitError`, `SandboxError`,
    `SettingsError`.
    """
    settings = load(**({"model": words.model} if words.model else {}))
    if words.compare is not None:
        out.print(comparison_text(compare_folders(*words.compare, settings.prices)))
        return
    if (words.instances is None) == (not words.histories):
        raise BadInstances("name a file of instances, or repositories by --from-history")
    with EvalFolder(words.folder).used():
        asyncio.run(_measure(words, settings))


async def _measure(words: EvalWords, settings: Settings) -> None:
    place = EvalFolder(words.folder)
    async with docker_trees(settings, str(words.folder.resolve())) as open_tree:
        if words.instances is not None:
            found = load_instances(words.instances)
        else:
            found = await _of_histories(words, place, open_tree, settings)
        if words.only_instances:
            out.print(f"{len(found)} instances: {place.instances_file}", highlight=False)
            return
        request = EvalRequest(
            instances=found,
            out=words.folder,
            attempts=words.attempts,
            parallel=words.parallel,
            resume=words.resume,
            mirrors=words.mirrors,
        )
        report = await evaluate(request, settings, open_tree, err)
    out.print(report_text(report))
    out.print(f"Report: {words.folder / 'report.html'}", markup=False, highlight=False)


async def _of_histories(
    words: EvalWords, place: EvalFolder, open_tree: OpenTree, settings: Settings
) -> tuple[Instance, ...]:
    """The instances that the folder has already, else new ones."""
    if place.instances_file.exists():
        kept = place.kept_instances()
        err.print(f"{len(kept)} instances are in {place.instances_file} already.")
        return kept
    found: tuple[Instance, ...] = ()
    for path in words.histories:
        mined = await mine(
            path,
            open_tree,
            branch=words.branch,
            limit=words.limit,
            parallel=words.parallel,
            test_command=words.test_command,
            timeout_s=settings.test_timeout_s,
            progress=lambda line: err.print(line, markup=False, highlight=False),
        )
        reasons = ", ".join(f"{n}: {why}" for why, n in sorted(mined.rejected.items()))
        told = f"{path}: {len(mined.instances)} instances of {mined.looked_at} commits"
        err.print(f"{told} ({reasons or 'none left out'}).", markup=False, highlight=False)
        found += mined.instances
    if not found:
        raise BadInstances("these histories gave no instances; see above why")
    write_whole(place.instances_file, write_instances(found))
    return found
