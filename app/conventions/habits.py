"""What a project's own fixes nearly always touch besides source: counted, and decided by a rule."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from agent.task import Habit
from agent.testing.paths import is_code, is_source
from app.conventions.changes import PastChange

LAST = 20
"""So many of the last fixes are looked at."""
FEWEST = 6
"""Fewer fixes than that show no habit."""
SHARE = 0.75
"""A habit is what so many of them did."""

_FIX = re.compile(
    r"\b(?:fix(?:e[sd]|ing)?|bug(?:fix)?|hotfix|regression|resolve[sd]?|correct(?:s|ed)?|repair)\b",
    re.IGNORECASE,
)
_NO_FIX = re.compile(
    r"^(?:feat|chore|docs?|style|ci|build|test|tests|refactor|release|deps)(?:\([^)]*\))?!?:"
    r"|\b(?:typos?|bump|lint(?:er|ing)?|flaky|ci\b|workflow|docs?\b|documentation|readme|changelog)\b",
    re.IGNORECASE,
)
_LOG = re.compile(
    r"(?:changelog|changes|history|news|releases?|release[-_]?notes|whats?-?new)"
    r"(?:[-_.][\w.-]*)?(?:\.(?:md|rst|txt|adoc|asciidoc))?",
    re.IGNORECASE,
)
_LOG_SUFFIXES = (".md", ".rst", ".txt", ".adoc", ".asciidoc", "")
_ENTRIES = re.compile(
    r"(?:^|/)(?:changelog(?:\.d|s|_unreleased)?|changes(?:\.d)?|news(?:fragments|\.d)?|newsfragments"
    r"|\.changes?|\.changeset|changelog[-_]entries|release[-_]?notes|releasenotes|unreleased|next)/",
    re.IGNORECASE,
)
_DOCS = re.compile(r"(?:^|/)(?:docs?|documentation|website|site)/", re.IGNORECASE)


def habits(changes: Sequence[PastChange]) -> tuple[Habit, ...]:
    """The habits that the last fixes show: a change log, an entry of its own, documents."""
    fixes = [change for change in changes if is_fix(change)][:LAST]
    if len(fixes) < FEWEST:
        return ()
    found = [
        _habit("changelog entry", fixes, _entry_folder),
        _habit("changelog", fixes, _log_file),
        _habit("docs", fixes, _docs_folder),
    ]
    kept = [habit for habit in found if habit is not None]
    if kept and kept[0].kind == "changelog entry":
        # The log itself is then written from the entries at a release.
        kept = [habit for habit in kept if habit.kind != "changelog"]
    return tuple(kept)


def is_fix(change: PastChange) -> bool:
    """Whether a change is a fix of the program: by its title's words, and by what it changes."""
    title = change.subject
    if change.merges:  # "Merge pull request #1 from …", then the pull request's title
        title = change.body.strip().split("\n", 1)[0] or title
    if not _FIX.search(title) or _NO_FIX.search(title):
        return False
    return any(is_source(file.path) for file in change.files)


def _habit(
    kind: str, fixes: Sequence[PastChange], place: Callable[[PastChange], dict[str, str]]
) -> Habit | None:
    """The place that most fixes touch, if enough of them do.

    `place` gives the places that a change touches, each with an example.
    """
    touched = [place(change) for change in fixes]
    counts = Counter(name for places in touched for name in places)
    if not counts:
        return None
    # Files of versions (`changes/2.1.rst`) differ from release to release: their folder is taken.
    name, number = counts.most_common(1)[0]
    if number < SHARE * len(fixes):
        return None
    example = next(places[name] for places in touched if name in places)
    return Habit.model_validate(
        {"kind": kind, "paths": (name,), "touched": number, "of": len(fixes), "example": example}
    )


def _log_file(change: PastChange) -> dict[str, str]:
    found = {}
    for file in change.files:
        pure = PurePosixPath(file.path)
        in_entries = _ENTRIES.search(file.path) is not None
        if _LOG.fullmatch(pure.name) and pure.suffix in _LOG_SUFFIXES and not in_entries:
            found[file.path] = file.path
        elif in_entries and not file.is_new and not is_code(file.path):
            found[f"{pure.parent}/"] = file.path
    return found


def _entry_folder(change: PastChange) -> dict[str, str]:
    return {
        f"{PurePosixPath(file.path).parent}/": file.path
        for file in change.files
        if file.is_new and _ENTRIES.search(file.path) and not is_code(file.path)
    }


def _docs_folder(change: PastChange) -> dict[str, str]:
    found = {}
    for file in change.files:
        match = _DOCS.search(file.path)
        log = _LOG.fullmatch(PurePosixPath(file.path).name) or _ENTRIES.search(file.path)
        if match and not log and not is_code(file.path):
            found[file.path[: match.end()]] = file.path
    return found
