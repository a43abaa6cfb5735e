"""What a patch may do to a tree, whatever its text claims.

The gate judges a patch by its text (`agent.gate`). Here, just before a commit is made of it, the
two trees are compared as well: what git would really write is what counts.
"""

from __future__ import annotations

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from app.git_process import GitError

ORDINARY = ("000000", "100644", "100755")
"""Modes of absent, plain and executable files."""

FORBIDDEN_FILES = (".gitmodules", ".gitattributes")


class PatchUnusable(GitError):
    """No commit can be made of this patch; the message says why."""


def check_text(patch: str) -> None:
    """Refuse a patch that is empty, unreadable or binary. Raises `PatchUnusable`."""
    if any(line in ("GIT binary patch", "GIT binary patch\r") for line in patch.split("\n")):
        raise PatchUnusable("The patch has binary parts.")
    try:
        files = PatchSet(patch)
    except UnidiffParseError as error:
        raise PatchUnusable(f"The patch cannot be read: {error}.") from None
    if not files:
        raise PatchUnusable("The patch is empty.")
    if any(file.is_binary_file for file in files):
        raise PatchUnusable("The patch has binary parts.")


def check_changes(raw: bytes) -> None:
    """Refuse changes that no patch may make; `raw` is `git diff-tree -r -z --raw --no-renames`.

    Raises `PatchUnusable` when nothing changes, when a symlink or submodule is made or changed, or
    when a workflow or a file that steers git is touched.
    """
    words = raw.split(b"\0")
    changes = list(zip(words[0:-1:2], words[1::2], strict=False))
    if not changes:
        raise PatchUnusable("The patch changes nothing.")
    for header, name in changes:
        old_mode, new_mode = header.decode().lstrip(":").split(" ")[:2]
        path = name.decode("utf-8", errors="replace")
        if old_mode not in ORDINARY or new_mode not in ORDINARY:
            raise PatchUnusable(f"The patch makes or changes a symlink or submodule: {path}")
        if reason := forbidden(path):
            raise PatchUnusable(f"The patch touches {path}, {reason}.")


def forbidden(path: str) -> str:
    """Why a path may not be touched, or nothing. Letters' case does not matter. Pure."""
    parts = path.lower().split("/")
    if path.startswith("/") or any(part in ("", ".", "..", ".git") for part in parts):
        return "which is no path inside a repository"
    if parts[-1] in FORBIDDEN_FILES:
        return "which steers git itself"
    if parts[0] == ".github" and len(parts) > 2 and parts[1] in ("workflows", "actions"):
        return "which runs with the repository's secrets"
    return ""
