"""A proven change comes to its open pull request; what stands in the way is told, with its diff."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial

from agent.journal.events import (
    AnyEvent,
    AttemptEnded,
    GateJudged,
    PublicationStep,
    ReproductionDeclared,
    Submitted,
)
from agent.journal.state import AttemptState
from app.git.mirror import BranchTaken, Mirror, PatchUnusable
from app.git.patch_check import SecretInPatch
from app.git.process import GitError
from app.github.errors import ForgeError
from app.github.records import Pull
from app.publishing import publish
from app.publishing.commits import bot_identity, put_commit, signatures_required, signing_of
from app.publishing.facts import must_be_draft, patch_of
from app.publishing.obstacles import Obstacle, obstacle_of
from app.publishing.publication import PATCH_LOG, KeptChange, kept_change
from app.runs import attempts
from app.runs.active_run import ActiveRun
from app.runs.publication.step import UNPUBLISHED, note
from app.runs.replies import commit_text_for
from app.runs.results import BranchMoved, ChangeResult, Debugged, Failed, Gathered, Pushed
from app.sanitize.secret_scan import new_secrets
from sandbox.byte_text import to_bytes, to_text


async def push_change(run: ActiveRun, gathered: Gathered, number: int) -> ChangeResult:
    """Push an attempt's change to the pull request's branch, unless somebody else pushed.

    A refusal is noted with the attempt, so that `tell_kept_change` can say it and a later round
    can try again. Raises `ForgeAway`, `RateLimited` and `GitAway`.
    """
    state, before = run.state(number), kept_change(run.events())
    pull = await run.forge.pull(run.record.pull_number)
    mirror = run.mirror((await run.repository()).clone_url)
    keep = partial(_keep, run, mirror, gathered, number)
    if not pull.open:
        await keep(Obstacle("pull_closed"))
        return Failed(f"{UNPUBLISHED}: the pull request was closed.", attempt=number)
    try:
        if new_secrets(patch_of(state)):
            raise SecretInPatch("The change adds what looks like a password or key.")
        commit = await _commit(run, mirror, gathered, number, pull)
        if commit != gathered.head:
            run.check_lease()
            branches = (pull.base_branch, pull.branch)
            signing = signing_of(run.services.settings)
            commit = await put_commit(
                run.forge,
                mirror,
                pull.branch,
                commit,
                signing,
                required=await signatures_required(run.forge, signing, *branches),
                after=gathered.head,
            )
    except BranchTaken:
        await keep(Obstacle("branch_moved"))
        return BranchMoved("Others kept pushing to the branch in the meantime.")
    except (ForgeError, GitError) as error:
        found = obstacle_of(error, "push")
        if found is None:
            raise
        await keep(found)
        why = found.detail or next(iter(found.words), "") or str(error)
        return Failed(f"{UNPUBLISHED}: {why}", attempt=number)
    if before is not None:
        if before.told == "comment":
            run.check_lease()
            facts, noting = run.facts(gathered), partial(note, run)
            await publish.say_change_published(run.forge, facts, before, pull, noting)
        note(run, _pushed(number, pull.branch, commit))
    return Pushed(number, commit, "draft" if must_be_draft(state) else "proven")


def may_be_pushed(run: ActiveRun, state: AttemptState) -> bool:
    """Whether an attempt's change is as well proven as the pull request that it is for."""
    as_draft = state.outcome == "draft" and run.record.outcome == "draft"
    return (state.outcome == "proven" or as_draft) and bool(patch_of(state))


async def _commit(
    run: ActiveRun, mirror: Mirror, gathered: Gathered, number: int, pull: Pull
) -> str:
    state = run.state(number)
    author = await bot_identity(run.forge)
    merged = gathered.tree != gathered.head
    config = await run.services.config(run.forge)
    return await asyncio.to_thread(
        mirror.commit_patch,
        gathered.base_commit,
        patch_of(state),
        message=commit_text_for(pull, state, author, run.facts().message),
        author=author,
        branch=f"{pull.branch}-round-{run.record.round}",
        when=datetime.fromisoformat(gathered.at),
        policy=config.policy,
        parents=(gathered.head, gathered.base_commit) if merged else (gathered.head,),
    )


def _pushed(number: int, branch: str, commit: str) -> PublicationStep:
    return PublicationStep(
        attempt=0, step="push", status="done", branch=branch, commit=commit, change=number
    )


async def _keep(
    run: ActiveRun, mirror: Mirror, gathered: Gathered, number: int, found: Obstacle
) -> None:
    """Note what was in the way of an attempt's change, and keep its diff."""
    tree = gathered.tree
    try:
        diff = await _diff(run, mirror, gathered, number)
    except GitError:  # as it was submitted, for the commit that it was judged on
        diff, tree = patch_of(run.state(number)), gathered.base_commit
    run.store.put_log(run.record.id, _log_id(number), to_bytes(diff))
    note(
        run,
        found.as_step("push", base=tree, branch="", commit=gathered.head, change=number),
    )


async def _diff(run: ActiveRun, mirror: Mirror, gathered: Gathered, number: int) -> str:
    """What an attempt's change is to the tree that it was made in.

    Its patch is the whole pull request's, for the base.
    """
    patch = patch_of(run.state(number))
    return await asyncio.to_thread(mirror.diff_with, gathered.tree, gathered.base_commit, patch)


def _log_id(number: int) -> str:
    return f"change-{number}"


def _kept_diff(run: ActiveRun, change: KeptChange) -> str:
    return to_text(run.store.get_log(run.record.id, _log_id(change.attempt)) or b"")


async def tell_kept_change(run: ActiveRun, gathered: Gathered, number: int, reason: str) -> bool:
    """Bring a change that could not be pushed to people on its pull request.

    `number` is the attempt of this round, `reason` why the round ended without its change.
    Returns whether there is one; one that an earlier round told is not told again.
    """
    change = kept_change(run.events())
    newer = change is None or change.attempt < number
    if newer and may_be_pushed(run, run.state(number)):
        mirror = run.mirror((await run.repository()).clone_url)
        await _keep(run, mirror, gathered, number, Obstacle("other", reason))
        change = kept_change(run.events())
    if change is None or (change.told and change.attempt < number):
        return False
    diff, state = _kept_diff(run, change), run.state(change.attempt)
    run.store.put_log(run.record.id, PATCH_LOG, to_bytes(diff))
    run.check_lease()
    await publish.report_unpublished_change(
        run.forge,
        run.facts(gathered),
        state,
        change,
        run.record.pull_number,
        diff,
        partial(note, run),
    )
    return True


async def prove_kept_change(
    run: ActiveRun, mirror: Mirror, gathered: Gathered
) -> Debugged | Failed:
    """The attempt to push: the kept change itself, or if its branch moved, as proven there now."""
    change = kept_change(run.events())
    assert change is not None  # or this round would have gathered something else
    number = gathered.first
    if run.state(number).outcome == "proven":  # before a crash
        return Debugged(number)
    added, earlier = _kept_diff(run, change), run.state(change.attempt)
    try:
        here = change.head == gathered.head
        if here and added == await _diff(run, mirror, gathered, change.attempt):
            return Debugged(change.attempt)
        if change.head != change.tree:
            raise PatchUnusable("The change is a merge, and its branch has other commits now.")
        whole = await asyncio.to_thread(
            mirror.diff_with, gathered.base_commit, gathered.head, added
        )
    except PatchUnusable as error:
        return _unproven_on_head(run, gathered, change, (str(error),))
    carried = run.carried()
    command = earlier.started.test_command if earlier.started else ""
    judged = await attempts.prove_on_commit(
        run, gathered.base_commit, gathered.clone_url, whole, carried, command
    )
    if judged.verdict != "proven":
        return _unproven_on_head(run, gathered, change, judged.reasons)
    run.store.append(run.record.id, proven_anew(number, whole, judged, carried, earlier.submitted))
    return Debugged(number)


def proven_anew(
    number: int,
    patch: str,
    judged: GateJudged,
    carried: ReproductionDeclared | None,
    submitted: Submitted | None,
) -> list[AnyEvent]:
    """The journal of an attempt without a model: what was submitted before, judged again."""
    again = (submitted or Submitted(root_cause="", summary="", patch="")).model_copy(
        update={"patch": patch}
    )
    events = (again, judged, AttemptEnded(outcome="proven"))
    return [
        event.model_copy(update={"attempt": number})
        for event in ((carried, *events) if carried is not None else events)
    ]


def _unproven_on_head(
    run: ActiveRun, gathered: Gathered, change: KeptChange, reasons: tuple[str, ...]
) -> Failed:
    """The change stays as it was kept, for people to adapt."""
    moved = Obstacle("branch_moved", "\n".join(f"- {why}" for why in reasons))
    step = moved.as_step(
        "prove", base=change.tree, branch="", commit=change.head, change=change.attempt
    )
    note(run, step)
    why = f"on {gathered.head[:12]}, where the branch is now, the change is not proven."
    return Failed(f"{UNPUBLISHED}: {why}", attempt=change.attempt)
