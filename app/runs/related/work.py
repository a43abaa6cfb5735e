"""What is known about an issue before work begins: who else is at it, and what was tried.

Everything but the reasons why something is listed is other people's text. Who they are is left out:
it is no evidence, and prompts are exported.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter

from agent.journal.events import HypothesisResolved, RunEnded, Submitted
from agent.task import Issue, RelatedWork
from agent.text.fingerprints import Fingerprint, fingerprint
from app.git import ancestry
from app.git.mirror import Mirror
from app.git.process import GitError
from app.github.errors import ForgeAway, ForgeError, RateLimited
from app.github.records import Pull
from app.publishing.facts import FACTS_LOG, read_preferences
from app.publishing.rendering import PHRASES
from app.repo_config.effective import EffectiveConfig
from app.runs.active_run import ActiveRun
from app.runs.related.mentions import (
    branch_is_about,
    mentions,
    named_files,
    says_to_close,
    versions,
)
from app.storage.records import Run
from app.telemetry import logs

RELATED_LOG = "related"
"""Log id under which it is kept."""
FINGERPRINT_LOG = "fingerprint"
"""Log id under which a run's failure is kept, for later runs to find it."""
CLAIMED_LOG = "claimed"
"""Log id under which a run keeps that it did not begin, for a pull request claims its issue."""
MOST_PULLS = 200
"""Open pull requests that are looked at, those that changed last."""
_MOST_LISTED_FILES = 10
"""Pull requests whose files are asked for; each is a request."""
_MOST_FILES = 100
"""Of each of these, so that it is one request."""
_MOST_CLAIMS = 10
"""Pull requests that name the issue and are read for a claim."""
_MOST_TOLD = 50
_MOST_EARLIER = 50
_MOST_EVENTS = 50
_MOST_LATER = 500
_MOST_OF_A_KIND = 4
_LONGEST = 300
T = TypeVar("T")
_KEPT: TypeAdapter[tuple[RelatedWork, ...]] = TypeAdapter(tuple[RelatedWork, ...])
_FINGERPRINT = TypeAdapter(Fingerprint)
_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found."""

    related: tuple[RelatedWork, ...] = ()
    claims: tuple[Pull, ...] = ()
    """Open pull requests of others that say to close the issue; anybody may open one."""


async def look_around(
    run: ActiveRun,
    issue: Issue,
    mirror: Mirror,
    commit: str,
    *,
    branches: Collection[str],
    is_private: bool,
) -> Surroundings:
    """Look at what GitHub, the history and earlier runs know of an issue.

    Pull requests onto other branches than these claim nothing. Good to have: what cannot be read
    is left out. Raises `ForgeAway` and `RateLimited`.
    """
    number = run.record.issue_number
    words = "\n".join((issue.title, issue.body, *issue.comments))
    files = await _or_nothing(run, asyncio.to_thread(named_files, mirror, commit, words))
    try:
        pulls = await run.forge.open_pulls(MOST_PULLS)
        own = await run.forge.bot_login()
        others = [pull for pull in pulls if pull.author != own]
        shared = await _sharing_files(run, others, files)
    except (ForgeAway, RateLimited):
        raise
    except ForgeError as error:
        _log.warning("open pull requests are not known", run=run.record.id, why=str(error))
        others, shared = [], {}
    onto = [pull for pull in others if pull.base_branch in branches]
    claims = await asyncio.to_thread(_claims, onto, number, run.record.repository)
    related = [
        *_pulls(others, claims, shared, number, run.record.repository),
        *await _or_nothing(run, asyncio.to_thread(_branches, mirror, others, number)),
        *await _or_nothing(run, asyncio.to_thread(_commits, mirror, commit, words, number, files)),
        *await asyncio.to_thread(_earlier_runs, run, fingerprint(words), is_private=is_private),
    ]
    return Surroundings(tuple(related), claims)


def keep(run: ActiveRun, found: Surroundings, issue: Issue) -> None:
    """Keep what was found for the run's attempts, and the failure for later runs."""
    words = "\n".join((issue.title, issue.body, *issue.comments))
    run.store.put_log(run.record.id, RELATED_LOG, _KEPT.dump_json(found.related))
    run.store.put_log(run.record.id, FINGERPRINT_LOG, _bytes(fingerprint(words)))


def kept_work(run: ActiveRun) -> tuple[RelatedWork, ...]:
    """What was kept."""
    found = run.store.get_log(run.record.id, RELATED_LOG)
    return _KEPT.validate_json(found) if found else ()


def keep_failure(run: ActiveRun, attempt: int) -> None:
    """Add an attempt's reproduction to the run's failure."""
    shown = run.state(attempt).reproduction
    if shown is None:
        return
    known = _fingerprint_of(run, run.record.id)
    more = fingerprint(f"{shown.command}\n{shown.observed}")
    run.store.put_log(run.record.id, FINGERPRINT_LOG, _bytes(known.joined(more)))


async def why_not_begun(run: ActiveRun, found: Surroundings, config: EffectiveConfig) -> str:
    """The words for an issue that others' pull requests claim; empty where work may begin.

    Only claims of people who may write to the repository count. Work may begin where the
    repository wants that, or where a person asks for it after they were told: with a command at
    any time, otherwise if there is no new claim. Raises `ForgeAway` and `RateLimited`.
    """
    trigger = run.record.trigger
    if not found.claims or config.when_claimed == "work" or trigger.goal == "culprit":
        return ""
    claims = await _of_writers(run, found.claims)
    told = _told_before(run)
    numbers = {pull.number for pull in claims}
    by_command = trigger.by in ("command", "mention")
    if not claims or (told and by_command):
        return ""
    if numbers <= told and trigger.by != "failed_check":
        return ""
    run.store.put_log(run.record.id, CLAIMED_LOG, _names(claims).encode())
    name = run.services.settings.github_app_slug
    return PHRASES[config.language].claimed.format(pulls=_names(claims), name=name)


def remark_claims(run: ActiveRun, found: Surroundings, config: EffectiveConfig) -> None:
    """Have the run's reports say which pull requests of others claim the issue, too."""
    if not found.claims:
        return
    said = PHRASES[config.language].also_claimed.format(pulls=_names(found.claims))
    preferences = read_preferences(run.store.get_log(run.record.id, FACTS_LOG))
    if said not in preferences.remarks:  # before a crash
        more = preferences.model_copy(update={"remarks": (*preferences.remarks, said)})
        run.store.put_log(run.record.id, FACTS_LOG, more.model_dump_json().encode())


def _claims(pulls: Sequence[Pull], number: int, repository: str) -> tuple[Pull, ...]:
    """The pull requests that claim an issue; from forks last, which anybody has."""
    first = sorted(pulls, key=lambda pull: pull.from_fork)
    naming = (p for p in first if f"#{number}" in f"{p.title}\n{p.body}")
    looked_at = itertools.islice(naming, _MOST_CLAIMS)
    return tuple(p for p in looked_at if says_to_close(p, number, repository))


async def _of_writers(run: ActiveRun, claims: Sequence[Pull]) -> tuple[Pull, ...]:
    """The claims of people who may write to the repository, as GitHub says now."""
    may_write: dict[str, bool] = {}
    for author in {pull.author: None for pull in claims}:
        try:
            may_write[author] = (await run.forge.permission(author)).at_least("write")
        except (ForgeAway, RateLimited):
            raise
        except ForgeError as error:
            _log.warning("what an author may do is not known", run=run.record.id, why=str(error))
    return tuple(pull for pull in claims if may_write.get(pull.author))


def _told_before(run: ActiveRun) -> set[int]:
    """The pull requests that earlier runs on the issue did not begin for, and said so."""
    record = run.record
    kept = run.store.logs_of_issue(
        record.repository_id, record.issue_number, CLAIMED_LOG, _MOST_TOLD, but=record.id
    )
    return {int(word) for said in kept for word in re.findall(r"#(\d+)", said.decode())}


def _names(claims: Sequence[Pull]) -> str:
    return ", ".join(f"#{pull.number}" for pull in claims)


async def _or_nothing(run: ActiveRun, found: Awaitable[Sequence[T]]) -> Sequence[T]:
    """What git finds; nothing where it cannot be read."""
    try:
        return await found
    except GitError as error:
        _log.warning("related work is not known", run=run.record.id, why=str(error))
        return ()


async def _sharing_files(
    run: ActiveRun, pulls: Sequence[Pull], files: Sequence[str]
) -> dict[int, list[str]]:
    """Which of these files each of the pull requests changes that changed last."""
    found = {}
    for pull in pulls[:_MOST_LISTED_FILES] if files else ():
        changed = set(await run.forge.changed_paths(pull.number, most=_MOST_FILES))
        if shared := [file for file in files if file in changed]:
            found[pull.number] = shared
    return found


def _pulls(
    pulls: Sequence[Pull],
    claims: Sequence[Pull],
    shared: dict[int, list[str]],
    number: int,
    repository: str,
) -> list[RelatedWork]:
    """Those that claim the issue, mention it, or change files that it names, in this order."""
    found: list[tuple[int, RelatedWork]] = []
    for pull in sorted(pulls, key=lambda each: each.from_fork):  # which anybody has, last
        about = ""
        rank = 0
        if pull in claims:
            about = "an open pull request says that it fixes this issue"
        elif mentions(f"{pull.title}\n{pull.body}", number, repository):
            rank, about = 1, "an open pull request mentions this issue"
        elif pull.number in shared:
            rank, about = 2, "an open pull request changes files that the issue names"
        if about:
            files = ", ".join(shared.get(pull.number, ()))
            found.append((rank, _listed(pull, about, files)))
    return [work for _, work in sorted(found, key=lambda each: each[0])][:_MOST_OF_A_KIND]


def _listed(pull: Pull, about: str, files: str) -> RelatedWork:
    return RelatedWork(
        kind="pull request",
        name=f"#{pull.number}",
        why=about,
        title=f"{pull.title[:_LONGEST]} (branch {pull.branch[:100]})",
        detail=files[:_LONGEST],
    )


def _branches(mirror: Mirror, pulls: Sequence[Pull], number: int) -> list[RelatedWork]:
    """Branches named after the issue that no open pull request has."""
    known = {pull.branch for pull in pulls}
    return [
        RelatedWork(
            kind="branch",
            name=branch[:_LONGEST],
            why="a branch is named after this issue, without an open pull request",
        )
        for branch in mirror.branches()
        if branch not in known and branch_is_about(branch, number)
    ][:_MOST_OF_A_KIND]


def _commits(
    mirror: Mirror, commit: str, words: str, number: int, files: Sequence[str]
) -> list[RelatedWork]:
    """Commits after the version that the issue names that mention it, or change files it names."""
    tag = ancestry.newest_tag(mirror, commit, versions(words))
    if tag is None:
        return []
    since = f"merged after {tag.name[:100]}, which the issue names, and"
    later = ancestry.log(mirror, commit, _MOST_LATER, after=tag.commit)
    changing = set(ancestry.touching(mirror, commit, files, len(later))) if files else set()
    found = []
    for each in later:
        about = ""
        if mentions(each.subject, number, ""):
            about = f"{since} mentions this issue"
        elif each.id in changing:
            about = f"{since} changes files that the issue names"
        if about:
            subject = each.subject[:_LONGEST]
            work = RelatedWork(kind="commit", name=each.id[:12], why=about, title=subject)
            found.append((not mentions(each.subject, number, ""), work))
    return [work for _, work in sorted(found, key=lambda each: each[0])][:_MOST_OF_A_KIND]


def _earlier_runs(run: ActiveRun, failure: Fingerprint, *, is_private: bool) -> list[RelatedWork]:
    """Earlier runs of this repository on the same issue, or on the same failure."""
    record = run.record
    found: list[tuple[bool, Run, str]] = []
    for past in run.store.ended_before(record.repository_id, record.id, _MOST_EARLIER):
        # What was found while the repository was private is not for a time when it is not.
        if not is_private and past.visibility in ("private", "asked"):
            continue
        same = past.issue_number == record.issue_number
        shared = "" if same else failure.shared_with(_fingerprint_of(run, past.id))
        if (same or shared) and run.store.get_log(past.id, CLAIMED_LOG) is None:
            why = "an earlier run on this issue" if same else f"an earlier run, with {shared}"
            found.append((not same, past, why))
    first = sorted(found, key=lambda each: each[0])[:_MOST_OF_A_KIND]
    return [_past_run(run, past, why) for _, past, why in first]


def _past_run(run: ActiveRun, past: Run, why: str) -> RelatedWork:
    telling = ("run_ended", "submitted", "hypothesis_resolved")
    events = run.store.newest_of(past.id, telling, _MOST_EVENTS)
    said = [
        *(e.diagnosis for e in events if isinstance(e, RunEnded) and e.diagnosis),
        *(f"root cause: {e.root_cause}" for e in events if isinstance(e, Submitted)),
    ]
    refuted = [
        f"refuted {e.hypothesis}: {e.evidence[:_LONGEST]}"
        for e in events
        if isinstance(e, HypothesisResolved) and e.verdict == "refuted"
    ]
    outcome = f"{past.outcome}, its pull request was {past.closed}" if past.closed else past.outcome
    return RelatedWork(
        kind="earlier run",
        name=f"{past.id} on #{past.issue_number}, ended: {outcome}",
        why=why,
        title=past.title[:_LONGEST],
        detail="\n".join(line[: 2 * _LONGEST] for line in (*said[-2:], *refuted[-3:])),
    )


def _fingerprint_of(run: ActiveRun, run_id: str) -> Fingerprint:
    found = run.store.get_log(run_id, FINGERPRINT_LOG)
    return _FINGERPRINT.validate_json(found) if found else Fingerprint()


def _bytes(found: Fingerprint) -> bytes:
    return _FINGERPRINT.dump_json(found)
