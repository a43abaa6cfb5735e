"""What a patch may do to a tree, whatever its text claims.

The gate judges a patch by its text; its rules are used here again. Just before a commit is made,
the two trees are compared as well: what git would really write is what counts.
"""

from __future__ import annotations

from agent.gate.patch.parse import BadPatch, parse_patch
from agent.gate.rules.paths import patch_path_refusal
from agent.task import GatePolicy
from app.git.process import GitError

PLAIN = ("000000", "100644", "100755")
"""Modes of absent, ordinary and executable files."""


class PatchUnusable(GitError):
    """No commit can be made of this patch; the message says why."""


class SecretInPatch(PatchUnusable):
    """The patch adds what looks like a password or key."""


def check_text(patch: str, policy: GatePolicy) -> None:
    """Refuse a patch that is empty, ambiguous, binary or touches what none may.

    Raises `PatchUnusable`.
    """
    try:
        changes = parse_patch(patch)
    except BadPatch as error:
        raise PatchUnusable(str(error)) from None
    if not changes:
        raise PatchUnusable("The patch is empty.")
    for change in changes:
        _check_path(change.path, policy)


def check_changes(raw: bytes, policy: GatePolicy) -> None:
    """Refuse changes that no patch may make; `raw` is `git diff-tree -r -z --raw --no-renames`.

    Raises `PatchUnusable` when nothing changes, when a symlink or submodule is made, changed or
    removed, or when a path is forbidden.
    """
    fields = raw.split(b"\0")
    changes = list(zip(fields[0:-1:2], fields[1::2], strict=False))
    if not changes:
        raise PatchUnusable("The patch changes nothing.")
    for header, name in changes:
        old_mode, new_mode = header.decode().lstrip(":").split(" ")[:2]
        path = name.decode("utf-8", errors="replace")
        if old_mode not in PLAIN or new_mode not in PLAIN:
            raise PatchUnusable(f"{path} is a symbolic link or a submodule; only files may change.")
        _check_path(path, policy)


def _check_path(path: str, policy: GatePolicy) -> None:
    refusal = patch_path_refusal(path, policy)
    if refusal is not None:
        raise PatchUnusable(refusal)
