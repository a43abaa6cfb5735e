"""A run that only looks for the commit that broke it: the reproduction and the search, no patch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from agent.bisection.bisect import BisectLimits, find_culprit
from agent.bisection.journaling import commit_tried, culprit_searched, kept_trials
from agent.bisection.records import Commit, Trial
from agent.cancellation import unless_stopped
from agent.errors import AgentError
from agent.journal.events import AttemptEnded, ModelWaiting, ReproductionDeclared
from agent.journal.state import AttemptState
from agent.journal.writer import Journal
from agent.model import Picture
from agent.proving.reproduce import REPRODUCTION_CALLS, NothingWritten, write_reproduction
from agent.task import Attachment, Task
from app.git import ancestry
from app.runs import attempts, trees
from app.runs.active_run import ActiveRun
from app.runs.attempts import AttemptPlan, SandboxFiles
from app.runs.commits.past import RunPast, past_of
from app.runs.results import Debugged, Prepared
from app.spending.account import Payer
from sandbox.protocol import Sandbox

MOST_RUNS = 40
MOST_MINUTES = 60.0
NOTHING_FOUND = (
    "No command was found that fails as the issue describes{before}, so there is nothing to run at "
    "older commits. Add the smallest command or test that shows it, with its output, and ask again."
)


class NothingToSearch(AgentError):
    """There is no history to search, or the commit at which it worked is not in it."""


async def look_for_culprit(run: ActiveRun, prepared: Prepared) -> Debugged:
    """Write a reproduction, and run it at older commits.

    After a crash, what a reproduction was accepted or tried for is not done again. Raises
    `NothingToSearch`, `GitMissing`, `RunStopped`, and what attempts do.
    """
    run.phase("debugging")
    prepared = await trees.at_its_place(run, prepared)
    commit, clone_url = prepared.base_commit, prepared.clone_url
    tree = await trees.tree_file(run, commit, clone_url)
    past = await past_of(run, commit, clone_url, tree)
    if past is None:
        raise NothingToSearch(
            "There is no history to search: `history: false` in the repository's settings or "
            "the operator's turn it off, or git cannot read it."
        )
    good = await _good(run, clone_url, past.commits)
    await run.update_status("debugging", run.facts(prepared), AttemptState())
    history = await trees.history_file(run, commit, clone_url)
    attached = tuple(Attachment.model_validate(a) for a in json.loads(prepared.attached))
    pictures = tuple(Picture.model_validate(p) for p in json.loads(prepared.pictures))
    plan = AttemptPlan(tree=commit, attachments=attached, pictures=pictures)
    files = SandboxFiles(tree, past, history)
    task = await attempts.task_of(run, plan, files)
    # One attempt is all there is: after a crash it goes on where its journal stops.
    number = max(run.next_attempt() - 1, 1)
    journal = Journal(run.store, run.record.id, number)
    if journal.state.outcome is None:
        work = _search(run, task, files, past, journal, good)
        await unless_stopped(lambda: run.store.stop_reason(run.record.id), work)
    return Debugged(number)


async def _good(run: ActiveRun, clone_url: str, commits: Sequence[Commit]) -> str:
    """The commit at which it is said to work; empty for none. Raises `GitMissing`."""
    name = run.record.trigger.good
    if not name:
        return ""
    found = await asyncio.to_thread(ancestry.named, run.mirror(clone_url), name)
    if found == commits[0].id:
        raise NothingToSearch(f"{name!r} is the commit at which it is said to fail.")
    if found not in {commit.id for commit in commits}:
        raise NothingToSearch(
            f"{name!r} is not among the {len(commits)} newest commits before {commits[0].id[:12]}. "
            "Name an ancestor of it; the operator's `HISTORY_COMMITS` bounds how old it may be."
        )
    return found


async def _search(
    run: ActiveRun, task: Task, files: SandboxFiles, past: RunPast, journal: Journal, good: str
) -> None:
    declared = journal.state.reproduction or await _written(run, task, files, journal)
    if isinstance(declared, NothingWritten) or not declared.command:
        limit = isinstance(declared, NothingWritten) and declared.before
        why = NOTHING_FOUND.format(before=f" before {limit}" if limit else "")
        journal.append(AttemptEnded(outcome="diagnosis", diagnosis=why))
        return
    names = {commit.id: commit for commit in past.commits}

    def note(trial: Trial) -> None:
        journal.append(commit_tried(trial, names))

    kept = [entry.event for entry in run.store.events(run.record.id)]
    found = await find_culprit(
        past,
        declared,
        BisectLimits(
            runs=MOST_RUNS, minutes=MOST_MINUTES, run_timeout_s=task.budget.tool_timeout_s
        ),
        good=good,
        known=kept_trials(event for event in kept if event.attempt == journal.attempt),
        on_trial=note,
    )
    journal.append(culprit_searched(found, names), AttemptEnded(outcome="diagnosis"))


async def _written(
    run: ActiveRun, task: Task, files: SandboxFiles, journal: Journal
) -> ReproductionDeclared | NothingWritten:
    """What the model wrote from the issue, as it was seen to fail at the base commit."""
    number = journal.attempt

    async def waiting(reason: str, seconds: float) -> None:
        journal.append(ModelWaiting(reason=reason, retry_in_s=seconds))

    async def open_base() -> Sandbox:
        archive = files.history.file if files.history else None
        purpose = f"attempt-{number}"
        return await run.services.sandboxes.open(run.record.id, purpose, files.tree, archive)

    budget = task.budget.model_copy(update={"calls": min(task.budget.calls, REPRODUCTION_CALLS)})
    model = run.services.model(Payer.of(run.record), number - 1, waiting, looking=True)
    try:
        return await write_reproduction(
            task.model_copy(update={"budget": budget}), model, open_base, journal=journal
        )
    finally:
        await model.close()
