"""Who knows the patched lines: the author of the change that broke it, and who wrote them last."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from agent.gate.patch.parse import BadPatch, Hunk, parse_patch
from agent.journal.state import AttemptState
from agent.testing.paths import is_test
from app.git.line_history import Lines, last_changes
from app.git.mirror import Mirror
from app.git.process import GitError
from app.github.forge import Forge
from app.publishing.facts import RunFacts, patch_of
from app.telemetry import logs

MOST_PEOPLE = 3
"""Most people that are asked; more would each think that another looks at it."""
_MOST_COMMITS = 8
"""Commits whose authors are looked up."""
_MOST_FILES, _MOST_RANGES = 5, 20
_log = logs.get(__name__)


async def people_who_know(
    forge: Forge, mirror: Mirror, run: RunFacts, state: AttemptState
) -> tuple[str, ...]:
    """Logins to ask for a review, the author of the change that broke it first.

    All of them have access to the repository now. Who asked for the run is none of them: they are
    told anyway. Raises `ForgeError`.
    """
    commits = []
    if state.culprit is not None and state.culprit.finding == "found":
        commits.append(state.culprit.commit)
    try:
        lines = replaced_lines(patch_of(state))
        # Where the branch moved, this is its tip: the gate proves a patch there only if each hunk
        # stands at the same lines.
        commits += await asyncio.to_thread(last_changes, mirror, run.base_commit, lines)
    except (BadPatch, GitError) as error:
        _log.info("no authors of lines", run=run.run_id, why=str(error))
    own = await forge.bot_login()
    passed_over = {run.requester.casefold(), own.casefold(), ""}
    found: list[str] = []
    for commit in list(dict.fromkeys(commits))[:_MOST_COMMITS]:
        login = await forge.commit_author(commit)
        if login.casefold() in passed_over:
            continue
        passed_over.add(login.casefold())
        if await forge.is_collaborator(login):
            found.append(login)
        if len(found) == MOST_PEOPLE:
            break
    return tuple(found)


def replaced_lines(patch: str) -> Mapping[str, Sequence[Lines]]:
    """The lines of the base that a patch removes, or adds something after; not those of tests.

    Raises `BadPatch`.
    """
    found: dict[str, list[Lines]] = {}
    for change in parse_patch(patch):
        if change.kind == "added" or is_test(change.path):
            continue
        moved, ranges = 0, []
        for hunk in change.hunks:
            ranges += _ranges(hunk, moved)
            moved += len(hunk.added) - len(hunk.removed)
        if ranges and len(found) < _MOST_FILES:
            found[change.path] = ranges[:_MOST_RANGES]
    return found


def _ranges(hunk: Hunk, moved: int) -> list[Lines]:
    """A hunk's lines in the old file; `moved`: how many lines the hunks before it add there."""
    if not hunk.removed:
        before = hunk.added[0][0] - moved - 1
        return [(before, before)] if before > 0 else []
    ranges: list[Lines] = []
    for number, _ in hunk.removed:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges
