"""A fix's tests as a reproduction declares them: what is new in them, and what contradicts the bug.

A merged fix may do more to its test files than a reproduction may: reorder, rewrite, remove. Where
it does, the base's version of everything stays but for new definitions and for the failing tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from agent.gate.compare import function_of
from agent.gate.patch.changed_file import changed_texts, parsed
from agent.gate.rules.python_tests import import_origins
from agent.gate.rules.test_additions import addition_refusals
from agent.gate.rules.test_weakening import (
    edited_tests,
    inherited_names,
    new_test_names,
    weakening,
)
from agent.model import Record
from agent.models.replay import Beside

SUFFIX = "_as_merged"
"""At the end of a test's name where it is beside its former self."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Def = _Function | ast.ClassDef


class DeclaredTests(Record):
    """One test file of a fix, as a reproduction declares it."""

    text: str
    contested: tuple[str, ...] = ()
    """Existing tests that it edits; where tests cannot be told apart, the file."""
    beside: tuple[Beside, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    """Tests that stand beside their former selves already, each with its new name."""


class _Edit(Record):
    """Lines of a text that others take the place of; none are taken out where `last` is before."""

    first: int
    last: int
    lines: tuple[str, ...]


def declared_tests(path: str, base: str, fixed: str, failing: Collection[str]) -> DeclaredTests:
    """How a test file of the base changes; `failing`: the tests that the fix makes pass.

    A failing test that is rewritten beyond what may be contested is beside its former self.
    """
    file = changed_texts(path, base, fixed)
    edited, names = edited_tests(file), new_test_names(file)
    if not path.endswith(".py"):
        return DeclaredTests(text=fixed, contested=edited)
    written = inherited_names(path, fixed)
    changed = {written.get(name, name) for name in map(function_of, failing)}
    wanted = [t for t in edited if names.get(t, t) in changed]
    if len(wanted) < len(edited) or _refused(path, base, fixed, edited):
        fixed = _only_additions(base, fixed, {_dotted(test, path) for test in wanted})
    beside = list(_beside(path, base, fixed, wanted, names))
    rewritten = [b for b in beside if _rewritten(path, base, fixed, b.test)]
    for one in rewritten:
        fixed = fixed.replace(one.merged, one.both, 1)
    left = [b for b in beside if b not in rewritten]
    return DeclaredTests(
        text=fixed,
        contested=tuple(b.test for b in left),
        beside=tuple(left),
        renamed=tuple((b.test, b.name) for b in rewritten),
    )


def _rewritten(path: str, base: str, fixed: str, test: str) -> bool:
    """Whether a test's edit is more than a contested test may have."""
    alone = _only_additions(base, fixed, {_dotted(test, path)})
    return bool(weakening(changed_texts(path, base, alone), [test]))


def _refused(path: str, base: str, fixed: str, edited: Sequence[str]) -> bool:
    file = changed_texts(path, base, fixed)
    return bool(weakening(file, edited) or addition_refusals(path, base, fixed))


def _dotted(name: str, path: str) -> str:
    return name.removeprefix(f"{path}::").replace("::", ".")


def _only_additions(base: str, fixed: str, wanted: Collection[str]) -> str:
    """The fixed text with the base's version of all that was there, but for the `wanted` tests."""
    before, after = parsed(base), parsed(fixed)
    if before is None or after is None:
        return fixed
    lines = fixed.split("\n")
    end = _Edit(first=len(lines) + 1, last=len(lines), lines=())
    edits = _restored(before.body, after.body, base.split("\n"), "", wanted, end)
    return _edited(lines, [*edits])


def _restored(
    before: Sequence[ast.stmt],
    after: Sequence[ast.stmt],
    text: Sequence[str],
    where: str,
    wanted: Collection[str],
    end: _Edit,
) -> Iterator[_Edit]:
    """The edits that bring back what a module's or a class's body was; `end` is where it ends."""
    now = {n.name: n for n in after if isinstance(n, _Def)}
    dumps = {ast.dump(n) for n in after}
    assigned = {ast.dump(t): n for n in after if isinstance(n, ast.Assign) for t in n.targets}
    known = {origin for n in after for origin in import_origins(n).items()}
    for node in before:
        if ast.dump(node) in dumps:
            continue
        old = tuple(_segment(node, text))
        if isinstance(node, _Def):
            new = now.get(node.name)
            if isinstance(node, ast.ClassDef) and isinstance(new, ast.ClassDef):
                last = new.end_lineno or new.lineno
                inner = _Edit(first=last + 1, last=last, lines=())
                yield from _restored(
                    node.body, new.body, text, f"{where}{node.name}.", wanted, inner
                )
            elif new is None and f"{where}{node.name}" not in wanted:
                yield end.model_copy(update={"lines": ("", *old)})
            elif new is not None and f"{where}{node.name}" not in wanted:
                yield _in_place_of(new, old)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if not import_origins(node).items() <= known:
                at = next((n.lineno for n in after if import_origins(n)), 1)
                yield _Edit(first=at, last=at - 1, lines=old)
        elif isinstance(node, ast.Assign) and ast.dump(node.targets[0]) in assigned:
            yield _in_place_of(assigned[ast.dump(node.targets[0])], old)


def _beside(
    path: str, base: str, text: str, edited: Sequence[str], names: Mapping[str, str]
) -> Iterator[Beside]:
    before, after = parsed(base), parsed(text)
    if before is None or after is None:
        return
    olds, news = dict(_functions(before.body)), dict(_functions(after.body))
    for test in edited:
        dotted, now = _dotted(test, path), _dotted(names.get(test, test), path)
        if dotted not in olds or now not in news:
            continue
        name = dotted.rpartition(".")[2]
        merged = "\n".join(_segment(news[now], text.split("\n")))
        former = "\n".join(_segment(olds[dotted], base.split("\n")))
        renamed = re.sub(
            rf"(\bdef\s+){re.escape(name)}\b", rf"\g<1>{name}{SUFFIX}", merged, count=1
        )  # where the fix renames it, it has a name of its own already
        yield Beside(
            path=path,
            test=test,
            merged=merged,
            both=f"{former}\n\n{renamed}",
            name=names.get(test, f"{test}{SUFFIX}"),
        )


def _functions(body: Sequence[ast.stmt], where: str = "") -> Iterator[tuple[str, _Function]]:
    for node in body:
        if isinstance(node, _Function):
            yield f"{where}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{where}{node.name}.")


def _segment(node: ast.stmt, text: Sequence[str]) -> list[str]:
    first, last = _span(node)
    return list(text[first - 1 : last])


def _span(node: ast.stmt) -> tuple[int, int]:
    decorators = node.decorator_list if isinstance(node, _Def) else []
    first = min([node.lineno, *(d.lineno for d in decorators)])
    return first, node.end_lineno or node.lineno


def _in_place_of(node: ast.stmt, lines: Sequence[str]) -> _Edit:
    first, last = _span(node)
    return _Edit(first=first, last=last, lines=tuple(lines))


def _edited(lines: Sequence[str], edits: Sequence[_Edit]) -> str:
    now = list(lines)
    for edit in sorted(edits, key=lambda e: (e.first, e.last), reverse=True):
        now[edit.first - 1 : edit.last] = edit.lines
    return "\n".join(now)
