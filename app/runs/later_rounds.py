"""Later rounds of a run: its pull request was reviewed, its checks failed, its base moved.

The deliveries only wake the run; what there is to do is read from GitHub itself, so that nothing
is missed, taken twice or out of order. New commits follow the branch's head: nothing is ever
overwritten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from agent.journal.events import ReproductionDeclared, Submitted, now
from agent.task import Attachment
from app.git.mirror import Mirror
from app.git.process import GitMissing
from app.github.errors import ForgeMissing
from app.github.records import FailedCheck, Pull, ReviewComment
from app.publishing import publish
from app.publishing.publication import kept_change
from app.publishing.pull_request import proof_block
from app.runs import attempts, feedback, trees
from app.runs.active_run import ActiveRun
from app.runs.attachments import keep_check_log, later_images
from app.runs.attempts import AttemptPlan
from app.runs.feedback import FeedbackItem, FeedbackItems, LaterImages
from app.runs.publication.change import (
    may_be_pushed,
    prove_kept_change,
    proven_anew,
    push_change,
    tell_kept_change,
)
from app.runs.publication.step import UNPUBLISHED, keep_block, restore_block
from app.runs.pull_request_proof import WiderProof
from app.runs.replies import answer_all, say_given_up
from app.runs.reruns import rerun
from app.runs.results import (
    BranchMoved,
    ChangeResult,
    Debugged,
    Ended,
    Failed,
    Gathered,
    NothingToDo,
    Pushed,
)
from app.runs.services import DurableStep
from app.telemetry import logs
from sandbox.protocol import Sandbox

MAX_LAPS = 3
"""How often a round starts over because somebody pushed to the branch in the meantime."""

_log = logs.get(__name__)


async def later_round(run: ActiveRun, step: DurableStep) -> None:
    """Execute one later round."""
    result: NothingToDo | ChangeResult = NothingToDo("nothing to do")
    pull, before = run.record.pull_request, None
    for lap in range(1, MAX_LAPS + 1):
        suffix = f" {lap}" if lap > 1 else ""
        gathered = await run.do_step(step, f"gather{suffix}", partial(gather, run), heeds_stop=True)
        if not isinstance(gathered, Gathered):
            result = gathered
            change = kept_change(run.events())
            if before is not None and change is not None and change.attempt >= before.first:
                # It moved away from under a proven change: people get that.
                gone = Failed(f"{UNPUBLISHED}: {gathered.reason}", attempt=change.attempt)
                answering = partial(answer, run, before, gone)
                result = await run.do_step(step, f"answer{suffix}", answering)
            break
        before = gathered
        pull = gathered.pull
        act = partial(debug, run, gathered)
        debugged = await run.do_step(step, f"debug{suffix}", act, heeds_stop=True)
        if isinstance(debugged, Failed):
            result = debugged
        else:
            result = await run.do_step(
                step, f"push{suffix}", partial(push, run, gathered, debugged)
            )
        if not isinstance(result, BranchMoved) or lap == MAX_LAPS:
            # Whatever came of it, everybody who asked gets an answer.
            answering = partial(answer, run, gathered, result)
            result = await run.do_step(step, f"answer{suffix}", answering)
            break
    await step("finish", partial(run.finish, round_result(run, result, pull)))


def round_result(
    run: ActiveRun, result: NothingToDo | ChangeResult, pull: str
) -> Ended | NothingToDo:
    """How the round is recorded: the run keeps its outcome unless a new patch was taken."""
    match result:
        case NothingToDo():
            return result
        case Pushed(attempt, _, outcome):
            return Ended(outcome, attempt, pull)
        case Failed(reason) | BranchMoved(reason):
            outcome = run.record.outcome or "failed"
            return Ended(outcome, pull=run.record.pull_request, reason=reason)


async def gather(run: ActiveRun) -> Gathered | NothingToDo:
    """Find out from GitHub what there is to do."""
    forge, inbox = run.forge, run.services.inbox
    pull = await forge.pull(run.record.pull_number)
    if not pull.open:
        await close(run, pull)
        return NothingToDo("the pull request is closed")
    if off := (await run.services.config(forge)).off:
        return NothingToDo(off)  # what was said is not taken up, and so there later
    mirror = run.mirror((await run.repository()).clone_url)
    fetched = await publish.fetch(forge, mirror, pull.base_branch)
    try:
        head = await asyncio.to_thread(mirror.base_commit, pull.branch)
    except GitMissing:
        return NothingToDo("the pull request's branch is gone")
    tip = fetched.base_commit
    base = await asyncio.to_thread(mirror.merge_base, tip, head)
    handled = inbox.handled_before(run.record.id, run.record.round)
    comments, name = await _permitted_comments(run, handled), _app_name(run)
    items = [feedback.item_from_comment(comment, name) for comment in comments]
    conflicts = await asyncio.to_thread(mirror.conflicts, head, tip)
    conflict = bool(conflicts) and f"base:{tip[:40]}" not in handled
    if conflict:
        patch = await asyncio.to_thread(mirror.diff, base, head)
        items.append(feedback.item_from_conflict(pull.base_branch, tip, conflicts, patch))
    reruns = inbox.requested(run.record.id, "rerun", run.record.round)
    items += [feedback.item_from_rerun(key, ("It has not been run yet.",)) for key in reruns]
    publishes = inbox.requested(run.record.id, "publish", run.record.round)
    await rerun.settle(run, head)
    fresh = await _fresh_checks(run, head, handled)
    # A change starts all checks anew, so only where nothing else asks for one.
    alone = bool(fresh) and not items and not publishes
    if alone and (done := await rerun.run_again(run, pull, mirror, head, fresh)):
        return NothingToDo(done)
    checks, logs_kept = await _failed_checks(run, pull, fresh, handled)
    items += checks
    change = kept_change(run.events())
    if publishes and change is not None:
        if items:  # they are for another round, which knows the change
            inbox.wake(run.record.id)
        items = [feedback.item_from_publish(key) for key in publishes]
        conflict = bool(conflicts) and change.tree == tip
    if not items:
        return NothingToDo("nothing to do")
    run.phase("preparing", f"round {run.record.round}")
    images = LaterImages()
    if items[0].kind != "publish":
        remarks = [feedback.remark(comment, name) for comment in comments]
        images = await _later_images(run, remarks, mirror, head)
    inbox.mark_handled(run.record.id, run.record.round, [item.key for item in items])
    items_kept = FeedbackItems(items=tuple(items), images=images)
    run.store.put_log(
        run.record.id, _items_log_id(run.record.round), items_kept.model_dump_json().encode()
    )
    return Gathered(
        head=head,
        base_commit=tip if conflict else base,
        tree=tip if conflict else head,
        base_branch=pull.base_branch,
        clone_url=fetched.repository.clone_url,
        first=run.next_attempt(),
        attached=" ".join(logs_kept),
        at=now().isoformat(timespec="seconds"),
        pull=pull.url,
    )


async def debug(run: ActiveRun, gathered: Gathered) -> Debugged | Failed:
    """Prove the change again if only that is needed; else run an attempt with the feedback."""
    gathered = await _at_its_place(run, gathered)
    items, number = _read_items(run), gathered.first
    mirror = run.mirror(gathered.clone_url)
    if items[0].kind == "publish":
        return await prove_kept_change(run, mirror, gathered)
    if all(item.kind in ("conflict", "rerun") for item in items):
        items, proven = await _prove_again(run, mirror, gathered, items)
        if proven:
            return Debugged(number)
    on_head = gathered.tree == gathered.head
    carried = run.carried() if on_head else None
    if carried is not None and run.state(number).reproduction is None:
        run.store.append(run.record.id, [carried.model_copy(update={"attempt": number})])
    plan = AttemptPlan(
        tree=gathered.tree,
        first=number,
        again=feedback.attempt_introduction(run.record.pull_number, carried, patched=on_head),
        feedback=tuple(item.text for item in items),
        pictures=_read_round(run).images.pictures,
        attachments=tuple(
            Attachment(id=log_id, name="log of a failed check", size=len(data))
            for log_id in gathered.attached.split()
            if (data := run.store.get_log(run.record.id, log_id)) is not None
        ),
        judge_with=_wider_proof(run, mirror, gathered, carried, number),
    )
    facts = run.facts(gathered)
    chosen = await attempts.debug(run, plan, facts, gathered.clone_url, gathered.pull)
    return Debugged(chosen)


async def push(run: ActiveRun, gathered: Gathered, debugged: Debugged) -> ChangeResult:
    """Push the change to the branch, unless somebody else pushed in the meantime."""
    run.phase("publishing", f"round {run.record.round}")
    number = debugged.attempt
    state = run.state(number)
    if not may_be_pushed(run, state):
        why = state.diagnosis or "No patch was proven."
        return Failed(why, attempt=number)
    return await push_change(run, gathered, number)


async def answer(run: ActiveRun, gathered: Gathered, result: ChangeResult) -> ChangeResult:
    """Answer each piece of feedback once; returns the result of the round."""
    run.check_lease()
    number = gathered.first if isinstance(result, BranchMoved) else result.attempt or gathered.first
    kept = False
    if not isinstance(result, Pushed):
        kept = await tell_kept_change(run, gathered, number, result.reason)
    await answer_all(run, _read_items(run), run.state(number), gathered, result, kept=kept)
    if isinstance(result, Pushed):
        pull = replace(await run.forge.pull(run.record.pull_number), head_sha=result.commit)
        facts, state = (
            replace(run.facts(gathered), judged_at=run.judged_at(number)),
            run.state(number),
        )
        keep_block(run, proof_block(facts, state, result.commit))
        await run.best_effort(publish.put_proof_check(run.forge, facts, state, pull))
    await restore_block(run)
    # The pull request is as proven as what is in it, whatever came of this round.
    shown = number if isinstance(result, Pushed) else (run.chosen_attempts() or [1])[-1]
    await run.update_status("done", run.facts(gathered), run.state(shown), gathered.pull)
    return result


async def close(run: ActiveRun, pull: Pull) -> None:
    """The pull request was merged or closed: recorded, and its branch cleaned up."""
    run.services.inbox.close(run.record.id, "merged" if pull.merged else "closed")
    await run.best_effort(run.forge.delete_branch(pull.branch, pull.head_sha))


async def _permitted_comments(run: ActiveRun, handled: dict[str, int]) -> list[ReviewComment]:
    """Unhandled comments by people who may give commands."""
    config = await run.services.config(run.forge)
    comments = feedback.unhandled_comments(
        await run.forge.review_comments(run.record.pull_number),
        own_login=await run.forge.bot_login(),
        name=_app_name(run),
        handled=handled,
    )
    is_permitted: dict[str, bool] = {}
    for author in {comment.author for comment in comments}:
        permission = await run.forge.permission(author)
        is_permitted[author] = permission.at_least(config.permissions.command)
    return [comment for comment in comments if is_permitted[comment.author]]


async def _later_images(
    run: ActiveRun, remarks: Sequence[str], mirror: Mirror, head: str
) -> LaterImages:
    """The images of this round. Those of an earlier lap of it are kept already."""
    before = [_read_round(run, number) for number in range(2, run.record.round)]
    here = _read_round(run).images
    keys = (key for one in before for key in one.images.keys)
    earlier = LaterImages(keys=(*keys, *here.keys), pictures=here.pictures)
    try:
        return await later_images(run, remarks, earlier, mirror, head)
    except ForgeMissing as error:  # the issue is gone; what there is to do is on the pull request
        _log.info("no images", run=run.record.id, why=str(error))
        return earlier


async def _fresh_checks(run: ActiveRun, head: str, handled: dict[str, int]) -> list[FailedCheck]:
    """Failed checks of the pull request's head that no round dealt with, and that are not running
    again."""
    failed = await run.forge.failed_checks(head)
    return [c for c in rerun.untried(run, failed) if f"check:{c.id}" not in handled]


async def _failed_checks(
    run: ActiveRun, pull: Pull, fresh: list[FailedCheck], handled: dict[str, int]
) -> tuple[list[FeedbackItem], list[str]]:
    """Failed checks as items, with their logs kept; none after three rounds."""
    fixed = {number for key, number in handled.items() if key.startswith("check:")}
    if not fresh:
        return [], []
    if len(fixed) >= feedback.CHECK_ROUNDS:
        run.services.inbox.mark_handled(
            run.record.id, run.record.round, [f"check:{c.id}" for c in fresh]
        )
        await say_given_up(run, pull, fresh)
        return [], []
    with_logs = [(check, await keep_check_log(run, check)) for check in fresh]
    return [feedback.item_from_check(c, log_id) for c, log_id in with_logs], [
        i for _, i in with_logs if i
    ]


async def _prove_again(
    run: ActiveRun, mirror: Mirror, gathered: Gathered, items: tuple[FeedbackItem, ...]
) -> tuple[tuple[FeedbackItem, ...], bool]:
    """Prove the unchanged patch on the new base; if that works, no model is needed."""
    number, earlier = gathered.first, run.state((run.chosen_attempts() or [1])[-1])
    if run.state(number).outcome == "proven":  # before a crash
        return items, True
    tip = gathered.base_commit
    old_base = await asyncio.to_thread(mirror.merge_base, tip, gathered.head)
    patch = await asyncio.to_thread(mirror.diff, old_base, gathered.head)
    command = earlier.started.test_command if earlier.started else ""
    judged = await attempts.prove_on_commit(
        run, tip, gathered.clone_url, patch, run.carried(), command
    )
    if judged.verdict != "proven":
        shown = tuple(
            feedback.item_from_rerun(item.key, judged.reasons) if item.kind == "rerun" else item
            for item in items
        )
        return shown, False
    submitted = Submitted(
        root_cause=earlier.submitted.root_cause if earlier.submitted else "",
        summary="The unchanged pull request was proven again.",
        patch=patch,
    )
    run.store.append(run.record.id, proven_anew(number, patch, judged, run.carried(), submitted))
    return items, True


def _wider_proof(
    run: ActiveRun,
    mirror: Mirror,
    gathered: Gathered,
    carried: ReproductionDeclared | None,
    number: int,
) -> WiderProof:
    async def open_base() -> Sandbox:
        tree = await trees.tree_file(run, gathered.base_commit, gathered.clone_url)
        return await run.services.sandboxes.open(run.record.id, f"gate-{number}", tree)

    return WiderProof(mirror, gathered.base_commit, gathered.tree, open_base, carried)


async def _at_its_place(run: ActiveRun, gathered: Gathered) -> Gathered:
    """The same, with the repository's address as it is now: it may have been renamed."""
    return replace(gathered, clone_url=(await run.repository()).clone_url)


def _app_name(run: ActiveRun) -> str:
    return run.services.settings.github_app_slug


def _items_log_id(number: int) -> str:
    return f"round-{number}"


def _read_round(run: ActiveRun, number: int = 0) -> FeedbackItems:
    """What a round handles; 0: this one."""
    kept = run.store.get_log(run.record.id, _items_log_id(number or run.record.round))
    return FeedbackItems.model_validate_json(kept) if kept else FeedbackItems(items=())


def _read_items(run: ActiveRun) -> tuple[FeedbackItem, ...]:
    return _read_round(run).items
