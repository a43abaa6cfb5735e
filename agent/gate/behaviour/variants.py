"""Small changes of a patch's own lines, by which the strength of its evidence is measured."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

import libcst as cst

from agent.gate.patch.changed_file import ChangedFile, parsed
from agent.model import Record
from agent.models.offline.mutations import (
    Mutant,
    Operator,
    apply_changes,
    calls,
    flow,
    indices,
    mutate,
    names,
    operators,
)
from agent.models.offline.mutations.source import Source, meaning_of

_OPERATORS: tuple[Operator, ...] = (
    operators.comparison,
    operators.arithmetic,
    operators.boolean,
    operators.condition,
    indices.subscript,
    indices.integers,
    indices.ranges,
    names.variable,
    calls.arguments,
    flow.small,
)
"""Those that change what is there. What adds a guard or a copy mostly changes nothing seen."""
_MOST_PARSED = 300_000
_LINE_COMMENT = ("#", "//", "/*", "*", "--")
_SWAPS = (
    (r"<=", "<"),
    (r">=", ">"),
    (r"(?<![<=>\-])<(?![<=])", "<="),
    (r"(?<![<=>\-])>(?![>=])", ">="),
    (r"===", "!=="),
    (r"!==", "==="),
    (r"(?<![=!<>])==(?!=)", "!="),
    (r"!=(?!=)", "=="),
    (r"&&", "||"),
    (r"\|\|", "&&"),
    (r"\btrue\b", "false"),
    (r"\bfalse\b", "true"),
    (r"(?<![+\w'\"]) \+ (?!\+)", " - "),
    (r"(?<![-\w'\"]) - (?!-)", " + "),
    (r"\bif \((?!!)", "if (!"),
    (r"\(([^(),]+), [^(),]+\)", r"(\1)"),
)
_NUMBER = re.compile(r"(?<![\w.\"'])\d{1,9}(?![\w.\"'])")


class Variant(Record):
    """A patched file with some of its lines replaced."""

    path: str
    first: int
    last: int
    """Lines `first` to `last` (from 1) are replaced; none if `last < first`."""
    old: str
    new: str | None
    """Text of the new lines; None if there are none."""
    what: str

    @property
    def described(self) -> str:
        """The change in one line."""
        old, new = (" ".join((text or "").split())[:100] for text in (self.old, self.new))
        change = (
            f"`{old}` becomes `{new}`"
            if old and new
            else f"`{old or new}` " + ("removed" if old else "added")
        )
        return f"{self.path}:{self.first}: {change}"


def variants_of(files: Sequence[ChangedFile], most: int) -> list[Variant]:
    """Variants of the lines that a patch adds to source files; all lines get a turn.

    What means the same as the patch, by its syntax tree, or does not parse, is none of them.
    """
    turns: list[list[Variant]] = []
    for file in files:
        if file.patched is None or not file.is_source:
            continue
        lines = frozenset(number for number, _ in file.added) or _beside_removed(file)
        if file.path.endswith(".py"):
            turns += _python(file.path, file.patched, lines)
        else:
            turns += _tokens(file.path, file.patched, lines)
    mixed = (v for v in chain.from_iterable(zip_longest(*turns)) if v is not None)
    return list(mixed)[:most]


def _beside_removed(file: ChangedFile) -> frozenset[int]:
    """Where a patch only takes lines away, the lines on both sides of the gap."""
    before = {number for number, _ in file.removed}
    first = min(before, default=0)
    return frozenset(n for n in (first - 1, first) if n > 0) if before else frozenset()


def _python(path: str, text: str, lines: frozenset[int]) -> list[list[Variant]]:
    tree = parsed(text)
    if tree is None or len(text) > _MOST_PARSED:
        return []
    code = lines - _in_strings(tree)
    if not code:
        return []
    try:
        source = Source(path, text)
        found = mutate(source, dict.fromkeys(code, 1.0), _OPERATORS)
    except (cst.ParserSyntaxError, RecursionError):
        return []
    meanings = {source.meaning}
    by_line: dict[int, list[Mutant]] = {}
    for mutant in found:
        own = range(mutant.first, max(mutant.first, mutant.last) + 1)
        if code.isdisjoint(own) or len(by_line.setdefault(mutant.line, [])) >= 12:
            continue
        meaning = meaning_of(apply_changes(text, mutant))
        if meaning is not None and meaning not in meanings:
            meanings.add(meaning)
            by_line[mutant.line].append(mutant)
    return [[_variant(m) for m in _mixed(mutants)] for _, mutants in sorted(by_line.items())]


def _mixed(mutants: Sequence[Mutant]) -> list[Mutant]:
    """Kinds of change in turn, each kind's best first."""
    kinds: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        kinds.setdefault(mutant.operator, []).append(mutant)
    return [m for m in chain.from_iterable(zip_longest(*kinds.values())) if m is not None]


def _variant(mutant: Mutant) -> Variant:
    return Variant(
        path=mutant.path,
        first=mutant.first,
        last=mutant.last,
        old=mutant.old,
        new=mutant.new,
        what=mutant.operator,
    )


def _in_strings(tree: ast.Module) -> frozenset[int]:
    """The lines of docstrings and other strings on their own."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return frozenset(found)


def _tokens(path: str, text: str, lines: frozenset[int]) -> list[list[Variant]]:
    """Changes of tokens, for languages that are not parsed here."""
    turns = []
    for number, line in enumerate(text.split("\n"), 1):
        if number in lines and line.strip() and not line.strip().startswith(_LINE_COMMENT):
            turns.append(
                [
                    Variant(path=path, first=number, last=number, old=line, new=new, what=what)
                    for new, what in dict(_line_changes(line)).items()
                    if new != line
                ]
            )
    return turns


def _line_changes(line: str) -> Iterator[tuple[str | None, str]]:
    for pattern, new in _SWAPS:
        for hit in re.finditer(pattern, line):
            yield line[: hit.start()] + hit.expand(new) + line[hit.end() :], "another operator"
    for hit in _NUMBER.finditer(line):
        for value in (int(hit[0]) + 1, int(hit[0]) - 1):
            yield line[: hit.start()] + str(value) + line[hit.end() :], "another number"
    if re.fullmatch(r"\s*(?!(?:return|let|const|var|if|for|while|else)\b)[\w.]+.*;\s*", line):
        yield None, "statement removed"
