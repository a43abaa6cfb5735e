"""A patch applied to text, strictly: a hunk stands exactly where it says, or the patch is refused.

`git apply` and `patch` look for a hunk's place nearby. What is judged here is the text that a hunk
names by its line numbers, so that nobody can be shown one change and run another.
"""

from __future__ import annotations

from agent.gate.patch import BadPatch, FileChange

_NO_NEWLINE = "\\ No newline at end of file"


def patched_text(base: str | None, change: FileChange, patch: str) -> str | None:
    """The file's text after its change; None where it is deleted.

    `base` is the text before (None: there is no such file) and `patch` the text that `change` was
    parsed from. Raises `BadPatch` when a hunk's lines do not stand where its header says.
    """
    if change.kind == "deleted":
        return None
    if (base is None) != (change.kind == "added"):
        raise BadPatch(f"{change.path} is {change.kind} by the patch, but the base says otherwise.")
    text = base or ""
    old = text.removesuffix("\n").split("\n") if text else []
    lines = patch.split("\n")
    new: list[str] = []
    at = 0
    ends_with_newline = text.endswith("\n") or not text
    for hunk in change.hunks:
        start, count = _old_range(lines[hunk.first])
        first = start - 1 if count else start
        if first < at or first + count > len(old):
            raise _misplaced(change)
        new += old[at:first]
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
    return "\n".join(new) + ("\n" if new and ends_with_newline else "")


def _old_range(header: str) -> tuple[int, int]:
    start, _, count = header.split(" ")[1].removeprefix("-").partition(",")
    return int(start), int(count or "1")


def _misplaced(change: FileChange) -> BadPatch:
    return BadPatch(f"A hunk of {change.path} does not stand where its header says.")
