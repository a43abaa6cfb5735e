"""Nights: found in the repositories' files, begun at their time, and reported when all is done.

The issues of a night are chosen once, in one transaction with the start of their runs. Its report
is found again by its marker. So whoever comes after a crash changes nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from datetime import datetime

from agent.journal.events import now
from app.github.app import GithubApp
from app.github.calls.backlog import covered_repositories
from app.github.errors import ForgeAway, ForgeError, IssueGone, RateLimited
from app.github.forge import Forge
from app.github.records import ListedIssue, ListedRepository, Repository
from app.github.webhook_events import NightDue, NightOver, Trigger
from app.intake.context import EventContext
from app.nightly.picking import Known, choose
from app.nightly.times import day_of, next_night
from app.publishing.markers import night_marker
from app.publishing.nights import night_body, night_title
from app.repo_config.schema import ORGANISATION_REPOSITORY, Schedule
from app.runs.related.mentions import closed_issues, mentions
from app.runs.services import Services
from app.runs.triage.telling import digest
from app.storage.nights.records import Night, PassedOver, Picked, Triage
from app.storage.nights.store import Nights
from app.telemetry import logs

MOST_ISSUES = 3000
MOST_PULLS = 500
MOST_COMPARED = 100
"""Issues of earlier nights that changed since, and are read whole to see whose word that was."""
ARCHIVED = "The repository is archived."

_log = logs.get(__name__)


# Which repositories have a schedule


async def look_for_schedules(services: Services, app: GithubApp) -> int:
    """Read the schedules of repositories with new commits; returns how many have one now.

    Raises `ForgeError` where GitHub cannot list the repositories.
    """
    if not services.settings.nightly_issues:
        return 0
    nights = nights_of(services)
    covered = await asyncio.to_thread(lambda: list(covered_repositories(app)))
    known = await asyncio.to_thread(nights.known)
    seen_with = _organisations(covered)
    for repository in covered:
        owner = repository.full_name.partition("/")[0].casefold()
        seen = f"{repository.pushed_at} {seen_with.get(owner, '')}"
        before = known.get(repository.id)
        if before is not None and before.seen == seen:
            continue
        try:
            schedule = await _schedule_of(services, repository)
        except (ForgeAway, RateLimited):
            raise
        except ForgeError as error:
            _log.warning("no schedule", repository=repository.full_name, why=str(error))
            continue
        text = schedule.model_dump_json(exclude_unset=True) if schedule.at else ""
        due = next_night(schedule, now())
        await asyncio.to_thread(nights.set_schedule, repository, seen, text, due)
    gone = known.keys() - {repository.id for repository in covered}
    await asyncio.to_thread(nights.forget, gone)
    return sum(bool(each.schedule) for each in (await asyncio.to_thread(nights.known)).values())


def _organisations(covered: Iterable[ListedRepository]) -> dict[str, str]:
    """When each account's own repository, which has defaults for all others, moved last."""
    names = ((each.full_name.casefold().partition("/"), each.pushed_at) for each in covered)
    return {owner: at for (owner, _, name), at in names if name == ORGANISATION_REPOSITORY}


async def _schedule_of(services: Services, repository: ListedRepository) -> Schedule:
    if repository.archived or not repository.pushed_at:
        return Schedule()
    forge = services.forge(repository.installation_id, repository.full_name, repository.id)
    try:
        config = await services.config(forge)
    finally:
        await forge.close()
    return Schedule() if config.stop or not config.enabled else config.schedule


def begin_due_nights(services: Services, moment: datetime | None = None) -> int:
    """Begin nights whose time has come, and have reports written of those that are over; how many.

    Of all processes that do so, one begins a night. After hours or days without any, each
    repository gets one night, at once.
    """
    nights = nights_of(services)
    begun = nights.begin_due(
        moment or now(),
        lambda text, after: next_night(_read(text), after),
        lambda text, due: day_of(_read(text), due),
    )
    return begun + nights.queue_over()


def _read(text: str) -> Schedule:
    return Schedule.model_validate_json(text) if text else Schedule()


# A night


async def begin_night(context: EventContext, event: NightDue) -> str:
    """Choose the issues that a night looks at, and start their runs. Idempotent.

    Raises `ForgeError`.
    """
    services, forge = context.services, context.forge
    nights = nights_of(services)
    night = nights.get(event.night_id)
    if night.state != "begun":
        return f"is {night.state} already"
    schedule = context.config.schedule
    if not schedule.at or context.config.stop:
        nights.fail(night.id, "The repository's settings want no nights any more.")
        return "no schedule any more"
    repository = await forge.repository()
    if repository.archived:
        nights.fail(night.id, ARCHIVED)
        return ARCHIVED
    issues = await forge.open_issues(MOST_ISSUES)
    pulls = await forge.open_pulls(MOST_PULLS)
    texts = [f"{pull.title}\n{pull.body}" for pull in pulls]
    looked_at = await _unchanged(nights, forge, repository, issues)
    known = Known(
        own_reports=nights.report_issues(repository.id),
        with_runs=nights.asked_for_runs(repository.id) | nights.with_pull_requests(repository.id),
        looked_at=looked_at,
        with_pull_request=_named(texts, issues, repository.full_name),
    )
    chosen = choose(issues, schedule.issues, known, schedule.most, now())
    picked = [
        Picked(trigger=_trigger(repository, issue), changed_at=issue.updated_at)
        for issue in chosen.picked
    ]
    passed = [PassedOver(why=each.why, numbers=each.numbers) for each in chosen.passed_over]
    model = services.settings.profile
    started = await asyncio.to_thread(nights.choose, night.id, picked, passed, model)
    _log.info("a night began", night=night.id, runs=len(started))
    return f"night {night.id}: {len(started)} issues"


async def _unchanged(
    nights: Nights, forge: Forge, repository: Repository, issues: Iterable[ListedIssue]
) -> dict[int, datetime]:
    """When the issues of earlier nights had their last change that counts.

    What the App itself wrote since does not: that is seen in what others wrote, which is the same.
    """
    login = await forge.bot_login()
    found = nights.looked_at(repository.id)
    kept = {number: triage.changed_at for number, triage in found.items()}
    changed = (i for i in issues if i.number in found and i.updated_at > kept[i.number])
    for issue in itertools.islice(changed, MOST_COMPARED):
        triage: Triage = found[issue.number]
        if triage.digest and digest(await forge.issue(issue.number), login) == triage.digest:
            nights.unchanged(triage.run_id, issue.updated_at)
            kept[issue.number] = issue.updated_at
    return kept


def _named(texts: Iterable[str], issues: Iterable[ListedIssue], repository: str) -> set[int]:
    """The issues that these pull requests say to close, or mention."""
    said = list(texts)
    closed = {number for text in said for number in closed_issues(text, repository)}
    with_number = [text for text in said if "#" in text or "/issues/" in text]
    return closed | {
        issue.number
        for issue in issues
        if not issue.is_pull
        and any(mentions(text, issue.number, repository) for text in with_number)
    }


def _trigger(repository: Repository, issue: ListedIssue) -> Trigger:
    return Trigger(
        installation_id=repository.installation_id,
        repository=repository.full_name,
        repository_id=repository.id,
        default_branch=repository.default_branch,
        archived=repository.archived,
        sender="",
        sender_is_bot=True,
        private=repository.private,
        issue_number=issue.number,
        issue_title=issue.title,
        issue_body=issue.body,
        issue_author=issue.author,
        issue_open=True,
        is_pull_request=False,
        label="",
        by="schedule",
        goal="triage",
    )


# Its report


async def report_night(services: Services, forge: Forge, event: NightOver) -> str:
    """Write a night's report where its schedule wants it. Idempotent. Raises `ForgeError`."""
    nights = nights_of(services)
    night = nights.get(event.night_id)
    if night.state != "over":
        return f"is {night.state} already"
    schedule, found = _read(night.schedule), nights.triages_of(night.id)
    number = 0
    # Whoever turned the App off since wants no issue of it: then the page alone tells.
    if schedule.report != "page" and (await services.config(forge)).enabled:
        repository = await forge.repository()
        if not repository.archived:
            number = await _write_report(services, forge, night, schedule, found)
    nights.reported(night.id, number)
    return f"reported in #{number}" if number else "reported"


async def _write_report(
    services: Services, forge: Forge, night: Night, schedule: Schedule, found: list[Triage]
) -> int:
    """The number of the issue; 0: there is nothing to write."""
    nights, one_for_all = nights_of(services), schedule.report == "issue"
    marker = night_marker(night.repository_id, "" if one_for_all else night.id)
    title = night_title(night, one_for_all=one_for_all)
    url = services.settings.public_url
    web = services.settings.github_web_url.rstrip("/")
    body = night_body(night, schedule, found, web_url=web, base_url=url)
    number = night.report_issue or (
        nights.last_report_issue(night.repository_id) if one_for_all else 0
    )
    if number:
        try:
            await forge.edit_issue(number, marker, title, body, reopen=bool(found))
        except IssueGone:
            number = 0
        else:
            return number
    if not found:  # no issue is opened to say that there was nothing
        return 0
    number = await forge.open_issue(marker, title, body)
    nights.set_report_issue(night.id, number)
    # One that was there, from before a crash, may have another night's text.
    await forge.edit_issue(number, marker, title, body)
    return number


def gave_up(services: Services, event: NightDue | NightOver, why: str) -> None:
    """The night could not be held, or its report not be written: said on its page."""
    nights = nights_of(services)
    if isinstance(event, NightDue):
        nights.fail(event.night_id, why)
    else:
        nights.reported(event.night_id, 0, f"Its report could not be written to an issue: {why}")


def nights_of(services: Services) -> Nights:
    """The nights in the database of these services."""
    return Nights(services.store.database)
