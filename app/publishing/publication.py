"""How far a run's publication came: a fold over its journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agent.best_of import final_patch, preference
from agent.journal.events import AnyEvent, PublicationStep, RunEnded
from agent.journal.state import AttemptState, fold
from app.publishing.obstacles import Obstacle

PATCH_LOG = "patch"
"""Log id under which a patch is kept that could not be published."""


@dataclass(frozen=True, slots=True)
class Publication:
    """How far it came."""

    base: str = ""
    """The commit that the patch applies to; empty: the one that it was made from."""
    branch: str = ""
    """The branch that has the patch; empty: it was not pushed."""
    commit: str = ""
    pull: int = 0
    url: str = ""
    """The pull request's address."""
    obstacle: Obstacle | None = None
    """What was in the way last; None: nothing."""
    told: str = ""
    """Where people were told of it: `comment`, `check`, `page`; empty: nowhere yet."""


@dataclass(frozen=True, slots=True)
class KeptChange:
    """A proven change to an open pull request that could not be pushed to its branch."""

    attempt: int
    """The attempt that made it."""
    obstacle: Obstacle
    """What was in the way last."""
    head: str
    """The commit of the pull request that it builds on."""
    tree: str
    """The commit that its diff applies to: `head`, or the base branch's tip that it conflicted
    with."""
    told: str = ""
    """Where people were told of it: `comment`, `check`, `page`; empty: nowhere yet."""


def publication_of(events: Iterable[AnyEvent]) -> Publication:
    """The publication after these events."""
    current = Publication()
    for event in events:
        if isinstance(event, PublicationStep) and not event.change:
            current = _after(current, event)
    return current


def kept_change(events: Iterable[AnyEvent]) -> KeptChange | None:
    """The newest change that is still to be pushed; None: there is none."""
    kept: KeptChange | None = None
    for event in events:
        if not isinstance(event, PublicationStep) or not event.change:
            continue
        if event.status == "refused":
            found = _obstacle_of(event)
            told = kept.told if kept and kept.attempt == event.change else ""
            kept = KeptChange(event.change, found, event.commit, event.base, told)
        elif event.step == "push":
            kept = None
        elif event.step == "tell" and event.status == "done" and kept is not None:
            kept = replace(kept, told=event.kind)
    return kept


def _obstacle_of(event: PublicationStep) -> Obstacle:
    return Obstacle(event.kind, event.detail, event.words, event.places)


def _after(before: Publication, event: PublicationStep) -> Publication:
    if event.status == "refused":
        refused = _obstacle_of(event)
        # What was proven before on another base is of no use to a later attempt's patch.
        base = "" if event.step == "prove" else before.base
        return replace(before, obstacle=refused, base=base)
    if event.status == "left_out":
        return before
    match event.step:
        case "prove":
            return replace(before, base=event.base)
        case "push":
            return replace(before, branch=event.branch, commit=event.commit, obstacle=None)
        case "pull":
            pull, url = event.pull, event.url
            return replace(before, branch=event.branch, pull=pull, url=url, obstacle=None)
        case "tell":
            return replace(before, told=event.kind)
        case _:
            return before


def kept_proof(events: Sequence[AnyEvent]) -> int:
    """The attempt whose patch a run would publish; 0: there is none.

    It is the one that an earlier round chose, else the best that ended with a patch.
    """
    chosen = [e.chosen_attempt for e in events if isinstance(e, RunEnded) and e.chosen_attempt]
    numbers = sorted({e.attempt for e in events if e.attempt > 0})
    states = {n: fold(e for e in events if e.attempt == n) for n in chosen[-1:] or numbers}
    with_patch = {n: state for n, state in states.items() if has_patch(state)}
    return min(with_patch, key=lambda n: (*preference(with_patch[n]), -n), default=0)


def has_patch(state: AttemptState) -> bool:
    """Whether an attempt ended with a patch to publish, proven or as a draft."""
    return state.outcome in ("proven", "draft") and bool(final_patch(state).strip())
