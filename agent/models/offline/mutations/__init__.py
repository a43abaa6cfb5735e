"""Mutation of Python source: every small change that one of the operators knows, in rank order.

Pure: text in, changed text out. Parsing is libcst's; nothing of the repository is run here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from agent.models.offline.mutations import (
    calls,
    flow,
    indices,
    mutability,
    names,
    operators,
)
from agent.models.offline.mutations.source import Change, Source, meaning_of

Operator = Callable[[cst.CSTNode, Source], Iterable[Change]]

OPERATORS: tuple[Operator, ...] = (
    operators.comparison,
    operators.arithmetic,
    operators.boolean,
    operators.condition,
    indices.subscript,
    indices.integers,
    indices.ranges,
    names.variable,
    names.attribute,
    names.words,
    calls.method,
    calls.arguments,
    calls.sorting,
    calls.conversion,
    flow.small,
    flow.misplaced,
    flow.missing,
    flow.guards,
    flow.exceptions,
    flow.cleanup,
    mutability.defaults,
    mutability.class_state,
    mutability.copies,
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed version of a file, as a replacement of whole lines."""

    path: str
    first: int
    last: int
    """Lines `first` to `last` (from 1) are replaced; none if `last < first`."""
    old: str
    new: str | None
    """Text of the new lines; None if there are none."""
    operator: str
    line: int
    """The line that was suspected."""
    score: float
    undoes: str = ""
    """The commit of which it undoes a part: no invention, but what once stood there."""
    also: tuple[Mutant, ...] = ()
    """Changes of other files that belong to it."""


def mutate(
    source: Source,
    suspicion: Mapping[int, float],
    operators: Sequence[Operator] = OPERATORS,
) -> list[Mutant]:
    """All changes of the suspected lines, best first, each once; see `is_sound` for syntax."""
    found: dict[tuple[int, int, str | None], Mutant] = {}
    for line, change in _changes(source, suspicion, operators):
        mutant = _as_lines(source, line, change, suspicion[line])
        if mutant is None:
            continue
        key = (mutant.first, mutant.last, mutant.new)
        if key not in found or found[key].score < mutant.score:
            found[key] = mutant
    return sorted(found.values(), key=lambda m: (-m.score, m.first, m.new or ""))


def is_sound(source: Source, mutant: Mutant) -> bool:
    """Whether a mutant is valid Python that means something else (a parse, so asked for late)."""
    return meaning_of(apply_changes(source.text, mutant)) not in (None, source.meaning)


def _changes(
    source: Source, suspicion: Mapping[int, float], operators: Sequence[Operator]
) -> Iterator[tuple[int, Change]]:
    for node in source.nodes:
        line = source.line(node)
        if isinstance(node, cst.ClassDef):
            line = max(range(line, source.last_line(node) + 1), key=lambda n: suspicion.get(n, 0.0))
        if suspicion.get(line, 0.0) <= 0.0:
            continue
        for operator in operators:
            for change in operator(node, source):
                yield line, change


def _as_lines(source: Source, line: int, change: Change, suspicion: float) -> Mutant | None:
    data = source.data
    start = data.rfind(b"\n", 0, change.start) + 1
    end = data.find(b"\n", change.end)
    end = len(data) if end < 0 else end
    above = data.count(b"\n", 0, start)
    changed = data[start : change.start] + change.text.encode() + data[change.end : end]
    old, new = data[start:end].decode().split("\n"), changed.decode().split("\n")
    head, tail = common_ends(old, new)
    if head == len(old) == len(new):
        return None
    gone, come = old[head : len(old) - tail], new[head : len(new) - tail]
    come = [re.sub(r"[ \t]+$", "", c) for c in come]
    return Mutant(
        source.path,
        above + head + 1,
        above + head + len(gone),
        "\n".join(gone),
        "\n".join(come) if come else None,
        change.operator,
        line,
        suspicion * change.prior,
    )


def common_ends(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """How many items both have in common at the beginning, and then at the end."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return head, tail


def apply_changes(text: str, mutant: Mutant) -> str:
    """The file's text with the mutant in it."""
    lines = text.split("\n")
    new = [] if mutant.new is None else mutant.new.split("\n")
    return "\n".join([*lines[: mutant.first - 1], *new, *lines[mutant.last :]])
