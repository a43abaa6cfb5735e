"""`patchwright fix`: a local repository and an issue text, without GitHub."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from agent.best_of import choose, final_patch, run_attempts
from agent.decisions.ledger import render
from agent.journal.events import Recorded
from agent.journal.state import AttemptState
from agent.journal.store import MemoryStore
from agent.session import debug
from agent.task import ATTACHED, Attachment, Issue, Task
from app.git.local import mirror_local
from app.journal_view.terminal import progress_line
from app.llm.factory import make_model
from app.sandboxes.base import spec_of
from app.sandboxes.kept_base import FOLDER, kept_base
from app.sandboxes.local_environment import with_environment
from app.sandboxes.orphans import own_sandboxes
from app.settings.schema import Settings
from sandbox.byte_text import to_bytes
from sandbox.docker.engine import DockerEngine
from sandbox.errors import ImageMissing
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Sandbox


class BadRequest(Exception):
    """An argument of `fix` cannot be used; one sentence says why."""


@dataclass(frozen=True, slots=True)
class FixRequest:
    """What was asked on the command line."""

    path: Path
    issue: Path
    out: Path | None = None
    report: Path | None = None
    test_command: str = ""
    attempts: int = 1
    logs: tuple[Path, ...] = ()
    """Logs that belong to the issue."""


def read_issue(path: Path) -> Issue:
    """The issue in a Markdown file: its first line is the title. Raises `BadRequest`."""
    try:
        text = path.read_text("utf-8").strip()
    except OSError as problem:
        raise BadRequest(f"the issue file {path} cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise BadRequest(f"the issue file {path} is not UTF-8 text") from problem
    title, _, body = text.lstrip("# \t\n").partition("\n")
    if not title.strip():
        raise BadRequest(f"the issue file {path} is empty; write a title and what goes wrong")
    return Issue(title=title.strip(), body=body.strip())


def keep_logs(store: MemoryStore, run_id: str, logs: tuple[Path, ...]) -> tuple[Attachment, ...]:
    """Keep log files for the run's `log` tool. Raises `BadRequest`."""
    attached = []
    for number, path in enumerate(logs, 1):
        try:
            data = path.read_bytes()
        except OSError as problem:
            raise BadRequest(f"the log {path} cannot be read: {problem.strerror}") from problem
        store.put_log(run_id, f"{ATTACHED}{number}", data)
        attached.append(Attachment(id=f"{ATTACHED}{number}", name=path.name, size=len(data)))
    return tuple(attached)


def check_target(path: Path) -> None:
    """Whether a result can be written there, before all the work. Raises `BadRequest`."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise BadRequest(f"the folder of {path} does not exist")
    if path.is_dir():
        raise BadRequest(f"{path} is a folder; give the name of a file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise BadRequest(f"{path} cannot be written")


async def run_fix(request: FixRequest, settings: Settings, console: Console) -> bool:
    """Debug the repository and write the requested files; True if the fix is proven.

    Raises `BadRequest`, `GitError`, `SandboxError`, `ModelError`.
    """
    issue = read_issue(request.issue)
    for target in (request.out, request.report):
        if target is not None:
            check_target(target)
    engine = DockerEngine(settings.docker_url)
    run_id = f"fix-{uuid.uuid4().hex[:12]}"
    store = MemoryStore()
    attached = keep_logs(store, run_id, request.logs)
    try:
        with tempfile.TemporaryDirectory(prefix="patchwright-") as scratch:
            local = mirror_local(request.path, Path(scratch), settings.git_limits)
            await engine.check()
            image = settings.sandbox_image or BASE_IMAGE
            if not await engine.has_image(image):
                raise ImageMissing(
                    f"the sandbox image {image} is missing; run `patchwright images build`"
                )
            tree = Path(scratch) / "tree.tar"
            local.mirror.tree_tar(local.commit, tree)
            settings, found = await with_environment(
                engine,
                settings,
                tree,
                run_id=run_id,
                repository=str(request.path.resolve()),
                about=issue.body,
                console=console,
            )
            task = Task(
                run_id=run_id,
                repository=request.path.resolve().name,
                base_commit=local.commit,
                issue=issue,
                test_command=request.test_command or found.test_command,
                budget=settings.budget,
                policy=found.policy,
                degraded=found.degraded,
                attachments=attached,
                kept_base=await kept_base(
                    Path(scratch) / FOLDER,
                    str(request.path.resolve()),
                    tree,
                    ""
                    if found.made_by_model
                    else await engine.image_id(settings.sandbox_image or BASE_IMAGE),
                ),
                gate_at_once=settings.gate_at_once(request.attempts),
            )

            async with own_sandboxes(engine) as own:

                async def one(number: int) -> AttemptState:
                    return await _attempt(
                        task,
                        number,
                        store=store,
                        engine=engine,
                        settings=settings,
                        tree=tree,
                        installation=own,
                        console=console,
                    )

                states = await run_attempts(request.attempts, one)
    finally:
        await engine.close()
    chosen = choose(states)
    _print_result(chosen.state, console)
    patch = final_patch(chosen.state)
    proven = chosen.state.outcome == "proven"
    if request.out is not None and proven:
        request.out.write_bytes(to_bytes(patch))
        console.print(f"Patch:  {request.out}, for `git apply`", markup=False, soft_wrap=True)
    if request.report is not None:
        report = report_of(issue, states, chosen.number)
        request.report.write_text(json.dumps(report, indent=2, ensure_ascii=False), "utf-8")
        console.print(f"Report: {request.report}", markup=False, soft_wrap=True)
    return proven


async def _attempt(
    task: Task,
    number: int,
    *,
    store: MemoryStore,
    engine: DockerEngine,
    settings: Settings,
    tree: Path,
    installation: str,
    console: Console,
) -> AttemptState:
    model = make_model(settings, run_id=task.run_id, seed=number - 1)

    async def opened(purpose: str) -> Sandbox:
        image = settings.sandbox_image or BASE_IMAGE
        return await engine.open(spec_of(settings, image, task.run_id, purpose, installation), tree)

    def show(entry: Recorded) -> None:
        line = progress_line(entry)
        if line:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    try:
        return await debug(
            task,
            model=model,
            store=store,
            open_sandbox=partial(opened, f"attempt-{number}"),
            attach=engine.attach,
            open_fresh=partial(opened, f"gate-{number}"),
            attempt=number,
            seed=number - 1,
            on_event=show,
        )
    finally:
        await model.close()


def _print_result(state: AttemptState, console: Console) -> None:
    console.rule()
    if state.outcome == "proven" and state.submitted is not None:
        console.print("Proven fix.", style="bold green")
        console.print(f"Root cause: {state.submitted.root_cause}", markup=False)
        console.print(final_patch(state), markup=False, highlight=False, soft_wrap=True)
        return
    console.print("No proven fix.", style="bold yellow")
    console.print(state.diagnosis or "There is no diagnosis.", markup=False)
    console.print(render(state), markup=False)


def report_of(issue: Issue, states: tuple[AttemptState, ...], chosen: int) -> dict[str, object]:
    """The JSON report: the chosen attempt in full, the others in brief."""
    state = states[chosen - 1]
    verdict = state.verdict
    return {
        "title": issue.title,
        "outcome": state.outcome,
        "diagnosis": state.diagnosis,
        "root_cause": state.submitted.root_cause if state.submitted else "",
        "summary": state.submitted.summary if state.submitted else "",
        "patch": final_patch(state),
        "reproduction": state.reproduction.model_dump() if state.reproduction else None,
        "gate": verdict.model_dump() if verdict else None,
        "hypotheses": [
            {"id": h.id, "claim": h.claim, "verdict": h.verdict, "evidence": h.evidence}
            for h in state.hypotheses
        ],
        "calls": state.calls_used,
        "turns": state.turns,
        "tokens": state.usage.model_dump(),
        "chosen_attempt": chosen,
        "attempts": [
            {"number": n + 1, "outcome": s.outcome, "calls": s.calls_used}
            for n, s in enumerate(states)
        ],
    }
