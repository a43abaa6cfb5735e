"""A changed file with its whole text before and after, as the rules of the gate look at it."""

from __future__ import annotations

import ast

from agent.gate.patch import FileChange
from agent.model import Record


class ChangedFile(Record):
    """One file of a patch."""

    path: str
    base: str | None
    """Text before; None for a new file."""
    patched: str | None
    """Text after; None for a deleted file."""
    added: tuple[tuple[int, str], ...] = ()
    """Added lines with their numbers in `patched`."""
    removed: tuple[tuple[int, str], ...] = ()


def changed_file(change: FileChange, base: str | None, patched: str | None) -> ChangedFile:
    """Join a file's part of the patch with its texts."""
    return ChangedFile(
        path=change.path, base=base, patched=patched, added=change.added, removed=change.removed
    )


def parsed(text: str | None) -> ast.Module | None:
    """The syntax tree of a Python text; None if there is no text or it cannot be parsed."""
    if text is None:
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def added_nodes(file: ChangedFile) -> list[ast.AST]:
    """The syntax nodes of the patched text that begin on an added line."""
    tree = parsed(file.patched)
    lines = {number for number, _ in file.added}
    if tree is None:
        return []
    return [node for node in ast.walk(tree) if _line(node) in lines]


def _line(node: ast.AST) -> int:
    placed = node.pattern if isinstance(node, ast.match_case) else node
    return getattr(placed, "lineno", 0)
