"""Alerts: taken in when they come, told in an issue when their turn is, and told back when fixed.

Each alert has one issue, found again after a crash by its number or its hidden marker; writing it
is idempotent, a run is keyed by the event, and the source is asked before it is told.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from agent.journal.events import now
from app.alerts import config, report, source_api
from app.alerts.config import AlertsFile, Source
from app.alerts.kept import kept as kept_of
from app.alerts.kept import words
from app.alerts.locate import Findings, locate
from app.alerts.records import KINDS, Alert
from app.alerts.sources.read import read
from app.alerts.verification import TIME, verify
from app.git.process import GitAway, GitDenied, GitError
from app.github.errors import ForgeError, IssueGone
from app.github.forge import Forge
from app.github.records import Repository
from app.github.webhook_events import AlertDue, AlertFixed, EventSource, PullEnded
from app.intake.context import EventContext
from app.publishing import publish
from app.runs.services import Services
from app.settings.base import SettingsError
from app.settings.schema import Settings
from app.storage.alerts import Alerts, EditLimits, KeptAlert, Occurrence, UnknownAlert
from app.storage.records import check_id_for
from app.telemetry import logs

SAME_FOR_S = 600
"""How long the same body of a source that counts nothing is the same delivery."""
CLOCKS_APART = timedelta(days=1)
"""Far more than this machine's clock may be ahead of GitHub's."""

_log = logs.get(__name__)


class NotBelieved(Exception):
    """The delivery is not from the source that it names; the message says why."""


class UnknownSource(Exception):
    """The operator's file has no such source."""


@dataclass(frozen=True, slots=True)
class TakenAlerts:
    """What became of a delivery of alerts."""

    result: str
    """noted, duplicate or ignored."""
    count: int = 0
    events: tuple[str, ...] = ()
    """Those that are now due."""
    beyond: int = 0
    """New alerts that the source may not bring today; they are not in `count`."""


# What comes in


def accept_alerts(
    settings: Settings, alerts: Alerts, name: str, headers: Mapping[str, str], body: bytes
) -> TakenAlerts:
    """Take in a delivery; on return it is durable. Blocks.

    Raises `UnknownSource`, `NotBelieved`, `BadAlert`, `TooManyAlerts` and `SettingsError`.
    """
    file = config.load(settings.alerts_file)
    source = file.named(name)
    if source is None:
        raise UnknownSource(name)
    if why := verify(source.kind, source.secret, headers, body):
        raise NotBelieved(why)
    found = read(source.kind, headers.get("sentry-hook-resource", ""), body)
    if not found:
        return TakenAlerts("ignored")
    occurrences = [_occurrence(file, source, alert) for alert in found]
    delivery = _delivery_id(source, headers, body)
    taken = alerts.take(source.name, delivery, occurrences, edit_limits(settings))
    if taken is None:
        return TakenAlerts("duplicate")
    return TakenAlerts("noted", len(found) - taken.beyond, taken.due, taken.beyond)


def edit_limits(settings: Settings) -> EditLimits:
    """How often issues may be opened and written, as the settings say."""
    return EditLimits(
        settings.alert_issues_per_day, settings.alert_edits_per_day, settings.alert_edit_minutes
    )


def _occurrence(file: AlertsFile, source: Source, alert: Alert) -> Occurrence:
    route = file.route_of(source.name, alert)
    clean = kept_of(alert) if route else None
    return Occurrence(
        fingerprint=alert.fingerprint,
        repository=route.repository if route else "",
        title=clean.title if clean else words(alert.title),
        report=clean.model_dump_json() if clean else "",
        is_over=alert.is_over,
        is_measured=source.kind not in ("sentry", "glitchtip"),
        is_urgent=alert.is_regression,
        is_regression=alert.is_regression,
        release=clean.release if clean else "",
    )


def _delivery_id(source: Source, headers: Mapping[str, str], body: bytes) -> str:
    """The same when a delivery comes again.

    By the body: a service that sends again may give its request another id. GlitchTip's says the
    same of each occurrence, and so may that of any other service: there the time counts, too.
    """
    at = ""
    if source.kind == "glitchtip" or source.kind not in KINDS:
        at = f" {int(now().timestamp()) // SAME_FOR_S}"
    if source.kind == "generic":
        at = f" {headers.get(TIME, '')}"  # which is signed
    resource = headers.get("sentry-hook-resource", "")
    about = f"alert {source.name} {resource}{at}\n".encode()
    return hashlib.sha256(about + body).hexdigest()


# The issue


@dataclass(frozen=True, slots=True)
class WrittenIssue:
    """What became of an alert's issue."""

    said: str
    number: int = 0
    """0: it has none."""
    may_run: bool = False
    """Whether a run is to begin, if the repository wants such runs."""
    came_back: bool = False
    """Whether the alert was there again when this was begun. One that comes back meanwhile is
    told by the event that it left."""


async def placed(forge: Forge, event: AlertDue) -> AlertDue:
    """The event with what GitHub calls its repository. Raises `ForgeError`."""
    repository = await forge.repository()
    return event.model_copy(
        update={
            "repository": repository.full_name,
            "repository_id": repository.id,
            "installation_id": repository.installation_id,
            "default_branch": repository.default_branch,
            "archived": repository.archived,
            "private": repository.private,
        }
    )


async def write_issue(context: EventContext, event: AlertDue) -> WrittenIssue:
    """Open an alert's issue or bring it up to date. Idempotent.

    Raises `ForgeError`, `GitAway` and `GitDenied`.
    """
    services, forge = context.services, context.forge
    known = alerts_of(services)
    try:
        kept = known.get(event.alert_id)
    except UnknownAlert:
        return WrittenIssue("the alert was forgotten")
    if not kept.issue_number and kept.state != "waiting":
        return WrittenIssue(f"no issue: it is {kept.state}")
    repository = await forge.repository()
    known.placed(kept.id, repository.id, repository.installation_id)
    if repository.archived:
        known.settle(kept.id, "refused", "The repository is archived.")
        return WrittenIssue("the repository is archived")
    file = _file(services)
    alert = await _enriched(file, kept, Alert.model_validate_json(kept.report))
    found = await _located(services, forge, file, kept, alert, repository)
    title, text = report.title(alert), report.body(kept, alert, found)
    marker = report.marker(kept.id)
    came_back = kept.came_back and kept.state == "open"
    number = kept.issue_number
    if number:
        try:
            await forge.edit_issue(number, marker, title, text, reopen=came_back)
        except IssueGone:
            known.settle(kept.id, "refused", "Its issue was deleted or moved.")
            return WrittenIssue("its issue is gone")
    else:
        since = kept.created_at - CLOCKS_APART
        number = await forge.open_issue(marker, title, text, since=since)
        known.opened(kept.id, number)
    is_first = not services.inbox.latest_run(repository.id, number)
    may_run = kept.state in ("waiting", "open") and (is_first or came_back)
    return WrittenIssue(f"issue #{number}", number, may_run, kept.came_back)


def alerts_of(services: Services) -> Alerts:
    """The alerts in the database of these services."""
    return Alerts(services.store.database)


def told_again(services: Services, event: AlertDue) -> None:
    """The issue says what there is to say, and a run began if one was to."""
    alerts_of(services).told_again(event.alert_id)


def gave_up(services: Services, event: AlertDue, why: str) -> None:
    """The issue could not be written: said where operators look."""
    try:
        kept = alerts_of(services).get(event.alert_id)
    except UnknownAlert:
        return
    state = kept.state if kept.issue_number else "refused"
    alerts_of(services).settle(kept.id, state, why)


def _file(services: Services) -> AlertsFile:
    try:
        return config.load(services.settings.alerts_file)
    except SettingsError as error:
        _log.warning("the file about alerts is not usable", why=str(error))
        return AlertsFile()


async def _enriched(file: AlertsFile, kept: KeptAlert, alert: Alert) -> Alert:
    """The alert with its stack trace, where that is only in the source's API."""
    source = file.named(kept.source)
    if source is None or any(frame.line for frame in alert.frames):
        return alert
    if not source_api.can_be_asked(source, alert):
        return alert
    try:
        found = await source_api.with_event(source, alert)
    except (ForgeError, SettingsError) as error:  # the issue is worth more than the trace
        _log.warning("an alert's event could not be read", alert=kept.id, why=str(error))
        return alert
    return kept_of(found)


async def _located(
    services: Services,
    forge: Forge,
    file: AlertsFile,
    kept: KeptAlert,
    alert: Alert,
    repository: Repository,
) -> Findings | None:
    """Where in the repository it happened; None where its history cannot be read."""
    route = file.route_of(kept.source, alert)
    paths, tags = (route.paths, route.tags) if route else ({}, ())
    mirror = services.mirror(repository.clone_url, repository.id)
    branch = repository.default_branch
    try:
        fetched = await publish.fetch(forge, mirror)
        return await asyncio.to_thread(
            locate, mirror, alert, fetched.base_commit, branch, paths, tags
        )
    except (GitAway, GitDenied):
        raise
    except GitError as error:
        _log.warning("an alert could not be located", alert=kept.id, why=str(error))
        return None


# The fix


def note_merged(services: Services, event: PullEnded, run_id: str) -> None:
    """If a merged pull request fixes an alert's issue, have its source told. Idempotent."""
    if not run_id or not event.merged:
        return
    run = services.store.get_run(run_id)
    kept = alerts_of(services).of_issue(run.repository_id, run.issue_number)
    if kept is None:
        return
    due = AlertFixed(
        **event.model_dump(include=set(EventSource.model_fields)),
        alert_id=kept.id,
        run_id=run_id,
    )
    services.inbox.keep(check_id_for(f"alert {kept.id} fixed by {run_id}"), "alert_fixed", due)


async def tell_fixed(services: Services, event: AlertFixed) -> str:
    """Tell an alert's source that its fix was merged. Idempotent. Raises `ForgeError`."""
    known = alerts_of(services)
    try:
        kept = known.get(event.alert_id)
    except UnknownAlert:
        return "the alert was forgotten"
    alert = Alert.model_validate_json(kept.report)
    source = _file(services).named(kept.source)
    if source is None or not source_api.can_be_asked(source, alert):
        known.settle(kept.id, "fixed", "Its source is not told: it has no API, or no token is set.")
        return "its source is not told"
    try:
        done = await source_api.resolve_in_next_release(source, alert)
    except (source_api.SourceRefused, SettingsError) as error:
        known.settle(kept.id, "fixed", f"Its source could not be told: {error}")
        return f"its source could not be told: {error}"
    known.settle(kept.id, "fixed", f"At its source {done}.")
    return done
