"""One Python file as the mutation operators see it: text, syntax tree, places and scopes."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import libcst as cst
from libcst.metadata import (
    ByteSpanPositionProvider,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
)


@dataclass(frozen=True, slots=True)
class Change:
    """A replacement of one byte span, before it is known whether it parses."""

    start: int
    end: int
    text: str
    operator: str
    prior: float
    """How often such a change is the right one, 0 to 1, by judgement."""


@dataclass(frozen=True)
class Scope:
    """A function, as far as mutation needs it."""

    name: str
    node: cst.FunctionDef
    params: tuple[str, ...]
    names: tuple[str, ...]
    """Parameters and local variables, in order of appearance."""
    unused: frozenset[str]
    """Parameters and locals that nothing reads."""
    class_name: str
    self_attributes: tuple[str, ...]


@dataclass
class Source:
    """A parsed file. Raises `cst.ParserSyntaxError` for what is no Python."""

    path: str
    text: str
    literals: tuple[str, ...] = ()
    """Values that the issue names, as source."""
    data: bytes = b""
    meaning: str | None = field(init=False)
    module: cst.Module = field(init=False)
    nodes: list[cst.CSTNode] = field(init=False)
    conditions: tuple[str, ...] = field(init=False)
    statements: tuple[str, ...] = field(init=False)
    strings: tuple[str, ...] = field(init=False)
    attributes: Mapping[str, tuple[str, ...]] = field(init=False)
    """Attributes read or called anywhere in the file, by the name they are taken from."""

    def __post_init__(self) -> None:
        self.data = self.text.encode()
        self.meaning = meaning_of(self.text)
        self.module = cst.parse_module(self.text)
        wrapper = MetadataWrapper(self.module, unsafe_skip_copy=True)
        found: Mapping[Any, Any] = wrapper.resolve_many(
            [ByteSpanPositionProvider, PositionProvider, ParentNodeProvider]
        )
        self._spans: Mapping[cst.CSTNode, Any] = found[ByteSpanPositionProvider]
        self._places: Mapping[cst.CSTNode, Any] = found[PositionProvider]
        self._parents: Mapping[cst.CSTNode, cst.CSTNode] = found[ParentNodeProvider]
        self.nodes = [n for n in _walk(self.module) if n in self._places]
        self._scopes = {n: self._scope(n) for n in self.nodes if isinstance(n, cst.FunctionDef)}
        self._gather()

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """The bytes that a node's code takes, without surrounding space."""
        span = self._spans[node]
        return span.start, span.start + span.length

    def line(self, node: cst.CSTNode) -> int:
        """The first line of a node, from 1."""
        return int(self._places[node].start.line)

    def last_line(self, node: cst.CSTNode) -> int:
        """The last line of a node."""
        return int(self._places[node].end.line)

    def column(self, node: cst.CSTNode) -> int:
        """The column of a node's first character, from 0."""
        return int(self._places[node].start.column)

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node around a node."""
        return self._parents.get(node)

    def parents(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """All nodes around a node, inmost first."""
        around = self.parent(node)
        while around is not None:
            yield around
            around = self.parent(around)

    def code(self, node: cst.CSTNode) -> str:
        """A node's text as it stands in the file."""
        start, end = self.span(node)
        return self.data[start:end].decode()

    def render(self, node: cst.CSTNode) -> str:
        """A new node's text."""
        return self.module.code_for_node(node)

    def scope(self, node: cst.CSTNode) -> Scope | None:
        """The function that a node is in."""
        if isinstance(node, cst.FunctionDef):
            return self._scopes[node]
        return next(
            (self._scopes[p] for p in self.parents(node) if isinstance(p, cst.FunctionDef)), None
        )

    def replace(self, node: cst.CSTNode, text: str, operator: str, prior: float) -> Change:
        """A change of a node's code to other text."""
        start, end = self.span(node)
        return Change(start, end, text, operator, prior)

    def insert_before(self, node: cst.CSTNode, text: str, operator: str, prior: float) -> Change:
        """New statements before a statement, on lines of their own with its indentation."""
        start, _ = self.span(node)
        pad = " " * self.column(node)
        lines = "".join(line + "\n" + pad for line in text.split("\n"))
        return Change(start, start, lines, operator, prior)

    def insert_after(self, node: cst.CSTNode, text: str, operator: str, prior: float) -> Change:
        """New statements after a statement, with its indentation."""
        end = self.span(node)[1]
        pad = "\n" + " " * self.column(node)
        return Change(end, end, "".join(pad + line for line in text.split("\n")), operator, prior)

    def _scope(self, node: cst.FunctionDef) -> Scope:
        params = [p.name.value for p in _params(node)]
        stored, loaded = list(params), set()
        for inner in _walk(node.body):
            if isinstance(inner, cst.Name):
                if self._is_target(inner):
                    stored.append(inner.value)
                else:
                    loaded.add(inner.value)
        around = next((p for p in self.parents(node) if isinstance(p, cst.ClassDef)), None)
        attributes: list[str] = []
        if around is not None:
            for inner in _walk(around):
                if isinstance(inner, cst.Attribute) and _is_name(inner.value, "self"):
                    attributes.append(inner.attr.value)  # noqa: PERF401
        names = tuple(dict.fromkeys(stored))
        return Scope(
            node.name.value,
            node,
            tuple(params),
            names,
            frozenset(n for n in names if n not in loaded and n not in ("self", "cls", "_")),
            around.name.value if around else "",
            tuple(dict.fromkeys(attributes)),
        )

    def _is_target(self, node: cst.Name) -> bool:
        for around in self.parents(node):
            if isinstance(around, cst.AssignTarget):
                return True
            if isinstance(around, cst.For | cst.CompFor):
                return node is around.target or any(n is node for n in _walk(around.target))
            if isinstance(around, cst.AnnAssign):
                return around.target is node
            if not isinstance(around, cst.Tuple | cst.Element | cst.List | cst.StarredElement):
                return False
        return False

    def _gather(self) -> None:
        conditions, statements, strings = [], [], []
        attributes: dict[str, list[str]] = {}
        for node in self.nodes:
            if isinstance(node, cst.If | cst.While | cst.IfExp):
                conditions.append(self.code(node.test))
            elif isinstance(node, cst.SimpleStatementLine) and self.scope(node):
                body = node.body[0]
                if isinstance(body, cst.Assign | cst.AugAssign | cst.Expr | cst.Return | cst.Raise):
                    statements.append(self.code(node))
            elif isinstance(node, cst.SimpleString):
                strings.append(node.value)
            elif isinstance(node, cst.Attribute):
                attributes.setdefault(self.code(node.value), []).append(node.attr.value)
        self.conditions = tuple(dict.fromkeys(conditions))
        self.statements = tuple(
            dict.fromkeys(s for s in statements if not s.startswith(('"""', "'''")))
        )
        self.strings = tuple(dict.fromkeys(s for s in strings if len(s) < 30))
        self.attributes = {k: tuple(dict.fromkeys(v)) for k, v in attributes.items()}


def _walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _params(node: cst.FunctionDef) -> list[cst.Param]:
    given = node.params
    star = [p for p in (given.star_arg, given.star_kwarg) if isinstance(p, cst.Param)]
    return [*given.posonly_params, *given.params, *star, *given.kwonly_params]


def _is_name(node: cst.CSTNode, value: str) -> bool:
    return isinstance(node, cst.Name) and node.value == value


def meaning_of(text: str) -> str | None:
    """The syntax tree as text; None for what is no Python."""
    try:
        return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError):
        return None
