"""Looks at the App's open pull requests, and closes those that nobody looks at; opens them again.

Every act may come again after a crash: comments are found by their markers, which name the time
since when nobody was there, so that each such time has its one reminder and its one last word.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agent.journal.events import now
from app.admission.authorization import is_label
from app.background import repeated
from app.expiry.decide import Close, Idle, Remind, Wait, next_step
from app.expiry.kept import NEXT, Expiries, Expiry
from app.github.errors import CommitRefused, ConversationLocked, ForgeDenied, ForgeRefused
from app.github.forge import Forge
from app.github.records import Pull
from app.github.webhook_events import ExpiryDue
from app.publishing.rendering import render
from app.repo_config.effective import EffectiveConfig
from app.runs.services import Services
from app.sanitize.markdown import Markdown, inline
from app.storage.records import Run
from app.telemetry import logs

EVERY_S = 60.0
BUSY = timedelta(hours=1)
"""When a pull request is looked at again that its run works on."""
FORGOTTEN = timedelta(days=30)
"""After this time it is not known any more which remarks of a closed pull request were answered
(`app.operations.pruning`)."""

_log = logs.get(__name__)


def expiry_running(services: Services) -> AbstractContextManager[None]:
    """Have pull requests looked at whose time has come, until the end of the block."""

    async def queue_due() -> None:
        expiries_of(services).queue_due()

    return repeated("expiry", EVERY_S, queue_due, "pull requests could not be looked at")


def expiries_of(services: Services) -> Expiries:
    """The expiries in the database of these services."""
    return Expiries(services.store.database)


def kept_ref(number: int) -> str:
    """The name under which the last commit of a closed pull request is kept."""
    return f"refs/patchwright/closed/{number}"


async def look(services: Services, forge: Forge, config: EffectiveConfig, event: ExpiryDue) -> str:
    """Remind people of a pull request, or close it, if its time has come. Idempotent.

    Raises `ForgeError`.
    """
    known, run = expiries_of(services), services.store.get_run(event.run_id)
    kept, pull = known.get(run.id), await forge.pull(event.pull_number)
    if kept is None:
        return "not known any more"
    if kept.state == "closing" and not pull.merged:  # a crash came in between
        return await _close(services, forge, config, run, pull, _idle(kept))
    if not pull.open:
        services.inbox.wake(run.id)  # it has not heard of it
        return "it is not open any more"
    if why := await _exempt(services, forge, config, run, pull):
        known.look_again(run.id, now() + NEXT)
        return why
    if run.status != "done":
        known.look_again(run.id, now() + BUSY)
        return "its run works on it"
    assert config.expires is not None
    idle = await _idle_now(known, forge, kept, pull)
    notice = timedelta(days=services.settings.pull_reminder_days)
    match next_step(idle, config.expires, notice, now()):
        case Wait(until):
            known.look_again(run.id, until)
            return f"it waits until {until:%Y-%m-%d %H:%M}"
        case Remind(closes_at):
            return await _remind(services, forge, config, run, replace(idle, closes_at=closes_at))
        case Close():
            known.seen(run.id, pull.head_sha, idle.since)
            known.closing(run.id)
            return await _close(services, forge, config, run, pull, idle)


def gave_up(services: Services, event: ExpiryDue) -> None:
    """The look came to nothing: there is another one in a day."""
    expiries_of(services).look_again(event.run_id, now() + NEXT)


async def _exempt(
    services: Services, forge: Forge, config: EffectiveConfig, run: Run, pull: Pull
) -> str:
    """Why a pull request does not expire; empty: it does."""
    if config.expires is None:
        return "pull requests do not expire here"
    if pull.author != await forge.bot_login() or pull.from_fork:
        return "it is not ours"
    if any(is_label(label, services.settings.keep_label) for label in pull.labels):
        return "its label keeps it"
    ours = run.outcome != "proven" or config.pull_request.draft_only
    if pull.draft and not ours:
        return "somebody made it a draft: it is being worked on"
    return ""


async def _idle_now(known: Expiries, forge: Forge, kept: Expiry, pull: Pull) -> Idle:
    """Since when nobody has been there; somebody's push counts from when it is seen."""
    since = kept.since
    if kept.head and pull.head_sha != kept.head and await forge.is_by_a_person(pull.head_sha):
        since = now()
    known.seen(kept.run_id, pull.head_sha, since)
    said = await forge.last_word(pull.number)
    return replace(_idle(kept), since=max(since, said) if said else since)


def _idle(kept: Expiry) -> Idle:
    return Idle(kept.since, kept.reminded_at, kept.closes_at)


async def _remind(
    services: Services, forge: Forge, config: EffectiveConfig, run: Run, idle: Idle
) -> str:
    assert idle.closes_at is not None
    known = expiries_of(services)
    text = _text(services, config, "expiry_reminder.md.j2", idle, run)
    marker = _marker("reminder", run, idle.since)
    try:
        comment = await forge.put_comment(run.pull_number, marker, text)
    except ConversationLocked:
        known.look_again(run.id, now() + NEXT)
        return "it is locked, so nobody can be reminded"
    known.reminded(run.id, comment.created_at, idle.closes_at)
    known.look_again(run.id, idle.closes_at)
    return f"reminded; it is closed on {idle.closes_at:%Y-%m-%d}"


async def _close(
    services: Services,
    forge: Forge,
    config: EffectiveConfig,
    run: Run,
    pull: Pull,
    idle: Idle,
) -> str:
    """Keep its last commit, close it, say so, delete its branch."""
    ref = kept_ref(pull.number)
    try:
        await forge.keep_ref(ref, pull.head_sha)
    except (ForgeRefused, ForgeDenied) as error:
        # GitHub keeps the commit of a closed pull request itself, only under no name of a branch.
        _log.warning("a commit is kept by its pull request only", pull=pull.url, why=str(error))
        ref = ""
    await forge.close_pull(pull.number)
    text = _text(services, config, "expiry_closed.md.j2", idle, run, pull, ref)
    try:
        # Nobody was reminded twice of one time, so this marker is one of its own, too.
        await forge.put_comment(pull.number, _marker("expired", run, idle.reminded_at), text)
    except ConversationLocked:
        _log.info("nobody could be told that it is closed", pull=pull.url)
    await forge.delete_branch(pull.branch, pull.head_sha)
    services.inbox.close(run.id, "closed")
    expiries_of(services).closed(run.id)
    return "closed: nobody was there"


async def reopen(services: Services, forge: Forge, run: Run) -> str:
    """Open a run's closed pull request again, its branch first. Idempotent.

    Returns what is to be said; empty: nothing, it is open. Raises `ForgeError`.
    """
    pull = await forge.pull(run.pull_number)
    if pull.merged:
        return "The pull request was merged."
    try:
        await forge.make_branch(pull.branch, pull.head_sha)
        await forge.reopen_pull(pull.number)
    except (CommitRefused, ForgeRefused) as error:
        return Markdown(f"The pull request could not be opened again. {inline(str(error), 1000)}")
    await forge.drop_ref(kept_ref(pull.number))
    return await reopened(services, forge, run)


async def reopened(services: Services, forge: Forge, run: Run) -> str:
    """A run's pull request is open again, whoever opened it: the run answers for it again.

    Returns what is to be said; empty: nothing.
    """
    if not services.store.events(run.id, limit=1):
        return (
            "It is open again, but this was so long ago that I do not answer reviews here any "
            "more. `fix` on the issue starts another run."
        )
    if run.closed and run.updated_at < now() - FORGOTTEN:
        remarks = await forge.review_comments(run.pull_number)
        services.inbox.mark_handled(run.id, run.round, [remark.key for remark in remarks])
    services.inbox.reopen(run.id)
    expiries_of(services).begin_anew(run.id)
    return ""


def _marker(kind: str, run: Run, since: datetime | None) -> str:
    at = f"{since.astimezone(UTC):%Y%m%dT%H%M%S}" if since else "unknown"
    return f"<!-- patchwright:{kind} run={run.id} since={at} -->"


def _text(
    services: Services,
    config: EffectiveConfig,
    template: str,
    idle: Idle,
    run: Run,
    pull: Pull | None = None,
    ref: str = "",
) -> str:
    return render(
        template,
        inline,
        config.language,
        name=services.settings.github_app_slug,
        label=services.settings.keep_label,
        role=config.permissions.command,
        since=idle.since,
        closes_at=idle.closes_at,
        days=config.expires.days if config.expires else 0,
        pull=pull,
        ref=ref,
    )
