"""Whether a run may start: who requested it, the state of its issue, and the limits.

A run that has to wait holds its place in the engine's queue for a while, so that it goes on as soon
as it may; then it gives the place to others and comes back later.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from agent.journal.events import RunEnded, now
from agent.journal.state import AttemptState
from app.admission import authorization
from app.admission.limits import Go, Refuse, Wait
from app.admission.rows import begin_if_admitted, is_start_held
from app.github.forge import Forge
from app.github.records import IssueThread, Repository
from app.publishing import publish
from app.publishing.comments import says_working
from app.publishing.facts import FACTS_LOG, preferences_of
from app.publishing.markers import run_marker
from app.repo_config.effective import EffectiveConfig
from app.runs import failures
from app.runs.active_run import ActiveRun
from app.runs.failures import Requeued
from app.runs.results import Denied, Done, Refused
from app.spending.account import Payer, keep_budget, read_spent
from app.spending.budgets import millionths, why_none_begins
from app.storage import organisations
from app.storage.records import Run
from app.telemetry import logs

LONGEST_WAIT_S = 300.0
"""After this time the run's place in the queue goes to others."""


_MOST_LOOKED_AT = 500
"""Open pull requests in which the App's own are counted, those that changed last."""
_log = logs.get(__name__)


async def authorise(run: ActiveRun) -> Done | Denied | Refused:
    """Ask GitHub whether the sender may start a run and whether the issue still needs one.

    `Denied` ends it in silence, `Refused` with a word on the issue.
    """
    run.phase("queued")
    forge = run.forge
    config = await run.services.config(forge)
    denied, thread = await denial_reason(forge, run.record, config, await run.repository())
    if denied:
        _log.info("not permitted", run=run.record.id, by=run.record.triggered_by, why=denied)
        return Denied(denied)
    await _wait_while_held(run)
    if not run.is_silent:
        await run.best_effort(forge.react(run.record.issue_number, "eyes"))
    preferences = preferences_of(config, thread)
    run.store.put_log(run.record.id, FACTS_LOG, preferences.model_dump_json().encode())
    if config.off:
        return Refused(f"{config.off} Ask again when it is on.")
    place = run.record.issue_number, config, run.record.repository
    if not run.is_silent:
        await run.best_effort(publish.report_config_problems(forge, *place))
    await run.best_effort(_correct_earlier_status(run, thread))
    if config.stop:
        return Refused("The repository's settings have mistakes; the other comment names them.")
    if why := await asyncio.to_thread(_no_money_for, run, config):
        return Refused(why)
    return await _wait_for_admission(run, config)


def _no_money_for(run: ActiveRun, config: EffectiveConfig) -> str:
    """Why a month's budget lets no run begin; empty: it does, and the run's own is kept."""
    settings, database = run.services.settings, run.store.database
    if not settings.counts_money:
        return ""
    costs, asked = config.costs, run.record.trigger.budget
    amount = min(asked, costs.run_most or asked) or costs.run
    keep_budget(database, run.record.id, millionths(amount), millionths(costs.repository_month))
    payer, moment = Payer.of(run.record), now()
    spent = read_spent(database, payer, settings.currency, moment)
    budgets = run.services.account(payer).budgets()
    return why_none_begins(spent, budgets, settings.currency, moment)


async def _room_for_pulls(run: ActiveRun, config: EffectiveConfig) -> int | None:
    """How many more pull requests the repository wants to have open; None: any number."""
    most = config.pull_request.most_open
    # What only looks opens none; a night's run looks first.
    if not most or run.record.trigger.goal in ("culprit", "triage"):
        return None
    return most - await count_open(run.forge)


async def count_open(forge: Forge) -> int:
    """How many pull requests of the App are open."""
    login = await forge.bot_login()
    pulls = await forge.open_pulls(_MOST_LOOKED_AT)
    return sum(pull.author == login for pull in pulls)


async def _correct_earlier_status(run: ActiveRun, thread: IssueThread) -> None:
    """Let the issue's run before this one say that it failed, if it could not say so then.

    GitHub takes no comments while a repository is archived, the App suspended or an issue locked;
    what was said last is that the run is working.
    """
    record = run.record
    earlier = run.services.inbox.run_before(record.repository_id, record.issue_number, record.id)
    if not earlier:
        return
    past = run.store.get_run(earlier)
    marker, own = run_marker(earlier, "status"), await run.forge.bot_login()
    stale = any(
        c.author == own and c.body.startswith(marker) and says_working(c.body)
        for c in thread.comments
    )
    if past.status != "done" or past.pull_number or not stale:
        return
    ends = [e.event for e in run.store.events(earlier) if isinstance(e.event, RunEnded)]
    if ends:
        facts = replace(run.facts(ending=ends[-1].diagnosis), run_id=earlier)
        await publish.update_status_comment(run.forge, facts, "done", AttemptState())


async def denial_reason(
    forge: Forge, run: Run, config: EffectiveConfig, repository: Repository
) -> tuple[str, IssueThread]:
    """Why the run must not start, empty if it may; and its issue."""
    trigger = run.trigger
    minimum = authorization.least_role(trigger.by, config)
    permission = None
    if minimum:
        permission = await forge.permission(run.triggered_by, user_id=trigger.sender_id)
    thread = await forge.issue(run.issue_number)
    # Who was let down by a switch for the whole organisation is told so.
    opts_out = None if config.off else authorization.repository_opts_out(trigger, config)
    denied = opts_out or authorization.refused_at_start(
        permission, thread, repository, minimum=minimum, on_pull=trigger.is_pull_request
    )
    ending = failures.stop_reason_for_issue(
        thread, repository, name=run.repository, number=run.issue_number
    )
    return denied or (ending.text if ending else ""), thread


async def refuse(run: ActiveRun, reason: str) -> Done:
    """Say on the issue why the run does not start."""
    await run.update_status("done", run.facts(ending=reason), AttemptState())
    return Done()


async def _wait_while_held(run: ActiveRun) -> None:
    """Wait while the issue is being told that the run waits (see `app.runs.queue_notices`)."""
    while True:
        if not is_start_held(run.store.database, run.record.id, now()):
            return
        await asyncio.sleep(0.2)


async def _wait_for_admission(run: ActiveRun, config: EffectiveConfig) -> Done | Denied | Refused:
    """Wait until the limits let the run start."""
    announced, until = "", time.monotonic() + LONGEST_WAIT_S
    pause_s = min(1.0, run.services.status_interval_s)
    while True:
        run.check_lease()
        if off := organisations.off_reason(run.store.database, run.record.repository):
            return Refused(f"{off} Ask again when it is on.")
        if run.store.stop_reason(run.record.id):
            return Denied("The run was stopped while it was waiting.")
        room, bounds = await _room_for_pulls(run, config), config.bounds
        if room is not None and room <= 0:
            most = config.pull_request.most_open
            return Refused(
                f"{most} pull requests of this App are open here, which is as many as the "
                "repository's settings want (`pull_request.most_open`). Merge or close one, then "
                "ask again."
            )
        if room is not None:
            # Each run that is at work may come to a pull request; GitHub is asked every time.
            at_once = min(config.bounds.repository_at_once or room, room)
            bounds = replace(config.bounds, repository_at_once=at_once)
            pause_s = run.services.status_interval_s
        limited = replace(config, bounds=bounds)
        match begin_if_admitted(run.store.database, run.record, limited, now()):
            case Go():
                return Done()
            case Refuse(reason):
                return Refused(reason)
            case Wait(ahead, reason):
                if announced != (announced := f"{ahead} {reason}"):
                    facts = run.facts(queue_place=ahead, waits_for=reason)
                    await run.update_status("queued", facts, AttemptState())
        if time.monotonic() > until:
            raise Requeued("others may use its slot in the meantime")
        await asyncio.sleep(pause_s)
