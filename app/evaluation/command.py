"""What `patchwright eval` does with its options: compare, or make instances and measure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from agent.evaluation.instances import BadInstances, Instance, write_instances
from agent.models.replay_mode import ReplayMode
from app.evaluation.evaluate import EvalRequest, compare_folders, evaluate, load_instances
from app.evaluation.folder import EvalFolder
from app.evaluation.history import mine
from app.evaluation.replayed import replayable
from app.evaluation.sandboxes import Trees, docker_trees
from app.evaluation.text_report import comparison_text, report_text
from app.sanitize.terminal import SafeConsole
from app.settings.loading import load
from app.settings.schema import Settings
from app.storage.atomic_file import write_atomically

out = SafeConsole()
err = SafeConsole(stderr=True)


@dataclass(frozen=True, slots=True)
class EvalOptions:
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


def run_command(options: EvalOptions) -> None:
    """Do it and print the report.

    Raises `BadInstances`, `FolderRefused`, `NoHistory`, `GitError`, `SandboxError`,
    `SettingsError`.
    """
    settings = load(**({"model": options.model} if options.model else {}))
    if options.compare is not None:
        out.print(comparison_text(compare_folders(*options.compare, settings.prices_in_effect)))
        return
    if (options.instances is None) == (not options.histories):
        raise BadInstances("give a file of instances, or repositories with --from-history")
    with EvalFolder(options.folder).in_use():
        asyncio.run(_measure(options, settings))


async def _measure(options: EvalOptions, settings: Settings) -> None:
    place = EvalFolder(options.folder)
    async with docker_trees(settings, _print_line) as trees:
        if options.instances is not None:
            found = load_instances(options.instances)
        else:
            found = await _mine_histories(options, place, trees, settings)
        if options.only_instances:
            out.print(f"{len(found)} instances: {place.instances_file}", highlight=False)
            return
        if options.replay is not None:
            found, left_out = replayable(found, options.replay)
            for name, why in left_out.items():
                _print_line(f"{name}: left out: {why}")
            if not found:
                raise BadInstances(
                    f"no instance can be replayed as {options.replay}; the reasons are above"
                )
        request = EvalRequest(
            replay=options.replay,
            instances=found,
            out=options.folder,
            attempts=options.attempts,
            parallel=options.parallel,
            resume=options.resume,
            mirrors=options.mirrors,
        )
        report = await evaluate(request, settings, trees, err)
    out.print(report_text(report))
    out.print(f"Report: {options.folder / 'report.html'}", markup=False, highlight=False)


def _print_line(line: str) -> None:
    err.print(line, markup=False, highlight=False, soft_wrap=True)


async def _mine_histories(
    options: EvalOptions, place: EvalFolder, trees: Trees, settings: Settings
) -> tuple[Instance, ...]:
    """The instances that the folder has already, else new ones."""
    if place.instances_file.exists():
        kept = place.kept_instances()
        err.print(f"{len(kept)} instances are in {place.instances_file} already.")
        return kept
    found: tuple[Instance, ...] = ()
    for repo in options.histories:
        place_of_repo = repo if "://" in repo else str(Path(repo).resolve())
        known = place.mined_commits(place_of_repo)
        if known:
            _print_line(f"{repo}: {len(known)} commits were tried already.")
        mined = await mine(
            place_of_repo,
            trees,
            settings.state_dir / "eval-mirrors",
            branch=options.branch,
            limit=options.limit,
            parallel=options.parallel,
            test_command=options.test_command,
            timeout_s=settings.test_timeout_s,
            progress=_print_line,
            known=known,
            keep=place.append_mined,
        )
        reasons = ", ".join(f"{n}: {why}" for why, n in sorted(mined.rejected.items()))
        counts = f"{repo}: {len(mined.instances)} instances of {mined.looked_at} commits"
        _print_line(f"{counts} ({reasons or 'none left out'}).")
        found += mined.instances
    if not found:
        raise BadInstances("these histories yielded no instances; the reasons are above")
    write_atomically(place.instances_file, write_instances(found))
    return found
