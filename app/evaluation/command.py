"""What `patchwright eval` does with its words: compare, or make instances and measure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from agent.evaluation.instances import BadInstances, Instance, write_instances
from agent.models.replay import ReplayMode
from app.evaluation.evaluate import EvalRequest, compare_folders, evaluate, load_instances
from app.evaluation.folder import EvalFolder, write_whole
from app.evaluation.history import mine
from app.evaluation.replayed import replayable
from app.evaluation.sandboxes import Trees, docker_trees
from app.evaluation.text_report import comparison_text, report_text
from app.settings.loading import load
from app.settings.schema import Settings

out = Console()
err = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class EvalWords:
    """What was typed; see the options in `app.cli.evaluation`."""

    instances: Path | None
    model: str
    attempts: int
    parallel: int
    folder: Path
    resume: bool
    mirrors: str
    histories: tuple[str, ...]
    limit: int
    branch: str
    test_command: str
    only_instances: bool
    replay: ReplayMode | None
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
    async with docker_trees(settings, _say) as trees:
        if words.instances is not None:
            found = load_instances(words.instances)
        else:
            found = await _of_histories(words, place, trees, settings)
        if words.only_instances:
            out.print(f"{len(found)} instances: {place.instances_file}", highlight=False)
            return
        if words.replay is not None:
            found, left_out = replayable(found, words.replay)
            for name, why in left_out.items():
                _say(f"{name}: left out: {why}")
            if not found:
                raise BadInstances(f"no instance can be replayed as {words.replay}; see above why")
        request = EvalRequest(
            replay=words.replay,
            instances=found,
            out=words.folder,
            attempts=words.attempts,
            parallel=words.parallel,
            resume=words.resume,
            mirrors=words.mirrors,
        )
        report = await evaluate(request, settings, trees, err)
    out.print(report_text(report))
    out.print(f"Report: {words.folder / 'report.html'}", markup=False, highlight=False)


def _say(line: str) -> None:
    err.print(line, markup=False, highlight=False, soft_wrap=True)


async def _of_histories(
    words: EvalWords, place: EvalFolder, trees: Trees, settings: Settings
) -> tuple[Instance, ...]:
    """The instances that the folder has already, else new ones."""
    if place.instances_file.exists():
        kept = place.kept_instances()
        err.print(f"{len(kept)} instances are in {place.instances_file} already.")
        return kept
    found: tuple[Instance, ...] = ()
    for repo in words.histories:
        place_of_repo = repo if "://" in repo else str(Path(repo).resolve())
        known = place.mined(place_of_repo)
        if known:
            _say(f"{repo}: {len(known)} commits were tried already.")
        mined = await mine(
            place_of_repo,
            trees,
            settings.state_dir / "eval-mirrors",
            branch=words.branch,
            limit=words.limit,
            parallel=words.parallel,
            test_command=words.test_command,
            timeout_s=settings.test_timeout_s,
            progress=_say,
            known=known,
            keep=place.append_mined,
        )
        reasons = ", ".join(f"{n}: {why}" for why, n in sorted(mined.rejected.items()))
        told = f"{repo}: {len(mined.instances)} instances of {mined.looked_at} commits"
        _say(f"{told} ({reasons or 'none left out'}).")
        found += mined.instances
    if not found:
        raise BadInstances("these histories gave no instances; see above why")
    write_whole(place.instances_file, write_instances(found))
    return found
