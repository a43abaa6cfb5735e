"""Looks at pull requests that were merged or closed: what became of the change that was proven.

GitHub tells when, and by which commit; the host's own git tells what that commit changed, and which
commits of the branch took it back since.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from agent.best_of import final_patch
from agent.journal.state import fold
from app.background import repeated
from app.git import ancestry
from app.git.mirror import Mirror
from app.git.process import GitError
from app.github.forge import Forge
from app.github.webhook_events import OutcomeDue
from app.outcomes.comparison import Changes, NotReadable, changes, edited_lines, undoes
from app.outcomes.reverts import WORDS, LaterCommit, MergedChange, reverted_by, titles_of
from app.outcomes.rows import Kind, Outcomes, PullOutcome
from app.publishing import publish
from app.runs.active_run import chosen_attempts
from app.runs.services import Services
from app.storage.records import Run
from app.telemetry import logs

EVERY_S = 60.0
MOST_LATER = 2_000
"""Commits that say to revert something, the newest."""
MOST_OWN = 20
"""Commits of one pull request that are looked for on its base branch."""

_log = logs.get(__name__)


def outcomes_running(services: Services) -> AbstractContextManager[None]:
    """Have pull requests looked at whose time has come, until the end of the block."""

    async def queue_due() -> None:
        Outcomes(services.store.database).queue_due()

    return repeated("outcomes", EVERY_S, queue_due, "merged pull requests could not be looked at")


async def look(services: Services, forge: Forge, event: OutcomeDue) -> str:
    """Find out what became of a pull request, and of the change since. Idempotent.

    Raises `ForgeError`, `GitError`.
    """
    known, run = Outcomes(services.store.database), services.store.get_run(event.run_id)
    kept = known.get(run.id)
    if kept is None or not run.closed:
        return "it is open, or not known any more"
    if not kept.kind or (kept.kind == "closed" and run.closed == "merged"):
        pull = await forge.pull(event.pull_number)
        if pull.open:
            return "it is open again"
        times = {"opened_at": pull.opened_at, "ended_at": pull.ended_at}
        kept = kept.model_copy(update=times | {"branch": pull.base_branch})
        if not pull.merged:
            known.keep(kept.model_copy(update={"kind": "closed"}))
            return "closed"
        commit = await forge.merge_commit(pull.number)
        kept = kept.model_copy(update={"kind": "merged", "commit": commit})
    if not kept.commit:
        known.keep(kept)
        return "merged by a commit that GitHub does not name"
    mirror = services.mirror((await forge.repository()).clone_url, run.repository_id)
    try:
        fetched = await publish.fetch(forge, mirror, kept.branch)
        patch = _proven_patch(services, run)
        found = await asyncio.to_thread(_found, mirror, fetched.base_commit, kept, run, patch)
    except GitError as error:
        # Its branch may be gone, or rewritten: what is known already stays.
        _log.info("an outcome could not be read", run=run.id, why=str(error))
        found = kept
    known.keep(found)
    return f"{found.kind}{f', reverted by {found.reverted_by[:12]}' if found.reverted_by else ''}"


def _proven_patch(services: Services, run: Run) -> str:
    """The patch that the pull request had last, as it was judged; empty: it is archived."""
    events = [recorded.event for recorded in services.store.events(run.id)]
    chosen = chosen_attempts(events)[-1:]
    return final_patch(fold(e for e in events if e.attempt == chosen[0])) if chosen else ""


def _found(mirror: Mirror, tip: str, kept: PullOutcome, run: Run, patch: str) -> PullOutcome:
    """What git tells of a merged pull request. Raises `GitError`."""
    if kept.kind == "merged":
        kept = _compared(mirror, kept, patch)
    before = ancestry.first_parents(mirror, kept.commit, kept.commits + 1)[-1]
    try:
        merged = changes(mirror.diff(before, kept.commit))
    except NotReadable:
        return kept

    def own_changes(later: LaterCommit) -> Changes:
        try:
            return changes(mirror.diff(f"{later.id}^1", later.id))
        except (GitError, NotReadable):
            return {}

    def is_undone(later: LaterCommit) -> bool:
        return undoes(own_changes(later), merged)

    def is_restored(later: LaterCommit, revert: LaterCommit) -> bool:
        return undoes(own_changes(later), own_changes(revert))

    own = ancestry.saying(mirror, before, kept.commit, ("",), MOST_OWN)
    titles = frozenset[str]().union(*(titles_of(message) for _, _, message in own))
    ids = tuple(commit for commit, _, _ in own)
    named = MergedChange(ids, titles, run.pull_number, run.repository)
    later = [
        LaterCommit(commit, datetime.fromtimestamp(at, UTC), message)
        for commit, at, message in ancestry.saying(mirror, kept.commit, tip, WORDS, MOST_LATER)
    ]
    by = reverted_by(named, later, is_undone, is_restored)
    update = {"reverted_by": by.id if by else "", "reverted_at": by.at if by else None}
    return kept.model_copy(update=update)


def _compared(mirror: Mirror, kept: PullOutcome, patch: str) -> PullOutcome:
    """Whether what was merged is the proven patch: one commit of the branch, or, where the pull
    request was rebased, several, of which those are taken that are nearest to it.

    Raises `GitError`.
    """
    line = ancestry.first_parents(mirror, kept.commit, MOST_OWN)
    try:
        proven = changes(patch)
        edited, count = edited_lines(proven, changes(mirror.diff(line[1], kept.commit))), 1
        for number in range(2, len(line)):
            if not edited:
                break
            wider = edited_lines(proven, changes(mirror.diff(line[number], kept.commit)))
            if wider < edited:
                edited, count = wider, number
    except (NotReadable, IndexError):
        return kept
    if not proven:
        return kept
    kind: Kind = "edited" if edited else "untouched"
    return kept.model_copy(update={"kind": kind, "lines_edited": edited, "commits": count})
