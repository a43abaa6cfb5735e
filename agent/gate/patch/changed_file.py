"""A changed file with its whole text before and after, as the rules of the gate look at it."""

from __future__ import annotations

import ast
import difflib

from agent.gate.patch.parse import FileChange
from agent.gate.patch.readable import readable
from agent.model import Record
from agent.testing.paths import is_code, is_test


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
    collected: bool = False
    """Whether the project's configuration makes it a test, whatever its name."""

    @property
    def is_test(self) -> bool:
        """Whether it belongs to the tests."""
        return self.collected or is_test(self.path)

    @property
    def is_source(self) -> bool:
        """Whether it is program text and no test."""
        return is_code(self.path) and not self.is_test


def changed_file(
    change: FileChange, base: str | None, patched: str | None, *, collected: bool = False
) -> ChangedFile:
    """Join a file's part of the patch with its texts."""
    return ChangedFile(
        path=change.path,
        base=base,
        patched=patched,
        added=change.added,
        removed=change.removed,
        collected=collected,
    )


def changed_texts(path: str, base: str, patched: str) -> ChangedFile:
    """A changed file of which only the texts are known."""
    left, right = base.split("\n"), patched.split("\n")
    added: list[tuple[int, str]] = []
    removed: list[tuple[int, str]] = []
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    for kind, i, i_end, j, j_end in matcher.get_opcodes():
        if kind != "equal":
            removed += [(n + 1, left[n]) for n in range(i, i_end)]
            added += [(n + 1, right[n]) for n in range(j, j_end)]
    return ChangedFile(
        path=path, base=base, patched=patched, added=tuple(added), removed=tuple(removed)
    )


def parsed(text: str | None) -> ast.Module | None:
    """The syntax tree of a Python text; None if there is no text or it cannot be parsed."""
    if text is None:
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def added_part(path: str, base: str | None, text: str) -> str:
    """What a text has that the base's does not: whole definitions and statements of Python modules
    and classes, lines elsewhere."""
    if base is None:
        return text
    before, after = (parsed(base), parsed(text)) if path.endswith(".py") else (None, None)
    if before is None or after is None:
        known = set(base.splitlines())
        return "\n".join(line for line in text.splitlines() if line not in known)
    return ast.unparse(ast.Module(body=_added_statements(before, after), type_ignores=[]))


def _added_statements(
    before: ast.Module | ast.ClassDef, after: ast.Module | ast.ClassDef
) -> list[ast.stmt]:
    known = {ast.dump(node) for node in before.body}
    classes = {node.name: node for node in before.body if isinstance(node, ast.ClassDef)}
    added: list[ast.stmt] = []
    for node in after.body:
        if ast.dump(node) in known:
            continue
        if isinstance(node, ast.ClassDef) and node.name in classes:
            added += _added_statements(classes[node.name], node)
        else:
            added.append(node)
    return added


def added_nodes(file: ChangedFile) -> list[ast.AST]:
    """The syntax nodes of the patched text that begin on an added line, with plain names.

    Names that an import gave are written out (`_o.x` after `import os as _o` is `os.x`), so that
    rules about names cannot be passed by renaming.
    """
    tree = plain(readable(file.patched))
    lines = {number for number, _ in file.added}
    if tree is None:
        return []
    return [node for node in ast.walk(tree) if line_of(node) in lines]


def plain(text: str | None) -> ast.Module | None:
    """The syntax tree with imported names written out; None as `parsed`."""
    tree = parsed(text)
    if tree is None:
        return None
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname: a.name for a in node.names if a.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    resolved: ast.Module = _Resolver(names).visit(tree)
    return resolved


def line_of(node: ast.AST) -> int:
    """The line on which a node begins; 0 if it has none."""
    placed = node.pattern if isinstance(node, ast.match_case) else node
    return getattr(placed, "lineno", 0)


class _Resolver(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        full = self._names.get(node.id)
        if full is None or not isinstance(node.ctx, ast.Load):
            return node
        first, *rest = full.split(".")
        resolved: ast.expr = ast.copy_location(ast.Name(id=first, ctx=ast.Load()), node)
        for part in rest:
            attribute = ast.Attribute(value=resolved, attr=part, ctx=ast.Load())
            resolved = ast.copy_location(attribute, node)
        return resolved
