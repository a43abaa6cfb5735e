"""A search as the journal keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.bisection.records import Bisection, Commit, Trial
from agent.journal.events import AnyEvent, CommitTried, CulpritSearched

_MOST_SUSPECTS = 20


def commit_tried(trial: Trial, commits: Mapping[str, Commit]) -> CommitTried:
    """One commit's try. `commits`: all that are searched by their ids, the newest first."""
    return CommitTried(
        commit=trial.commit,
        subject=commits[trial.commit].subject[:200],
        outcome=trial.outcome,
        why=trial.why,
        duration_ms=round(trial.duration_s * 1000),
        place=list(commits).index(trial.commit),
        of=len(commits),
    )


def culprit_searched(found: Bisection, commits: Mapping[str, Commit]) -> CulpritSearched:
    """The search's answer."""
    culprit = commits.get(found.culprit)
    return CulpritSearched(
        finding=found.finding,
        commit=found.culprit,
        subject=culprit.subject[:200] if culprit else "",
        author=culprit.author[:100] if culprit else "",
        at=culprit.at if culprit else 0,
        suspects=found.suspects[:_MOST_SUSPECTS],
        commits=found.commits,
        runs=found.runs,
    )


def kept_trials(events: Iterable[AnyEvent]) -> tuple[Trial, ...]:
    """What a search that was interrupted had tried."""
    return tuple(
        Trial(
            commit=event.commit,
            outcome=event.outcome,
            why=event.why,
            duration_s=event.duration_ms / 1000,
        )
        for event in events
        if isinstance(event, CommitTried)
    )
