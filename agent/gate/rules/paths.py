"""What a patch may touch at all, whatever its content."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from agent.gate.patch.parse import FileChange
from agent.guarded_paths import INTERPRETER_START, TEST_OPTIONS
from agent.task import GatePolicy, Issue
from agent.testing.paths import is_code, is_test
from agent.text.globs import matches

_SHORT_NAME = re.compile(r"gi[a-z0-9]{0,4}~\d+")
"""What NTFS also calls `.git`, `.gitmodules` and the like."""

MOST_LINES_AT_ALL = 20_000

_PLAIN_MODES = frozenset({"", "100644", "100755"})


def change_refusals(
    changes: Iterable[FileChange], policy: GatePolicy, issue: Issue
) -> tuple[str, ...]:
    """Why a patch is refused for what it touches; empty if it is not."""
    listed = tuple(changes)
    reasons = [reason for change in listed for reason in _of_file(change, policy, issue)]
    lines = sum(len(c.added) + len(c.removed) for c in listed)
    if lines > MOST_LINES_AT_ALL:
        reasons.append(
            f"The patch changes {lines} lines; at most {MOST_LINES_AT_ALL} can be judged, tests "
            "included."
        )
    return tuple(reasons)


def size_refusals(changes: Iterable[FileChange], policy: GatePolicy) -> tuple[str, ...]:
    """Why a patch is too large; tests, documents and change logs are not counted."""
    counted = [c for c in changes if not is_test(c.path) and not _is_document(c.path)]
    lines = sum(len(c.added) + len(c.removed) for c in counted)
    reasons = []
    if len(counted) > policy.max_files:
        reasons.append(
            f"The patch changes {len(counted)} files besides tests and documents; at most "
            f"{policy.max_files} are allowed."
        )
    if lines > policy.max_changed_lines:
        reasons.append(
            f"The patch changes {lines} lines besides tests and documents; at most "
            f"{policy.max_changed_lines} are allowed."
        )
    return tuple(reasons)


def _is_document(path: str) -> bool:
    pure = PurePosixPath(path)
    if is_code(path):
        return False
    return (
        pure.suffix.lower() in (".md", ".rst", ".adoc")
        or pure.parts[0] in ("docs", "doc", "changelog.d", "changes", "newsfragments", ".changeset")
        or pure.stem.lower() in ("changelog", "changes", "news", "history", "authors")
    )


def file_path_refusal(path: str, policy: GatePolicy) -> str | None:
    """Why no file may be written at this path, or None."""
    parts = path.split("/")
    if (
        path.startswith("/")
        or "\\" in path
        or any(part in ("", ".", "..") for part in parts)
        or any(ord(c) < 32 or ord(c) == 127 for c in path)
    ):
        return f"The patch reaches outside the tree or has a path that is not plain: {path!r}."
    read = [as_read(part) for part in parts]
    if any(part == ".git" or _SHORT_NAME.fullmatch(part) for part in read):
        return f"The patch reaches into git's own folder: {path!r}."
    seen = "/".join(read)
    if matches(path, policy.forbidden_paths) or matches(seen, policy.forbidden_paths):
        return f"{path} is on the list of files that no patch may touch."
    if matches(path, INTERPRETER_START) or matches(seen, INTERPRETER_START):
        return f"{path} would run code whenever the interpreter starts."
    if matches(path, TEST_OPTIONS) or matches(seen, TEST_OPTIONS):
        return f"{path} sets how tests are run; a fix must hold under the options that are there."
    return None


def as_read(part: str) -> str:
    """A name as some file system reads it, whatever it is that is checked out there.

    HFS+ sees no format characters; NTFS no dots and spaces at the end, nor what follows a colon.
    """
    seen = "".join(c for c in part if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", seen).partition(":")[0].rstrip(". ").lower()


def patch_path_refusal(path: str, policy: GatePolicy) -> str | None:
    """Why no patch may touch this path, or None. Reproductions may stand elsewhere."""
    if policy.allowed_paths and not matches(path, policy.allowed_paths):
        return f"{path} is outside of the paths that patches may touch here."
    return file_path_refusal(path, policy)


def _of_file(change: FileChange, policy: GatePolicy, issue: Issue) -> Iterator[str]:
    refusal = patch_path_refusal(change.path, policy)
    if refusal is not None:
        yield refusal
    if not {change.old_mode, change.new_mode} <= _PLAIN_MODES:
        yield (
            f"{change.path} is a symbolic link, a submodule or has an odd mode "
            f"({change.new_mode or change.old_mode}); only regular files may change."
        )
    name = PurePosixPath(change.path).name
    asked_for = name.lower() in f"{issue.title}\n{issue.body}".lower()
    if matches(change.path, policy.lock_files) and not (policy.allow_lock_files or asked_for):
        yield f"{change.path} is a lock file, and the issue does not ask to change it."
