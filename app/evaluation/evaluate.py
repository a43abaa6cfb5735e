"""`patchwright eval`: instances through the ordinary runs, hidden tests, predictions, a report."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from agent.evaluation.compare import Comparison, compare
from agent.evaluation.cost import Prices
from agent.evaluation.instances import BadInstances, Instance, read_instances
from agent.evaluation.replay import replay_of, replay_report
from agent.evaluation.report import Report, effort, verdicts
from agent.evaluation.results import InstanceResult
from agent.evaluation.selection import prediction
from agent.journal.events import Recorded
from agent.model import Model
from agent.models.replay import ReplayModel
from agent.models.replay_mode import ReplayMode
from agent.prompting import prompt_version
from app.evaluation.folder import (
    EvalFolder,
    EvaluationParameters,
    FolderRefused,
    digest,
)
from app.evaluation.html_report import report_page
from app.evaluation.instance_run import InstanceContext, run_instance
from app.evaluation.replayed import hidden_test_texts
from app.evaluation.repositories import Sources
from app.evaluation.sandboxes import Trees
from app.journal_view.html import trace_page
from app.llm.factory import make_model
from app.sandboxes.kept_base import FOLDER
from app.settings.schema import Settings
from app.storage.atomic_file import write_atomically


@dataclass(frozen=True, slots=True)
class EvalRequest:
    """What was asked on the command line."""

    instances: tuple[Instance, ...]
    out: Path
    attempts: int = 1
    parallel: int = 1
    resume: bool = False
    mirrors: str = ""
    replay: ReplayMode | None = None
    """Replay the merged fixes in this mode, with no model."""


def load_instances(path: Path) -> tuple[Instance, ...]:
    """The instances of a file. Raises `BadInstances`."""
    try:
        return read_instances(path.read_text("utf-8"))
    except OSError as problem:
        raise BadInstances(f"{path} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise BadInstances(f"{path} is not UTF-8 text") from None
    except BadInstances as problem:
        raise BadInstances(f"{path}: {problem}") from None


async def evaluate(
    request: EvalRequest, settings: Settings, trees: Trees, console: Console
) -> Report:
    """Run what has no result yet, then write predictions and report; returns the report.

    The folder is held by the caller. Raises `FolderRefused` and `SettingsError`.
    """
    folder = EvalFolder(request.out)
    model_name = await _model_name(request, settings)
    parameters = EvaluationParameters(
        model=model_name,
        prompt_version=prompt_version(),
        attempts=request.attempts,
        instances=digest(request.instances),
        replay=request.replay,
    )
    folder.begin(parameters, request.instances, resume=request.resume)
    done = {k: r for k, r in folder.results().items() if r.status == "done"}
    missing = [i for i in request.instances if i.instance_id not in done]
    if done:
        console.print(f"{len(done)} of {len(request.instances)} are done already.")
    with tempfile.TemporaryDirectory(prefix="patchwright-eval-") as scratch:
        context = InstanceContext(
            history=settings.history_limits if settings.history else None,
            sources=Sources(Path(scratch), settings.state_dir / "eval-mirrors", request.mirrors),
            trees=trees,
            new_model=partial(_model_of, request.replay, settings),
            attempts=request.attempts,
            budget=settings.budget,
            trace=lambda instance, journal: _keep_trace(folder, instance, journal),
            base_results=settings.state_dir / FOLDER,
            gate_at_once=settings.gate_at_once(request.parallel),
        )
        await _run_all(missing, context, folder, request.parallel, console)
    return write_reports(folder, request.instances, settings.prices_in_effect)


async def _model_name(request: EvalRequest, settings: Settings) -> str:
    if request.replay is not None:
        return f"replay ({request.replay})"
    model = make_model(settings, run_id="eval")
    await model.close()
    return model.name


def _model_of(
    mode: ReplayMode | None,
    settings: Settings,
    instance: Instance,
    tree: Path,
    run_id: str,
    seed: int,
) -> Model:
    if mode is None:
        return make_model(settings, run_id=run_id, seed=seed)
    return ReplayModel(replay_of(instance, hidden_test_texts(instance, tree), mode))


async def _run_all(
    instances: Sequence[Instance],
    context: InstanceContext,
    folder: EvalFolder,
    parallel: int,
    console: Console,
) -> None:
    places = asyncio.Semaphore(parallel)

    async def one(instance: Instance) -> None:
        async with places:
            result = await run_instance(instance, context)
        folder.append(result)
        console.print(_line(result), markup=False, highlight=False, soft_wrap=True)

    async with asyncio.TaskGroup() as group:
        for instance in instances:
            group.create_task(one(instance))


def _line(result: InstanceResult) -> str:
    if result.status == "error":
        return f"{result.instance_id}: error: {result.error.splitlines()[0]}"
    report_verdicts = ", ".join(
        f"{a.outcome}{' (right)' if a.hidden.resolved else ' (wrong)' if a.patch else ''}"
        for a in result.attempts
    )
    return f"{result.instance_id}: {report_verdicts}"


def _keep_trace(folder: EvalFolder, instance: Instance, journal: Sequence[Recorded]) -> None:
    lines = "".join(r.model_dump_json() + "\n" for r in journal)
    write_atomically(folder.traces / f"{instance.instance_id}.jsonl", lines)
    title = f"{instance.instance_id}: {instance.problem_statement.splitlines()[0]}"
    write_atomically(folder.traces / f"{instance.instance_id}.html", trace_page(title, journal))


def write_reports(folder: EvalFolder, instances: Sequence[Instance], prices: Prices) -> Report:
    """Write `predictions.jsonl`, `report.json` and `report.html` from what is in the folder.

    Raises `FolderRefused`.
    """
    report = report_on(folder, instances, prices)
    results = folder.results()
    predictions = [
        prediction(results[i.instance_id], report.model)
        for i in instances
        if i.instance_id in results
    ]
    text = "".join(p.model_dump_json() + "\n" for p in predictions)
    write_atomically(folder.root / "predictions.jsonl", text)
    write_atomically(folder.root / "report.json", report.model_dump_json(indent=2) + "\n")
    write_atomically(folder.root / "report.html", report_page(report))
    return report


def report_on(folder: EvalFolder, instances: Sequence[Instance], prices: Prices) -> Report:
    """What the results in the folder say. Raises `FolderRefused`."""
    parameters = folder.parameters()
    if parameters is None:
        raise FolderRefused(f"there is no evaluation in {folder.root}")
    results = folder.results()
    ids = [i.instance_id for i in instances]
    merged = {i.instance_id: i.patch for i in instances}
    report_verdicts = verdicts(ids, results, parameters.attempts, merged)
    return Report(
        name=folder.name,
        model=parameters.model,
        prompt_version=parameters.prompt_version,
        attempts=parameters.attempts,
        verdicts=report_verdicts,
        effort=effort(
            [results[i] for i in ids if i in results], report_verdicts.resolved.count, prices
        ),
        replay=replay_report(parameters.replay, instances, results) if parameters.replay else None,
    )


def compare_folders(a: Path, b: Path, prices: Prices) -> Comparison:
    """Two evaluations, from what their folders hold. Raises `FolderRefused`, `NothingShared`."""
    return compare(_report_of(a, prices), _report_of(b, prices))


def _report_of(path: Path, prices: Prices) -> Report:
    folder = EvalFolder(path)
    if folder.parameters() is None:
        raise FolderRefused(f"there is no evaluation in {path}")
    try:
        return report_on(folder, folder.kept_instances(), prices)
    except OSError as problem:
        raise FolderRefused(f"{folder.instances_file}: {problem.strerror}") from None
