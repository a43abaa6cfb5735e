"""The look at an issue: is it a duplicate, does it fail on the tip, was it fixed, what is missing.

Every function may be called again after a crash: reproductions are in the journal, comments are
found by their markers, what was found is kept with the run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from agent.bisection.bisect import CannotRun
from agent.bisection.records import Commit
from agent.cancellation import unless_stopped
from agent.gate.compare import ReproductionRun
from agent.gate.sandbox_runs import CannotWrite, run_reproduction
from agent.journal.events import AttemptEnded, ModelWaiting, ReproductionDeclared
from agent.journal.writer import Journal
from agent.model import Picture
from agent.proving.reproduce import REPRODUCTION_CALLS, NothingWritten, write_reproduction
from agent.task import Attachment, Issue, Task
from app.git import ancestry
from app.git.files import listed_files
from app.github.records import IssueThread
from app.nightly.issue_text import Missing, missing
from app.repo_config.effective import EffectiveConfig
from app.runs import attempts, trees
from app.runs.active_run import ISSUE_LOG, ActiveRun
from app.runs.admission_step import count_open
from app.runs.attempts import AttemptPlan, SandboxFiles
from app.runs.commits.past import RunPast, past_of
from app.runs.related.mentions import versions
from app.runs.results import Debugged, Prepared, Published
from app.runs.triage.fixed_before import first_parents, fixing_commit, place_then
from app.runs.triage.same_failure import FailurePlace, failure_place, older_with_same_trace
from app.runs.triage.telling import Found, digest, keep, tell
from app.spending.account import Payer
from app.storage.nights.store import Nights
from sandbox.errors import EngineUnavailable, SandboxError
from sandbox.protocol import OpenSandbox, Sandbox

PLACE_LOG = "failure-place"
"""Log id under which a run keeps where its issue's failure was raised."""
ON_TIP, THEN = 1, 2
"""Attempts that write a reproduction: on the default branch's tip, and where the issue was
written."""
FRESH_RUNS = 3
_MOST_ISSUES = 1000
_MOST_EARLIER = 200


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at an issue works with."""

    run: ActiveRun
    prepared: Prepared
    thread: IssueThread
    issue: Issue
    task: Task
    files: SandboxFiles

    @property
    def words(self) -> str:
        """All that people wrote on the issue."""
        return "\n".join((self.issue.title, self.issue.body, *self.issue.comments))


async def look_at_issue(run: ActiveRun, prepared: Prepared) -> Published | Debugged:
    """Find out what an issue is, say it where the settings want that, and keep it.

    `Debugged` where a fix is to be tried, with the attempt that wrote the reproduction. Raises what
    attempts do.
    """
    run.phase("debugging")
    config = await run.services.config(run.forge)
    prepared = await trees.at_its_place(run, prepared)
    work = _find(run, prepared)
    found = await unless_stopped(lambda: run.store.stop_reason(run.record.id), work)
    if found.finding == "reproduced" and (why := await _why_no_fix(run, config)):
        found = replace(found, words=f"{found.words} {why}".strip())
    elif found.finding == "reproduced":
        keep(run, found)
        return Debugged(found.attempt)
    return await tell(run, prepared, config, found)


def with_reproduction(run: ActiveRun, prepared: Prepared, attempt: int) -> Prepared:
    """What the attempt at a fix works from: the next one, told of the reproduction of this one."""
    declared = run.state(attempt).reproduction
    again = _again(declared) if declared else ""
    return replace(prepared, first=THEN + 1, again=again)


def _again(declared: ReproductionDeclared) -> str:
    files = "\n".join(
        f"It needs the file {path}, which is not in the tree:\n```\n{text[:6000]}\n```"
        for path, text in declared.files.items()
    )
    return (
        "The bug was reproduced on this very commit already. If the reproduction below shows what "
        f"the issue describes, declare it and go on from there:\n`{declared.command}` fails with "
        f"{declared.expected_failure!r}.\n{files}"
    )


# What the issue is


async def _find(run: ActiveRun, prepared: Prepared) -> Found:
    thread = await run.forge.issue(run.record.issue_number)
    login = await run.forge.bot_login()
    Nights(run.store.database).found(run.record.id, digest=digest(thread, login))
    kept = run.store.get_log(run.record.id, ISSUE_LOG)
    issue = Issue.model_validate_json(kept or b"{}")
    words = "\n".join((issue.title, issue.body, *issue.comments))
    listed = await run.forge.open_issues(_MOST_ISSUES)
    if same := older_with_same_trace(run.record.issue_number, words, listed):
        number, evidence = same
        return Found("duplicate", f"Open since before: #{number}; {evidence}.", number)
    look = await _begin(run, prepared, thread, issue)
    declared = await _reproduction(look, ON_TIP, _on_tip(look), look.task)
    if isinstance(declared, ReproductionDeclared):
        if unfit := _unfit(look, declared):
            return Found("needs_info", unfit, missing=_missing(look))
        if why := await _not_seen_again(look, declared):
            return Found("not_reproduced", why)
        if duplicate := await _same_place(look, declared, {each.number for each in listed}):
            return duplicate
        said = f"`{declared.command}` fails on the default branch's tip, in a fresh sandbox, too."
        return Found("reproduced", said, attempt=ON_TIP)
    if fixed := await _fixed_before(look):
        return fixed
    limit = f" It was given up before {declared.before}." if declared.before else ""
    if lacking := _missing(look):
        said = "Nothing that fails as it says was found, and it does not tell enough." + limit
        return Found("needs_info", said, missing=lacking)
    said = (
        "It could not be reproduced on the default branch's tip. That is no evidence that it is "
        f"fixed: nothing was found that fails as it says.{limit}"
    )
    return Found("not_reproduced", said)


async def _begin(run: ActiveRun, prepared: Prepared, thread: IssueThread, issue: Issue) -> _Look:
    commit, clone_url = prepared.base_commit, prepared.clone_url
    tree = await trees.tree_file(run, commit, clone_url)
    history = await trees.history_file(run, commit, clone_url)
    past = await past_of(run, commit, clone_url, tree)
    files = SandboxFiles(tree, past, history)
    plan = AttemptPlan(
        tree=commit,
        attachments=tuple(Attachment.model_validate(a) for a in json.loads(prepared.attached)),
        pictures=tuple(Picture.model_validate(p) for p in json.loads(prepared.pictures)),
    )
    task = await attempts.task_of(run, plan, files)
    budget = task.budget.model_copy(update={"calls": min(task.budget.calls, REPRODUCTION_CALLS)})
    return _Look(run, prepared, thread, issue, task.model_copy(update={"budget": budget}), files)


def _on_tip(look: _Look) -> OpenSandbox:
    run, files = look.run, look.files
    archive = files.history.file if files.history else None
    opening = run.services.sandboxes.open

    async def open_base() -> Sandbox:
        return await opening(run.record.id, f"attempt-{ON_TIP}", files.tree, archive)

    return open_base


async def _reproduction(
    look: _Look, number: int, open_base: OpenSandbox, task: Task
) -> ReproductionDeclared | NothingWritten:
    """What the model writes from the issue, as an attempt that goes on where its journal stops."""
    run = look.run
    journal = Journal(run.store, run.record.id, number)
    if journal.state.outcome is not None:  # before a crash
        return journal.state.reproduction or NothingWritten()

    async def waiting(reason: str, seconds: float) -> None:
        journal.append(ModelWaiting(reason=reason, retry_in_s=seconds))

    model = run.services.model(Payer.of(run.record), number - 1, waiting, looking=True)
    try:
        written = await write_reproduction(task, model, open_base, journal=journal)
    finally:
        await model.close()
    if isinstance(written, ReproductionDeclared) and not written.command:
        written = NothingWritten()
    journal.append(AttemptEnded(outcome="diagnosis"))
    return written


def _unfit(look: _Look, declared: ReproductionDeclared) -> str:
    """Why a reproduction shows nothing of the issue; empty: it does.

    A test of the repository that fails anyhow is one only of an issue that tells something.
    """
    if declared.files or not _missing(look):
        return ""
    return (
        "Only a test of the repository that fails anyhow was found, and the issue does not tell "
        "enough to say that it is about that."
    )


async def _not_seen_again(look: _Look, declared: ReproductionDeclared) -> str:
    """Why a reproduction is not believed after its runs in a fresh sandbox; empty: it is."""
    run = look.run
    seen = await _run_fresh(
        lambda: run.services.sandboxes.open(run.record.id, "gate-1", look.files.tree),
        declared,
        look.task.budget.tool_timeout_s,
    )
    if seen.as_claimed:
        return ""
    return (
        f"`{declared.command}` failed where it was written, but in none of {seen.runs} runs in a "
        "fresh sandbox."
    )


async def _run_fresh(
    open_fresh: Callable[[], Awaitable[Sandbox]], declared: ReproductionDeclared, timeout_s: float
) -> ReproductionRun:
    sandbox = await open_fresh()
    try:
        return await run_reproduction(sandbox, declared, FRESH_RUNS, timeout_s)
    finally:
        await sandbox.close()


async def _same_place(
    look: _Look, declared: ReproductionDeclared, open_numbers: set[int]
) -> Found | None:
    """An older open issue whose reproduction failed at the same place of the same commit."""
    run, own = look.run, look.run.record
    mirror = run.mirror(look.prepared.clone_url)
    commit = look.prepared.base_commit
    files = await asyncio.to_thread(listed_files, mirror, commit)
    place = failure_place(commit, declared.observed, declared.files, files)
    if place is None:
        return None
    run.store.put_log(own.id, PLACE_LOG, place.model_dump_json().encode())
    for past in run.store.ended_before(own.repository_id, own.id, _MOST_EARLIER):
        if past.issue_number >= own.issue_number or past.issue_number not in open_numbers:
            continue
        known = run.store.get_log(past.id, PLACE_LOG)
        if known and FailurePlace.model_validate_json(known) == place:
            said = (
                f"Open since before: #{past.issue_number}; what was written for each ends in the "
                f"same {place.words}."
            )
            return Found("duplicate", said, past.issue_number, attempt=ON_TIP)
    return None


async def _fixed_before(look: _Look) -> Found | None:
    """Whether it fails where the issue was written and passes on the tip."""
    run, past = look.run, look.files.past
    if past is None:
        return None
    chain = first_parents(past.commits)
    mirror = run.mirror(look.prepared.clone_url)
    tip = look.prepared.base_commit
    tag = await asyncio.to_thread(ancestry.newest_tag, mirror, tip, versions(look.words))
    place = place_then(chain, tag.commit if tag else "", look.thread.created_at)
    if not place:
        return None
    then = chain[place].id

    async def open_then() -> Sandbox:
        return await past.open(then)

    try:
        task = look.task.model_copy(update={"base_commit": then, "kept_base": None})
        declared = await _reproduction(look, THEN, open_then, task)
        if isinstance(declared, NothingWritten) or (not declared.files and _missing(look)):
            return None
        return await _passes_since(look, past, declared, chain[: place + 1])
    except EngineUnavailable:
        raise
    except (CannotRun, CannotWrite, SandboxError):  # an old commit's environment: no evidence
        return None


async def _passes_since(
    look: _Look, past: RunPast, declared: ReproductionDeclared, chain: Sequence[Commit]
) -> Found | None:
    timeout_s, run = look.task.budget.tool_timeout_s, look.run

    async def open_tip() -> Sandbox:
        return await run.services.sandboxes.open(run.record.id, "gate-1", look.files.tree)

    seen = await _run_fresh(open_tip, declared, timeout_s)
    then = chain[-1].id[:12]
    if seen.passed < seen.runs:
        return None
    commit = await fixing_commit(past, chain, declared, timeout_s)
    if not commit:
        said = (
            f"`{declared.command}` fails at {then}, where the issue was written, and passes on the "
            "default branch's tip. Which commit fixed it was not found."
        )
        return Found("fixed", said, attempt=THEN)
    subject = next((each.subject for each in chain if each.id == commit), "")
    said = (
        f"`{declared.command}` fails at {then}, where the issue was written, and passes since "
        f"{commit[:12]} ({subject[:100]})."
    )
    return Found("fixed", said, commit=commit, attempt=THEN)


def _missing(look: _Look) -> tuple[Missing, ...]:
    """What its author does not say, in the issue or in a comment on it."""
    own = [c.body for c in look.thread.comments if c.author == look.thread.author]
    return missing(look.thread.title, "\n\n".join((look.thread.body, *own)))


# What may follow


async def _why_no_fix(run: ActiveRun, config: EffectiveConfig) -> str:
    """Why no fix is tried for an issue that was reproduced; empty: one is."""
    if config.schedule.then != "fix":
        return " "  # nobody wanted one: nothing to explain
    if config.approval == "plan":
        return "No fix was tried: the repository wants to approve plans, for which nobody asked."
    most = config.pull_request.most_open
    if most and await count_open(run.forge) >= most:
        return (
            "No fix was tried: as many pull requests of this App are open as the repository wants."
        )
    return ""
