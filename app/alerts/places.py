"""Where an alert happened: the commit of its release, and the frames' files and lines in it.

Decisions only; what the repository holds is read by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from agent.model import Record
from app.alerts.records import AlertFrame

Fit = Literal["same line", "moved line", "other text", "unchecked"]
"""Whether the line of the file reads as it ran: it does; another line of the file does; neither
does; or the source does not tell how it read."""
MINIFIED_COLUMN = 500
"""A line with code so far to the right was written by no person."""
_SHA = re.compile(r"[0-9a-f]{7,40}")
_INSTALLED = ("site-packages", "dist-packages", "node_modules", "vendor", "gems", ".cargo")
_BUNDLE = re.compile(r"(?:^|[./-])min\.[cm]?js$|[.-][0-9a-f]{8,}(?:\.chunk)?\.[cm]?js$")
_SCRIPT = re.compile(r"\.[cm]?js$")
_ROOTS = re.compile(r"^(?:app|webpack|webpack-internal|file|turbopack|vite|ng):/{2,3}")


class PlacedFrame(Record):
    """A frame, and the file of the repository that it is of."""

    frame: AlertFrame
    path: str = ""
    """Within the repository; empty: of none of its files."""
    line: int = 0
    """In that file at that commit; 0: not known."""
    fit: Fit = "unchecked"
    is_minified: bool = False
    """Of a built script, whose source map the source of the alert does not have."""


def commit_candidates(release: str, forms: Sequence[str] = ()) -> list[str]:
    """What the commit of a release may be called, the likeliest first: ids and names of tags.

    Sentry's releases are `PACKAGE@VERSION`, `PACKAGE@VERSION+BUILD`, a version, or a commit's id
    (docs.sentry.io, "Releases").
    """
    release = release.strip()
    if not release:
        return []
    package, _, version = release.rpartition("@")
    plain = version.partition("+")[0]
    build = version.partition("+")[2]
    named: list[str] = []
    for form in forms:
        named += [form.replace("{release}", each) for each in (release, version, plain)]
    short = package.rpartition("/")[2] or package
    for each in (release, version, plain):
        named += [each, f"v{each}", f"release-{each}", f"release/{each}"]
        if short:
            named += [f"{short}-{each}", f"{short}-v{each}", f"{short}/{each}", f"{short}/v{each}"]
    ids = [each for each in (version, plain, build, release) if _SHA.fullmatch(each)]
    # The last part of what ends in an id, as of `1.4.0-3f2a91c`.
    tail = re.split(r"[-_.+@]", version)[-1]
    if _SHA.fullmatch(tail) and not tail.isdigit():
        ids.append(tail)
    return list(dict.fromkeys([*ids, *named]))


def place(
    frame: AlertFrame, files: Mapping[str, Sequence[str]], paths: Mapping[str, str]
) -> PlacedFrame:
    """The file that a frame is of. `files`: the repository's, by the last part of their paths.

    The line is not looked at: see `with_line`.
    """
    if is_minified(frame):
        return PlacedFrame(frame=frame, is_minified=True)
    for told in _told_paths(frame):
        if found := _mapped(told, paths, files) or _found(told, files):
            return PlacedFrame(frame=frame, path=found, line=frame.line)
    return PlacedFrame(frame=frame)


def is_minified(frame: AlertFrame) -> bool:
    """Whether a frame is of a built script: its place says nothing about a file of people's."""
    name = urlsplit(frame.path).path or frame.path
    if _BUNDLE.search(name):
        return True
    return bool(_SCRIPT.search(name)) and (
        frame.column > MINIFIED_COLUMN or frame.code.startswith("{snip}")
    )


def with_line(placed: PlacedFrame, text: str) -> PlacedFrame:
    """The same, with the line as the file has it at that commit."""
    lines = text.split("\n")
    frame = placed.frame
    wanted = frame.code.removeprefix("{snip}").removesuffix("{snip}").strip()
    if not frame.line or frame.line > len(lines):
        placed = placed.model_copy(update={"line": 0})
    if not wanted:
        return placed
    if placed.line and wanted in lines[placed.line - 1]:
        return placed.model_copy(update={"fit": "same line"})
    others = [number for number, line in enumerate(lines, 1) if line.strip() == wanted]
    if len(others) == 1:
        return placed.model_copy(update={"line": others[0], "fit": "moved line"})
    return placed.model_copy(update={"fit": "other text"})


def by_name(files: Collection[str]) -> dict[str, list[str]]:
    """The paths by their last part."""
    found: dict[str, list[str]] = {}
    for path in files:
        found.setdefault(path.rpartition("/")[2], []).append(path)
    return found


def _told_paths(frame: AlertFrame) -> list[str]:
    """How the frame calls its file, in the repository's manner of writing."""
    told = []
    for each in (frame.absolute, frame.path):
        if not each or each.startswith("<"):
            continue
        path = _ROOTS.sub("", each) if _ROOTS.match(each) else urlsplit(each).path or each
        told.append(re.sub(r"/{2,}", "/", path.replace("\\", "/")))
    # Java and Kotlin tell the file's name only, and the package with the class.
    if frame.module and told and "/" not in told[-1] and "." in frame.module:
        package = frame.module.rpartition(".")[0]
        told.insert(0, f"{package.replace('.', '/')}/{told[-1]}")
    return list(dict.fromkeys(told))


def _mapped(told: str, paths: Mapping[str, str], files: Mapping[str, Sequence[str]]) -> str:
    """Where the operator's file says that it lies, if it is there; the longest beginning counts."""
    for ran, inside in sorted(paths.items(), key=lambda item: -len(item[0])):
        begin = ran.rstrip("/")
        if told == begin or told.startswith(f"{begin}/"):
            rest = told[len(begin) :].lstrip("/")
            path = f"{inside.strip('/')}/{rest}" if inside.strip("/") else rest
            if path in files.get(path.rpartition("/")[2], ()):
                return path
    return ""


def _found(told: str, files: Mapping[str, Sequence[str]]) -> str:
    """The one file whose path ends as this, or with whose path this ends."""
    parts = [part for part in PurePosixPath(told).parts if part not in ("/", ".", "..", "~")]
    if not parts or set(parts) & set(_INSTALLED):
        return ""
    best: list[tuple[int, str]] = []
    for path in files.get(parts[-1], ()):
        own = path.split("/")
        shared = _shared_tail(parts, own)
        # All of the one or of the other; or at least a folder besides the name.
        if shared == len(own) or shared == len(parts) or shared >= 2:
            best.append((shared, path))
    if not best:
        return ""
    longest = max(shared for shared, _ in best)
    found = [path for shared, path in best if shared == longest]
    whole = [path for path in found if path.count("/") + 1 == longest]
    # Of several alike, the one that lies where the program's own folder would be.
    return found[0] if len(found) == 1 else whole[0] if len(whole) == 1 else ""


def _shared_tail(a: Sequence[str], b: Sequence[str]) -> int:
    count = 0
    for left, right in zip(reversed(a), reversed(b), strict=False):
        if left != right:
            break
        count += 1
    return count
