"""A changed file with its whole text before and after, as the rules of the gate look at it."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Self

from agent.gate.patch.parse import FileChange
from agent.gate.patch.readable import unjudged, without_statements
from agent.model import Record
from agent.testing.paths import is_code, is_test


class ChangedFile(Record):
    """One file of a patch.

    What the rules read out of its texts is made once: there are many rules, and texts may be long.
    Nobody may change the syntax trees.
    """

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

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other values, from which everything is read anew."""
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**kept, **(update or {})})

    @cached_property
    def is_test(self) -> bool:
        """Whether it belongs to the tests."""
        return self.collected or is_test(self.path)

    @property
    def is_source(self) -> bool:
        """Whether it is program text and no test."""
        return is_code(self.path) and not self.is_test

    @cached_property
    def unjudged_base(self) -> tuple[tuple[int, str], ...]:
        """The statements of the Python text before that cannot be read here."""
        return tuple(unjudged(self.base))

    @cached_property
    def unjudged_patched(self) -> tuple[tuple[int, str], ...]:
        """The statements of the Python text after that cannot be read here."""
        return tuple(unjudged(self.patched))

    @cached_property
    def plain_base(self) -> ast.Module | None:
        """The tree of what can be read of the Python text before; names as `plain` has them."""
        return plain(without_statements(self.base, self.unjudged_base))

    @cached_property
    def plain_patched(self) -> ast.Module | None:
        """The tree of what can be read of the Python text after; names as `plain` has them."""
        return plain(without_statements(self.patched, self.unjudged_patched))

    @cached_property
    def base_code(self) -> str:
        """The text before as it is compared with added code: Python with its names written out."""
        tree = None
        if self.path.endswith(".py"):
            tree = plain(self.base) if self.unjudged_base else self.plain_base
        return ast.unparse(tree) if tree is not None else self.base or ""

    @cached_property
    def added_nodes(self) -> tuple[ast.AST, ...]:
        """The syntax nodes of the patched text that begin on an added line, with plain names.

        Names that an import gave are written out (`_o.x` after `import os as _o` is `os.x`), so
        that rules about names cannot be passed by renaming.
        """
        tree = self.plain_patched
        lines = {number for number, _ in self.added}
        if tree is None:
            return ()
        return tuple(node for node in ast.walk(tree) if line_of(node) in lines)


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


def plain(text: str | None) -> ast.Module | None:
    """The syntax tree with imported names written out; None as `parsed`."""
    tree = parsed(text)
    if tree is None:
        return None
    names: dict[str, str] = {}
    for node in statements(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname: a.name for a in node.names if a.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    if not names:
        return tree
    resolved: ast.Module = _Resolver(names).visit(tree)
    return resolved


Function = ast.FunctionDef | ast.AsyncFunctionDef


def statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """All statements of a tree, at any depth; expressions, which may be long, are not entered."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, ast.expr):
            yield from statements(node)


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """All functions of a tree with their names (`Kind.method.inner`)."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function | ast.ClassDef):
            name = f"{prefix}{node.name}"
            if not isinstance(node, ast.ClassDef):
                yield name, node
            yield from functions(node, f"{name}.")
        elif not isinstance(node, ast.expr):
            yield from functions(node, prefix)


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
