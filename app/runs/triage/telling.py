"""What is said of an issue that a night looked at, where its settings want that; what is kept.

Nothing is written without evidence. Every comment is found again by its marker, so whoever comes
after a crash changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from agent.journal.events import now
from app.github.errors import ConversationLocked
from app.github.records import IssueThread
from app.nightly.issue_text import Missing
from app.publishing.comments import information_comment, triage_comment
from app.publishing.markers import INFORMATION_MARKER, run_marker
from app.repo_config.effective import EffectiveConfig
from app.runs.active_run import ActiveRun
from app.runs.results import Ended, Prepared, Published
from app.storage.nights.records import Finding, Triage
from app.storage.nights.store import Nights


@dataclass(frozen=True, slots=True)
class Found:
    """What the issue is, and the evidence."""

    finding: Finding
    words: str
    duplicate_of: int = 0
    commit: str = ""
    attempt: int = 0
    """The one that wrote the reproduction; 0: none did."""
    missing: tuple[Missing, ...] = ()


async def tell_without_fix(run: ActiveRun, prepared: Prepared, attempt: int, why: str) -> Published:
    """The issue was reproduced, but no fix was proven: that, and nothing else, is said."""
    config = await run.services.config(run.forge)
    said = "It was reproduced on the default branch's tip. No fix was proven."
    return await tell(run, prepared, config, Found("reproduced", f"{said} {why}", attempt=attempt))


async def tell(
    run: ActiveRun, prepared: Prepared, config: EffectiveConfig, found: Found
) -> Published:
    """Say on the issue what there is evidence for, if the settings want that; keep it."""
    kept, asked = _nights(run).of_run(run.record.id), False
    schedule, words = config.schedule, found.words
    thread = await run.forge.issue(run.record.issue_number)
    if schedule.then == "report" or not schedule.at or not thread.open or thread.locked:
        pass
    elif found.finding == "needs_info" and schedule.ask and kept is not None:
        asked, words = await _ask(run, thread, kept, found)
    elif found.finding == "reproduced" or (found.finding == "fixed" and found.commit):
        run.check_lease()
        facts, state = run.facts(prepared), run.state(found.attempt)
        text = triage_comment(facts, found.finding, state, commit=found.commit)
        await _say(run, run_marker(run.record.id, "triage"), text)
    keep(run, replace(found, words=words), asked=asked)
    return Published("diagnosis", found.attempt or 1, reason=words)


def settle(run: ActiveRun, ended: Ended) -> None:
    """The run is over: keep what became of the issue, and what it took."""
    known = _nights(run)
    kept = known.of_run(run.record.id)
    if kept is None:
        return
    usage = [run.state(number).usage for number in range(1, run.next_attempt())]
    values: dict[str, object] = {
        "tokens": sum(each.prompt_tokens + each.completion_tokens for each in usage),
        "seconds": max(0, round((now() - run.record.created_at).total_seconds())),
    }
    if ended.outcome == "proven" and ended.pull:
        values |= {"finding": "proven", "words": "A pull request was opened, with its proof."}
    elif not kept.finding:
        values |= {"finding": "not_tried", "words": ended.reason or "It was stopped."}
    elif kept.finding == "reproduced" and ended.outcome in ("stopped", "failed") and ended.reason:
        values |= {"words": f"{kept.words} Then: {ended.reason}".strip()}
    known.found(run.record.id, **values)


def digest(thread: IssueThread, own_login: str) -> str:
    """A hash of all that others than the App wrote on an issue."""
    said = [c.body for c in thread.comments if c.author != own_login]
    return hashlib.sha256(json.dumps([thread.title, thread.body, *said]).encode()).hexdigest()


async def _ask(run: ActiveRun, thread: IssueThread, kept: Triage, found: Found) -> tuple[bool, str]:
    """Ask for what the issue lacks, once ever; whether it was asked, and the words for that."""
    if _nights(run).asked_before(kept.repository_id, kept.issue_number, kept.run_id):
        return False, f"{found.words} It was asked for it before."
    name = run.services.settings.github_app_slug
    text = information_comment(run.facts(), thread.author, found.missing, name=name)
    run.check_lease()
    said = await _say(run, INFORMATION_MARKER, text)
    return said, f"{found.words} It was asked for it." if said else found.words


async def _say(run: ActiveRun, marker: str, text: str) -> bool:
    try:
        await run.forge.put_comment(run.record.issue_number, marker, text)
    except ConversationLocked:
        return False
    return True


def keep(run: ActiveRun, found: Found, *, asked: bool = False) -> None:
    """Keep what was found."""
    run.check_lease()
    _nights(run).found(
        run.record.id,
        finding=found.finding,
        words=found.words,
        duplicate_of=found.duplicate_of,
        commit_id=found.commit,
        asked=asked,
    )


def _nights(run: ActiveRun) -> Nights:
    return Nights(run.store.database)
