"""A run, from what asks for it to the pull request, in a few coarse steps that may be repeated.

The durable engine (`app.server.engine`) keeps which steps are done and their small results. What happens
within a step is kept where it belongs: in the journal (*debug*), or on GitHub, where every act is
found again by its key (*publish*). Later rounds of a run are in `app.runs.later_rounds`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import httpx
from sqlalchemy.exc import SQLAlchemyError

from agent.errors import LostLease
from agent.journal.events import GateJudged, Outcome, now
from agent.journal.state import RunState
from agent.task import ATTACHED, Attachment
from app import endings
from app.github.fenced import fenced
from app.github.records import Pull
from app.publishing import publish
from app.publishing.facts import is_draft, patch_of
from app.publishing.publish import Fetched
from app.runs import crash_limit, failures, later_rounds
from app.runs.active_run import ISSUE_LOG, Ground, RunWork, as_issue
from app.runs.admission_step import authorise, refuse
from app.runs.attachments import fetch_file, links
from app.runs.failures import HandedBack, was_interrupted
from app.runs.services import Result, Services, Step
from app.storage.outage import is_away, waited_for
from app.storage.records import Run
from app.storage.store import SqlStore
from app.telemetry import logs, tracing

__all__ = ["Result", "Services", "Step", "work"]

LAPS = 3
"""So often work begins anew because the base branch moved; then a draft says so."""

_log = logs.get(__name__)


async def work(services: Services, run_id: str, step: Step, number: int = 1) -> None:
    """Do a round of a run to its end, going on where an earlier worker stopped.

    A worker that lost the run to another ends as if cancelled: nothing of it is recorded.
    """
    taken = await waited_for("claim", partial(_take, services, run_id, number))
    if taken is None:
        return
    store, run, parked = taken
    forge = fenced(
        services.forge(run.installation_id, run.repository), run_id, lambda: store.holds(run_id)
    )
    in_hand = RunWork(services, store, run, forge)
    try:
        try:
            with tracing.run(run_id, number, run.epoch, services.settings.executor):
                await _do(in_hand, step, number, parked)
        except HandedBack as back:
            await waited_for("hand back", partial(_hand_back, in_hand, back.after_s))
            raise
    except LostLease as error:
        # Not an error of the run: whoever has it now goes on, and the engine must record nothing.
        raise asyncio.CancelledError(str(error)) from None
    except asyncio.CancelledError:
        with suppress(SQLAlchemyError):  # the process ends, which is no death of the run's doing
            store.give_back(run_id)
        raise
    finally:
        await forge.close()


async def _do(run: RunWork, step: Step, number: int, parked: str) -> None:
    """The round. Whatever goes wrong in it, the run is over at the end, or handed back."""
    try:
        if parked:
            await _end(run, parked)
        elif number == 1:
            await _first_round(run, step)
        else:
            await later_rounds.work(run, step)
    except LostLease:
        raise
    except Exception as error:
        if run.services.ending.is_set() or was_interrupted(error):  # the process ends
            raise asyncio.CancelledError(str(error)) from error
        if is_away(error):
            raise HandedBack(str(error)) from None
        _log.error("a run failed", run=run.run.id, exc_info=True)
        await waited_for("end", partial(_end, run, failures.explain(error, run.run.id)))


async def _hand_back(run: RunWork, after_s: float) -> None:
    run.store.hand_back(run.run.id, now() + timedelta(seconds=after_s) if after_s else None)


async def _take(services: Services, run_id: str, number: int) -> tuple[SqlStore, Run, str] | None:
    """Claim the run for this round; with why it must be parked, if so. None: it is over."""
    before = services.store.get_run(run_id)
    store = services.store.claim(run_id, services.settings.executor)
    run = store.get_run(run_id)
    if run.status == "done" or run.round != number:
        return None
    parked = crash_limit.examine(store, before)
    store.set_running(run_id)
    return store, run, parked


async def _end(run: RunWork, reason: str) -> None:
    """End a run that cannot go on. Not in steps: what it did before has taken their places."""
    present = run.store.get_run(run.run.id)
    if present.status == "done" or present.round != run.run.round:
        return
    if run.run.round > 1:  # there is a pull request, whatever became of this round
        outcome = run.run.outcome or "failed"
        await run.finish({"outcome": outcome, "pull": run.run.pull_request, "reason": reason})
        return
    with suppress(HandedBack):  # it must not begin again, only because its issue cannot be told
        await run.patiently("explain", partial(explain, run, {}, {"failed": reason}))
    await run.finish({"outcome": "failed", "reason": reason})


async def _first_round(run: RunWork, step: Step) -> None:
    async def tried(
        name: str, act: Callable[[], Awaitable[Result]], *, heeds_stop: bool = False
    ) -> Result:
        return await step(name, partial(run.patiently, name, act, heeds_stop=heeds_stop))

    result = await tried("authorise", partial(authorise, run), heeds_stop=True)
    if denied := result.get("denied"):
        # A stranger gets silence: no comment, only the record.
        await step("finish", partial(run.finish, {"outcome": "stopped", "reason": denied}))
        return
    if refused := result.get("refused"):
        await tried("refuse", partial(refuse, run, refused))
        await step("finish", partial(run.finish, {"outcome": "stopped", "reason": refused}))
        return
    prepared: Result = {}
    if "failed" not in result:
        result = prepared = await tried("prepare", partial(prepare, run), heeds_stop=True)
    lap = 1
    while "failed" not in result:
        suffix = f" {lap}" if lap > 1 else ""
        result = await tried(f"debug{suffix}", partial(debug, run, prepared), heeds_stop=True)
        if "failed" not in result:
            last = lap == LAPS
            result = await tried(f"publish{suffix}", partial(put_out, run, prepared, result, last))
        if "again" not in result:
            break
        prepared, lap = prepared | result, lap + 1
    if "failed" in result:
        if "untold" not in result:
            await tried("explain", partial(explain, run, prepared, result))
        outcome = "stopped" if "stopped" in result else "failed"
        result = {"outcome": outcome, "reason": result["failed"]}
    await step("finish", partial(run.finish, result))


async def prepare(run: RunWork) -> Result:
    """Bring the mirror up to date; keep the issue as it is now; fix the commit to work from."""
    run.phase("preparing")
    await run.tell("preparing", run.facts({}), RunState())
    trigger, forge = run.run.trigger, run.forge
    fetched = await _fetch(run)
    thread = await forge.issue(run.run.issue_number)
    issue = as_issue(thread, await forge.bot_login())
    run.store.put_log(run.run.id, ISSUE_LOG, issue.model_dump_json().encode())
    found = links((issue.title, issue.body, *issue.comments), *where(run))
    checks = tuple(dict.fromkeys((*trigger.checks, *found.checks)))
    logs = (*await ci_logs(run, checks), *await linked_files(run, found.files))
    attached = [a.model_dump() for a in logs]
    return {
        "base_commit": fetched.base_commit,
        "base_branch": trigger.base_branch or fetched.repository.default_branch,
        "clone_url": fetched.repository.clone_url,
        "attached": json.dumps(attached),
    }


async def ci_logs(run: RunWork, checks: tuple[int, ...]) -> tuple[Attachment, ...]:
    """Keep the logs of these checks with the run, where they have any."""
    kept = []
    for check in checks:
        data = await run.forge.check_log(check)
        if data:
            log = Attachment(
                id=f"{ATTACHED}ci-{check}", name=f"log of the failed check {check}", size=len(data)
            )
            run.store.put_log(run.run.id, log.id, data)
            kept.append(log)
    return tuple(kept)


def where(run: RunWork) -> tuple[str, str]:
    """The forge's address for people, and the repository's name there."""
    return run.services.settings.github_web_url, run.run.repository


async def linked_files(run: RunWork, urls: tuple[str, ...]) -> tuple[Attachment, ...]:
    """Keep the files attached to the issue with the run, as far as they are to be had."""
    kept = []
    async with httpx.AsyncClient(timeout=30) as client:
        for number, url in enumerate(urls, 1):
            data = await fetch_file(client, url)
            if data is not None:
                name = url.rsplit("/", 1)[1]
                log = Attachment(id=f"{ATTACHED}{number}", name=name, size=len(data))
                run.store.put_log(run.run.id, log.id, data)
                kept.append(log)
    return tuple(kept)


async def debug(run: RunWork, prepared: Result) -> Result:
    """Run the attempts, or go on with them; the journal keeps all that matters."""
    again = prepared.get("again", "")
    terms = await run.services.terms(run.forge)
    ground = Ground(
        tree=prepared["base_commit"],
        first=int(prepared.get("first", "1")),
        attempts=1 if again else terms.attempts,
        again=again,
        attachments=tuple(
            Attachment.model_validate(a) for a in json.loads(prepared.get("attached", "[]"))
        ),
    )
    chosen = await run.debug(ground, run.facts(prepared), prepared["clone_url"])
    return {"attempt": str(chosen)}


async def put_out(run: RunWork, prepared: Result, debugged: Result, last: bool) -> Result:
    """Open the pull request, or say what is known.

    When the base branch moved meanwhile, the patch is proven again on its tip first; where that
    fails, `again` says why and the work goes on from there, unless this was the `last` time.
    """
    run.phase("publishing")
    number = int(debugged["attempt"])
    state = run.state(number)
    facts = run.facts(prepared)
    if state.outcome not in ("proven", "draft") or not patch_of(state):
        await publish.report_failure(run.forge, facts, state)
        outcome = state.outcome or "failed"
        return {"outcome": outcome, "attempt": debugged["attempt"], "reason": state.diagnosis}
    mirror = await run.mirror(prepared["base_commit"], prepared["clone_url"])
    known = await publish.own_pull(run.forge, facts)
    if known is None and (ending := await _ended_meanwhile(run)):
        return ending.result
    if state.outcome == "proven" and known is None:
        tip = (await _fetch(run)).base_commit
        # The commit that the proof is of: the steps before may have been done anew since.
        stood_on = state.started.base_commit if state.started else prepared["base_commit"]
        if tip != stood_on:
            command = state.started.test_command if state.started else ""
            judged = await run.prove_on(
                tip, prepared["clone_url"], patch_of(state), state.reproduction, command
            )
            if judged.verdict == "proven":
                run.store.append(run.run.id, [judged.model_copy(update={"attempt": number})])
                prepared, state = prepared | {"base_commit": tip}, run.state(number)
                facts = run.facts(prepared)
            elif not last:
                return {
                    "again": _moved(prepared["base_branch"], tip, judged, patch_of(state)),
                    "base_commit": tip,
                    "first": str(run.next_attempt()),
                }
            else:
                run.store.append(run.run.id, [_not_on_tip(judged, number, tip, state)])
                state = run.state(number)
    terms = await run.services.terms(run.forge)
    published = await publish.publish(run.forge, mirror, facts, state, terms)
    await note_pull(run, published.pull)
    draft: Outcome = "draft" if is_draft(state) else "proven"
    return {"outcome": draft, "pull": published.pull.url, "attempt": debugged["attempt"]}


async def _ended_meanwhile(run: RunWork) -> endings.Ending | None:
    """Whether the issue or its repository want no pull request any more."""
    thread = await run.forge.issue(run.run.issue_number)
    repository = await run.forge.repository()
    name, number = run.run.repository, run.run.issue_number
    return endings.of_issue(thread, repository, name=name, number=number)


async def note_pull(run: RunWork, pull: Pull) -> None:
    """The pull request is the run's from now on; what was said there already is not missed."""
    run.store.set_pull(run.run.id, pull.number)
    login = await run.forge.bot_login()
    said = any(r.author != login for r in await run.forge.remarks(pull.number))
    if said or not pull.open or await run.forge.failed_checks(pull.head_sha):
        run.services.inbox.wake(run.run.id)


async def explain(run: RunWork, prepared: Result, failed: Result) -> Result:
    """Say on the issue why the run ended."""
    facts = run.facts(prepared)
    await publish.report_failure(run.forge, facts, run.state(1), failed["failed"])
    return {}


async def _fetch(run: RunWork) -> Fetched:
    repository = await run.forge.repository()
    mirror = run.services.mirror(repository.clone_url)
    return await publish.fetch(run.forge, mirror, run.run.trigger.base_branch)


def _moved(branch: str, tip: str, judged: GateJudged, patch: str) -> str:
    reasons = "\n".join(f"- {reason}" for reason in judged.reasons)
    return (
        f"You had a proven patch, but the branch {branch} has moved to {tip[:12]} meanwhile, and "
        f"there the patch is not proven:\n{reasons[:4000]}\n"
        "The tree is that new commit, without the patch. See whether the bug is still there, and "
        f"make the fix fit. The patch was:\n```diff\n{patch[:20_000]}\n```"
    )


def _not_on_tip(judged: GateJudged, attempt: int, tip: str, state: RunState) -> GateJudged:
    """The verdict that makes a draft of a patch that was proven, but not where it has to go."""
    why = f"Proven on the commit it was made from, but not on {tip[:12]}, where the branch is now."
    update = {"attempt": attempt, "reasons": (why, *judged.reasons), "patch": patch_of(state)}
    return judged.model_copy(update={**update, "verdict": "unproven"})
