"""Looks into a repository's history for where an alert happened, and which commit may have done it.

All of it is git's own plumbing on the bare mirror; nothing is checked out, nothing is run. Blocks.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence

from agent.model import Record
from app.alerts.places import PlacedFrame, by_name, commit_candidates, place, with_line
from app.alerts.records import Alert
from app.git import ancestry
from app.git.line_history import last_changes
from app.git.mirror import Mirror
from app.git.process import GitError, GitMissing, GitTooMuch
from app.git.release_files import file_paths, file_text

MOST_LOOKED_AT = 5
"""Frames whose lines' history is read, the innermost ones."""
MOST_IN_RANGE = 5_000
_ID = re.compile(r"[0-9a-f]{7,40}")


class Suspect(Record):
    """A commit that may have brought the error."""

    commit: str
    subject: str
    author: str
    path: str
    line: int
    """0: the file as a whole."""
    in_range: bool
    """Whether it came with the release; else it only changed the line last."""


class Findings(Record):
    """What the repository's history says about an alert."""

    commit: str
    """The commit that was looked at."""
    name: str
    """Its tag, or how it was found; the default branch where it is not the release's."""
    is_release: bool
    frames: tuple[PlacedFrame, ...] = ()
    """Of all frames of the alert, in its order."""
    suspect: Suspect | None = None
    previous: str = ""
    """The tag of the release before; empty: none is known."""
    commits_since: int = 0
    """Commits between the two."""


def locate(
    mirror: Mirror,
    alert: Alert,
    tip: str,
    branch: str,
    paths: Mapping[str, str],
    tags: Sequence[str] = (),
) -> Findings:
    """Where an alert happened. `tip` is the commit of the default branch, `branch` its name.

    Raises `GitError`.
    """
    known = ancestry.tags(mirror)
    commit, name = _release_commit(mirror, alert.release, known, tags)
    is_release = bool(commit)
    if not commit:
        commit, name = tip, branch
    files = by_name(file_paths(mirror, commit))
    placed = tuple(_with_line(mirror, commit, place(f, files, paths)) for f in alert.frames)
    previous = _previous(ancestry.tags(mirror, commit), commit, name) if is_release else None
    since = ancestry.since(mirror, previous.commit, commit, MOST_IN_RANGE) if previous else []
    return Findings(
        commit=commit,
        name=name,
        is_release=is_release,
        frames=placed,
        suspect=_suspect(mirror, commit, placed, since, is_cut=not previous),
        previous=previous.name if previous else "",
        commits_since=len(since),
    )


def _release_commit(
    mirror: Mirror, release: str, known: Sequence[ancestry.Tag], forms: Sequence[str]
) -> tuple[str, str]:
    """The commit of a release and how it is called; two empty texts where it is not known."""
    tags = {tag.name: tag for tag in known}
    candidates = commit_candidates(release, forms)
    for each in candidates:
        if each in tags:
            return tags[each].commit, each
        if _ID.fullmatch(each) and not (each.isdigit() and len(each) < 12):
            with contextlib.suppress(GitMissing):
                return ancestry.named(mirror, each), each[:12]
    package, _, version = release.rpartition("@")
    plain = version.partition("+")[0].removeprefix("v")
    alike = [tag for tag in known if plain and re.sub(r"^\D*", "", tag.name) == plain]
    own = [tag for tag in alike if package and package.rpartition("/")[2] in tag.name]
    for found in (own, alike):
        if len({tag.commit for tag in found}) == 1:
            return found[0].commit, found[0].name
    return "", ""


def _previous(above: Sequence[ancestry.Tag], commit: str, name: str) -> ancestry.Tag | None:
    """The newest tag before a release's, of the same kind if there is one."""
    earlier = [tag for tag in above if tag.commit != commit]
    kind = re.sub(r"\d.*$", "", name)
    alike = [tag for tag in earlier if re.sub(r"\d.*$", "", tag.name) == kind]
    return next(iter(alike or earlier), None)


def _with_line(mirror: Mirror, commit: str, placed: PlacedFrame) -> PlacedFrame:
    if not placed.path:
        return placed
    try:
        return with_line(placed, file_text(mirror, commit, placed.path))
    except GitTooMuch:
        return placed


def _suspect(
    mirror: Mirror,
    commit: str,
    placed: Sequence[PlacedFrame],
    since: Sequence[str],
    *,
    is_cut: bool,
) -> Suspect | None:
    """The commit that last changed the innermost line, if it came with the release.

    Where none of the lines did, one that changed one of the files in the release; where no earlier
    release is known (`is_cut`), the one that changed the innermost line last, whenever that was.
    """
    own = [f for f in reversed(placed) if f.path and f.frame.in_app is not False]
    own = own[:MOST_LOOKED_AT]
    within, last = set(since), None
    for frame in own:
        if not frame.line or frame.fit == "other text":
            continue
        try:
            [changed] = last_changes(mirror, commit, {frame.path: [(frame.line, frame.line)]})
        except (GitError, ValueError):  # too slow, or no line of the commit's
            continue
        if changed in within:
            return _described(mirror, changed, frame.path, frame.line, in_range=True)
        last = last or (changed, frame)
    for frame in own if since else ():
        for changed in ancestry.touching(mirror, commit, [frame.path], 1):
            if changed in within:
                return _described(mirror, changed, frame.path, 0, in_range=True)
    if last is not None and is_cut:
        return _described(mirror, last[0], last[1].path, last[1].line, in_range=False)
    return None


def _described(
    mirror: Mirror, commit: str, path: str, line: int, *, in_range: bool
) -> Suspect | None:
    for found in ancestry.log(mirror, commit, 1):
        return Suspect(
            commit=found.id,
            subject=found.subject,
            author=found.author,
            path=path,
            line=line,
            in_range=in_range,
        )
    return None
