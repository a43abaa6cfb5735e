"""A patch applied to text, strictly: a hunk stands exactly where it says, or the patch is refused.

`git apply` and `patch` look for a hunk's place nearby. What is judged here is the text that a hunk
names by its line numbers, so that nobody can be shown one change and run another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.gate.patch.changed_file import ChangedFile, changed_file
from agent.gate.patch.parse import BadPatch, FileChange, parse_patch
from agent.testing.collection import PytestCollection
from sandbox.byte_text import to_text

_NO_NEWLINE = "\\ No newline at end of file"


def patched_text(base: str | None, change: FileChange, patch: str) -> str | None:
    """The file's text after its change; None where it is deleted.

    `base` is the text before (None: there is no such file) and `patch` the text that `change` was
    parsed from. Raises `BadPatch` when a hunk's lines do not stand where its header says.
    """
    if (base is None) != (change.kind == "added"):
        raise BadPatch(f"{change.path} is {change.kind} by the patch, but the base says otherwise.")
    text = base or ""
    old = text.removesuffix("\n").split("\n") if text else []
    lines = patch.split("\n")
    new: list[str] = []
    at = 0
    ends_with_newline = text.endswith("\n") or not text
    for hunk in change.hunks:
        removed, added = lines[hunk.first].split(" ")[1:3]
        first, count = _range(removed)
        if first < at or first + count > len(old):
            raise _misplaced(change)
        new += old[at:first]
        # git looks for a hunk's place from the new file's line number on.
        if _range(added)[0] != len(new):
            raise _misplaced(change)
        at, sign = first, ""
        for line in lines[hunk.first + 1 : hunk.last]:
            if line == _NO_NEWLINE:
                ends_with_newline = sign == "-"
                continue
            sign, words = line[:1], line[1:]
            if sign != "+":
                if at >= len(old) or old[at] != words:
                    raise _misplaced(change)
                at += 1
            if sign != "-":
                new.append(words)
        if at == len(old) and sign and lines[hunk.last - 1] != _NO_NEWLINE:
            ends_with_newline = True
    new += old[at:]
    if change.kind == "deleted":
        if new:
            raise BadPatch(f"{change.path} is deleted by the patch, but not all of its lines are.")
        return None
    return "\n".join(new) + ("\n" if new and ends_with_newline else "")


def changed_files(
    changes: Sequence[FileChange],
    bases: Mapping[str, str],
    patch: str,
    collection: PytestCollection,
) -> list[ChangedFile]:
    """The files of a patch with their texts on both sides. Raises `BadPatch`.

    `changes` were parsed from `patch`; `bases` are the texts before it; `collection` is what pytest
    takes for tests in the base.
    """
    return [
        changed_file(
            c,
            bases.get(c.path),
            patched_text(bases.get(c.path), c, patch),
            collected=collection.takes_file(c.path),
        )
        for c in changes
    ]


def differences(
    whole: str,
    files: Sequence[ChangedFile],
    placed: Mapping[str, str | None],
    others: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """How a tree's diff is not the judged patch; empty where it is, exactly.

    `whole` comes out of a sandbox in which the patch was applied, and is what would be published.
    `placed`: files that the gate itself wrote into the tree or removed from it (None); `others`:
    the base's texts of such files that the patch does not touch.
    """
    bases: dict[str, str | None] = {**(others or {}), **{file.path: file.base for file in files}}
    wanted = {file.path: file.patched for file in files} | {
        path: text if text is None else to_text(text.encode("utf-8", errors="surrogateescape"))
        for path, text in placed.items()
    }
    try:
        found = {c.path: patched_text(bases.get(c.path), c, whole) for c in parse_patch(whole)}
    except BadPatch as error:
        return (str(error),)
    other = [path for path, text in found.items() if path not in wanted or wanted[path] != text]
    reasons = [f"With the patch, {path} differs from what the patch says." for path in other]
    for path, base in bases.items():
        if path not in found and wanted.get(path, base) != base:
            reasons.append(f"{path} is ignored by the repository, so it would not be published.")
    return tuple(reasons)


def _range(words: str) -> tuple[int, int]:
    """How many lines stand before a hunk on one side, and how many of it do."""
    start, _, count = words[1:].partition(",")
    lines = int(count or "1")
    return (int(start) - 1 if lines else int(start)), lines


def _misplaced(change: FileChange) -> BadPatch:
    return BadPatch(f"A hunk of {change.path} does not stand where its header says.")
