"""Hidden marks and branch names by which the App finds its own work again."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

from app.publishing.facts import RunFacts

INFORMATION_MARKER = "<!-- patchwright:information -->"
"""The hidden first line of what asks an issue's author for what it lacks: there is one for each
issue, ever."""


def night_marker(repository_id: int, night_id: str = "") -> str:
    """The hidden first line of a report of nights: of all of a repository's, or of one alone."""
    about = f" night={night_id}" if night_id else ""
    return f"<!-- patchwright:nightly repository={repository_id}{about} -->"


def run_marker(
    run_id: str, kind: Literal["status", "pull", "diagnosis", "settings", "triage"]
) -> str:
    """The hidden first line of what the App writes for a run: the key to find it again."""
    return f"<!-- patchwright:{kind} run={re.sub(r'[^A-Za-z0-9._:/#-]', '_', run_id)} -->"


DEFAULT_PREFIX = "patchwright/"


def branch_name(facts: RunFacts, prefix: str = DEFAULT_PREFIX) -> str:
    """`patchwright/issue-N-slug`: after the prefix letters, digits and single hyphens only."""
    plain = unicodedata.normalize("NFKD", facts.issue_title).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].strip("-")
    return f"{prefix}issue-{facts.issue_number}" + (f"-{slug}" if slug else "")


def own_branch_name(facts: RunFacts, prefix: str = DEFAULT_PREFIX) -> str:
    """The branch used if `branch_name` has somebody else's commits: with the run's id added."""
    suffix = re.sub(r"[^a-z0-9]+", "-", facts.run_id.lower()).strip("-")[-12:].strip("-")
    return f"{branch_name(facts, prefix)}-{suffix}"


def branch_names(facts: RunFacts, prefix: str = DEFAULT_PREFIX) -> tuple[str, ...]:
    """The names that a run's branch may have, the best first.

    The last ones are for a repository with a branch called like the prefix's folder, in which
    git can make no branch.
    """
    flat = prefix.replace("/", "-")
    names = [branch_name(facts, prefix), own_branch_name(facts, prefix)]
    if flat != prefix:
        names += [branch_name(facts, flat), own_branch_name(facts, flat)]
    return tuple(names)


def possible_names(names: Iterable[str], existing: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that can exist beside the branches that there are.

    Git keeps a branch `a/b` in a folder `a`, so it cannot exist beside a branch `a`. Letters count
    without their case: a clone on macOS or Windows could not keep two that differ in nothing else.
    """
    taken = {name.casefold(): name for name in existing}
    folders = {folder for name in taken for folder in _folders(name)}
    return tuple(
        name
        for name in names
        if name.casefold() not in folders
        and taken.get(name.casefold(), name) == name
        and not any(folder in taken for folder in _folders(name.casefold()))
    )


def _folders(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def reply_marker(run_id: str, key: str) -> str:
    """The hidden first line of the answer to one comment."""
    return f"<!-- patchwright:reply run={run_id} to={key} -->"


def question_marker(run_id: str, number: int) -> str:
    """The hidden first line of a question that a run asks."""
    return f"<!-- patchwright:question run={run_id} number={number} -->"


def change_marker(run_id: str, attempt: int) -> str:
    """The hidden first line of what is said of a change that could not be pushed."""
    return f"<!-- patchwright:change run={run_id} attempt={attempt} -->"


def round_marker(run_id: str, number: int) -> str:
    """The hidden first line of what a round says on the pull request's page."""
    return f"<!-- patchwright:round run={run_id} round={number} -->"
