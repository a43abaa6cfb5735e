"""Statements that the gate's own Python cannot read, so that no rule can look into them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from agent.gate.patch.changed_file import ChangedFile
from agent.gate.patch.readable import unjudged


def unreadable(files: Sequence[ChangedFile]) -> tuple[str, ...]:
    """Why statements that a patch adds or changes cannot be judged; empty if all can.

    A statement that could not be read in the base either may be changed: the repository is written
    for a later Python, and the honest way to change it is in its own words.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return tuple(
        f"{file.path}:{line}: Python {version}, by which patches are judged, cannot read this "
        "statement. Write it more plainly, without newer syntax, deep nesting or huge numbers."
        for file in files
        if file.path.endswith(".py")
        for line, block in unjudged(file.patched)
        if _head(block) not in {_head(old) for _, old in unjudged(file.base)}
    )


def _head(block: str) -> str:
    """What tells a statement from others across a change: its name, or its text if it has none."""
    lines = [
        line for line in block.splitlines() if not line.startswith(("@", "#")) and line.strip()
    ]
    first = lines[0] if lines else ""
    words = first.replace("(", " ").replace(":", " ").split()
    if words[:1] == ["async"]:
        words = words[1:]
    return " ".join(words[:2]) if words[:1] in (["def"], ["class"]) else block
