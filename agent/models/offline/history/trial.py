"""Undoing what broke it: the first hypothesis where the history names a commit."""

from __future__ import annotations

from collections.abc import Sequence

from agent.models.offline.history.culprit import Culprit
from agent.models.offline.history.undoing import candidates
from agent.models.offline.localise import Unit
from agent.models.offline.mutations import Mutant
from agent.models.offline.protocol import Steps
from agent.models.offline.search import (
    Search,
    SearchContext,
    compared,
    decide,
    propose,
    resolve,
    screened,
)


def undo_culprits(
    context: SearchContext, state: Search, culprits: Sequence[Culprit]
) -> Steps[bool]:
    """Undo each hunk of these commits, alone and together, until the gate holds."""
    for culprit in culprits:
        ways = candidates(culprit, context.texts)
        if ways and (yield from _undo(context, state, culprit, ways)):
            return True
    return False


def _undo(
    context: SearchContext, state: Search, culprit: Culprit, ways: Sequence[Mutant]
) -> Steps[bool]:
    unit = _unit(culprit, ways)
    yield from propose(state, unit, len(ways))
    screening = yield from screened(
        context,
        state,
        ways,
        f"{culprit.words} Undo each of its hunks, alone and together, merged with what came later.",
    )
    survivors = least(screening.survivors)
    if not survivors:
        evidence = f"Undoing parts of it does not do: {screening.summary}."
        yield from resolve(state, "refute", evidence, [screening.call_id])
        return False
    seen = yield from compared(context, state, survivors)
    # What raised before the commit may well have to: only what is documented speaks against it.
    kept = [m for m in survivors if m not in seen or not seen[m].contradicted]
    return (yield from decide(context, state, unit, kept or survivors, seen, [screening.call_id]))


def least(survivors: Sequence[Mutant]) -> list[Mutant]:
    """Those that undo the least: what was meant by the rest of the commit is to stay."""
    most = max((m.score for m in survivors), default=0.0)
    return [m for m in survivors if m.score == most]


def _unit(culprit: Culprit, ways: Sequence[Mutant]) -> Unit:
    path = ways[0].path
    own = [m for m in ways if m.path == path]
    name = f"what commit {culprit.commit} changed"
    return Unit(path, name, min(m.first for m in own), max(m.last for m in own), 1.0)
