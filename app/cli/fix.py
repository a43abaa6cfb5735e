"""`patchwright fix`: a local repository and an issue text, without GitHub."""

from __future__ import annotations

import tempfile
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from agent.best_of import choose, final_patch, run_attempts
from agent.bisection.bisect import Past
from agent.decisions.ledger import render
from agent.journal.events import Recorded
from agent.journal.state import AttemptState
from agent.session import debug
from agent.task import ProjectRules, Task
from agent.testing.report import SuiteRun
from app.bisection.past import MirrorPast
from app.cli.fix_journal import FileStore, KeptRequest, begin, find, forget, held, keep
from app.cli.fix_progress import TurnWatch
from app.cli.fix_question import ask_person, asking
from app.cli.fix_report import report_of, write_report
from app.cli.fix_request import BadRequest, FixRequest, check_target, keep_logs, read_issue
from app.conventions.conventions import read_conventions
from app.evaluation.sandboxes import DockerTrees
from app.git import ancestry
from app.git.commit_history import CommitHistories
from app.git.local import default_branch_commit, mirror_history, mirror_local
from app.git.mirror import Mirror
from app.git.process import GitError
from app.journal_view.terminal import progress_line
from app.llm.factory import make_model
from app.sandboxes.base import present_image, spec_of
from app.sandboxes.kept_base import FOLDER, kept_base
from app.sandboxes.local_environment import with_environment
from app.sandboxes.orphans import own_sandboxes
from app.settings.schema import Settings
from sandbox.byte_text import to_bytes
from sandbox.docker.engine import DockerEngine
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Sandbox

_REPORTED = frozenset({"attempt_started", "model_turned", "tool_finished", "gate_judged"})
"""Events after which the report on disk is brought up to date."""


@dataclass(slots=True)
class _Run:
    """One run of the command, new or resumed."""

    kept: KeptRequest
    folder: Path
    store: FileStore
    console: Console
    out: Path | None
    report: Path | None
    announced: bool = False

    def states(self) -> tuple[AttemptState, ...]:
        """Where the attempts stand, by the journal."""
        return self.store.states(self.kept.run_id, self.kept.attempts)

    def write_report(
        self, states: tuple[AttemptState, ...], chosen: int = 0, problem: str = ""
    ) -> None:
        """Write the report, if one was asked for."""
        if self.report is not None:
            number = chosen or choose(states).number
            report = report_of(self.kept.run_id, self.kept.issue, states, number, problem)
            write_report(self.report, report)

    def observe(self, entry: Recorded) -> None:
        """Show an event of the journal, and say how to go on once there is something to lose."""
        if entry.event.type == "attempt_started" and not self.announced:
            self.announced = True
            self.say(f"Run {self.kept.run_id}, kept in {self.folder}")
        line = progress_line(entry)
        if line:
            self.say(line)
        if entry.event.type in _REPORTED:
            self.write_report(self.states())

    def say(self, line: str) -> None:
        """Print one line."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def broken_off(self, problem: BaseException) -> None:
        """Report what there is, and how to go on; a run with nothing in it is not kept."""
        why = str(problem) or "The command was interrupted."
        states = self.states()
        if not any(state.started for state in states):
            forget(self.folder)
            self.write_report(states, problem=why)
            return
        self.write_report(states, problem=why)
        if self.report is not None:
            self.say(f"Report: {self.report}")
        self.say(f"To go on: patchwright fix --resume {self.kept.run_id}")


async def run_fix(request: FixRequest, settings: Settings, console: Console) -> bool:
    """Debug the repository and write the requested files; True if the fix is proven.

    Raises `BadRequest`, `GitError`, `SandboxError`, `ModelError`.
    """
    for target in (request.out, request.report):
        if target is not None:
            check_target(target)
    with tempfile.TemporaryDirectory(prefix="patchwright-") as folder:
        scratch = Path(folder)
        if request.resume:
            kept_in, kept = find(settings.state_dir, request.resume)
            with held(kept_in):
                run = _run(request, kept, kept_in, console)
                run.say(f"Going on with {kept.run_id}: {kept.issue.title}")
                mirror = mirror_history(Path(kept.repository), scratch)
                return await _to_the_end(run, mirror, scratch, settings)
        if request.path is None or request.issue is None:
            raise BadRequest("give a repository and --issue, or --resume with a run's id")
        issue = read_issue(request.issue)
        local = mirror_local(request.path, scratch)
        run_id = f"fix-{uuid.uuid4().hex[:12]}"
        kept_in = begin(settings.state_dir, run_id)
        with held(kept_in):
            kept = KeptRequest(
                run_id=run_id,
                repository=str(request.path.resolve()),
                commit=local.commit,
                issue=issue,
                test_command=request.test_command,
                attempts=request.attempts,
                out=str(request.out.absolute()) if request.out else "",
                report=str(request.report.absolute()) if request.report else "",
            )
            try:
                run = _run(request, kept, kept_in, console)
                run.kept = kept.model_copy(
                    update={"attachments": keep_logs(run.store, run_id, request.logs)}
                )
                keep(kept_in, run.kept)
            except BaseException:
                forget(kept_in)
                raise
            return await _to_the_end(run, local.mirror, scratch, settings)


def _run(request: FixRequest, kept: KeptRequest, folder: Path, console: Console) -> _Run:
    """The run with its files: those of this command line, else those of the one before."""
    return _Run(
        kept=kept,
        folder=folder,
        store=FileStore(folder, kept.run_id),
        console=console,
        out=request.out or (Path(kept.out) if kept.out else None),
        report=request.report or (Path(kept.report) if kept.report else None),
    )


async def _to_the_end(run: _Run, mirror: Mirror, scratch: Path, settings: Settings) -> bool:
    """Run the attempts to their end and print the result; True if the fix is proven."""
    engine = DockerEngine(settings.docker_url)
    try:
        states = await _attempts(run, mirror, scratch, engine, settings)
    except BaseException as problem:
        run.broken_off(problem)
        raise
    finally:
        await engine.close()
    chosen = choose(states)
    _print_result(chosen.state, run.console)
    proven = chosen.state.outcome == "proven"
    if run.out is not None and proven:
        run.out.write_bytes(to_bytes(final_patch(chosen.state)))
        run.say(f"Patch:  {run.out}, for `git apply`")
    if run.report is not None:
        run.write_report(states, chosen.number)
        run.say(f"Report: {run.report}")
    return proven


async def _attempts(
    run: _Run, mirror: Mirror, scratch: Path, engine: DockerEngine, settings: Settings
) -> tuple[AttemptState, ...]:
    kept, repository = run.kept, Path(run.kept.repository)
    await present_image(engine, settings)
    tree = scratch / "tree.tar"
    mirror.tree_tar(kept.commit, tree)
    history = None
    if settings.history:
        histories = CommitHistories(mirror, scratch / "histories", settings.history_limits)
        made = histories.of(kept.commit)
        history = made.write_tar(scratch / "history.tar") if made is not None else None
    settings, found = await with_environment(
        engine,
        settings,
        tree,
        run_id=kept.run_id,
        repository=kept.repository,
        about=kept.issue.body,
        console=run.console,
        test_command=kept.test_command,
    )
    image = settings.sandbox_image or BASE_IMAGE
    environment = "" if found.made_by_model else await engine.image_id(image)
    task = Task(
        run_id=kept.run_id,
        repository=repository.name,
        base_commit=kept.commit,
        issue=kept.issue,
        test_command=kept.test_command or found.test_command,
        budget=settings.budget,
        policy=found.policy,
        degraded="" if found.speaks_in_part else found.degraded,
        attachments=kept.attachments,
        history_commits=history.commits if history else 0,
        history_is_cut=history.is_cut if history else False,
        rules=_rules(kept, mirror),
        kept_base=await kept_base(scratch / FOLDER, kept.repository, tree, environment),
        gate_at_once=settings.gate_at_once(kept.attempts),
        asking=asking(run.console, kept.attempts),
    )
    watch = TurnWatch(run.console)
    async with own_sandboxes(engine) as own, watch.shown():
        past = None
        if settings.history:
            commits = ancestry.log(mirror, kept.commit, settings.history_commits)
            places = DockerTrees(settings, engine, own, run.say)
            past = MirrorPast(mirror, commits, places, scratch, kept.repository)
        one = partial(
            _attempt,
            task,
            run=run,
            watch=watch,
            engine=engine,
            settings=settings,
            tree=tree,
            history=history.file if history else None,
            past=past,
            installation=own,
            base_run=found.trial.run if found.trial else None,
        )
        return await run_attempts(kept.attempts, one)


def _rules(kept: KeptRequest, mirror: Mirror) -> ProjectRules | None:
    """How the project wants changes made; it is good to have, so no fault of it ends the run."""
    try:
        return read_conventions(
            mirror, default_branch_commit(Path(kept.repository), kept.commit)
        ).rules
    except GitError:
        return None


async def _attempt(
    task: Task,
    number: int,
    *,
    run: _Run,
    watch: TurnWatch,
    engine: DockerEngine,
    settings: Settings,
    tree: Path,
    history: Path | None,
    past: Past | None,
    installation: str,
    base_run: SuiteRun | None,
) -> AttemptState:
    model = make_model(
        settings,
        run_id=task.run_id,
        seed=number - 1,
        on_waiting=watch.waiting(number),
        on_progress=watch.progress(number),
    )

    async def opened(purpose: str, history: Path | None = None) -> Sandbox:
        image = settings.sandbox_image or BASE_IMAGE
        spec = spec_of(settings, image, task.run_id, purpose, installation)
        return await engine.open(spec, tree, history)

    def observe(entry: Recorded) -> None:
        watch.observe(entry)
        run.observe(entry)

    try:
        while True:
            state = await debug(
                task,
                model=model,
                store=run.store,
                open_sandbox=partial(opened, f"attempt-{number}", history),
                attach=engine.attach,
                open_fresh=partial(opened, f"gate-{number}"),
                attempt=number,
                seed=number - 1,
                base_run=base_run,
                past=past,
                on_event=observe,
            )
            if (asked := state.open_question) is None:
                return state
            with watch.paused():
                answer = await ask_person(run.console, asked)
            run.store.answers[task.run_id, asked.number] = answer
    finally:
        watch.ended(number)
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
