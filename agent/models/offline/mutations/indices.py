"""Off-by-one and its kin: indices, slices, ranges, lengths and look-ups."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from agent.models.offline.mutations.source import Change, Source


def subscript(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """Another index, another slice, or a look-up that may miss."""
    if not isinstance(node, cst.Subscript) or len(node.slice) != 1:
        return
    part, base = node.slice[0].slice, source.code(node.value)
    if isinstance(part, cst.Slice):
        yield from _slices(node, part, base, source)
        return
    if not isinstance(part, cst.Index):
        return
    index = source.code(part.value)
    around = source.parent(node)
    if isinstance(around, cst.AugAssign) and around.target is node:
        sign = source.code(around.operator).strip().rstrip("=")
        value = source.code(around.value)
        for default, prior in (("0", 0.6), ("[]", 0.4), ('""', 0.3)):
            text = f"{base}[{index}] = {base}.get({index}, {default}) {sign} {value}"
            yield source.replace(around, text, "entry that may be missing", prior)
    if isinstance(around, cst.Attribute) and around.value is node:
        for default in ("[]", "set()", "{}"):
            text = f"{base}.setdefault({index}, {default})"
            yield source.replace(node, text, "entry that may be missing", 0.5)
    if index in ("0", "-1"):
        other = "-1" if index == "0" else "0"
        yield source.replace(node, f"{base}[{other}]", "first ↔ last", 0.7)
    if not isinstance(part.value, cst.SimpleString | cst.FormattedString):
        for moved in (f"{index} - 1", f"{index} + 1"):
            yield source.replace(node, f"{base}[{moved}]", "index moved by one", 0.55)
    around = source.parent(node)
    iterated = isinstance(around, cst.For | cst.CompFor) and around.iter is node
    for default, prior in (
        (", ()", 0.7 if iterated else 0.2),
        ("", 0.7 if _asked_for_none(node, source) else 0.4),
        (", 0", 0.4),
        (", []", 0.35),
        (', ""', 0.35),
        (f", {index}", 0.3),
    ):
        text = f"{base}.get({index}{default})"
        yield source.replace(node, text, "look-up that may miss", prior)


def _asked_for_none(node: cst.Subscript, source: Source) -> bool:
    """Whether the value goes by a name of which later lines of the block ask if it is None."""
    assign = source.parent(node)
    if not isinstance(assign, cst.Assign) or len(assign.targets) != 1:
        return False
    line = source.parent(assign)
    block = source.parent(line) if isinstance(line, cst.SimpleStatementLine) else None
    if not isinstance(block, cst.IndentedBlock | cst.Module):
        return False
    name = re.escape(source.code(assign.targets[0].target))
    later = block.body[[part is line for part in block.body].index(True) + 1 :]
    return any(re.search(rf"\b{name} is (not )?None\b", source.code(part)) for part in later)


def _slices(node: cst.Subscript, part: cst.Slice, base: str, source: Source) -> Iterator[Change]:
    low = source.code(part.lower) if part.lower else ""
    high = source.code(part.upper) if part.upper else ""
    step = f":{source.code(part.step)}" if part.step else ""

    def made(a: str, b: str, prior: float, name: str) -> Change:
        return source.replace(node, f"{base}[{a}:{b}{step}]", name, prior)

    for by in ("+ 1", "- 1"):
        if low:
            yield made(f"{low} {by}", high, 0.6, "slice start moved by one")
        if high:
            yield made(low, f"{high} {by}", 0.6, "slice end moved by one")
    if low:
        yield made("", high, 0.4, "slice start dropped")
        yield made(
            f"-{low}" if not low.startswith("-") else low[1:], high, 0.45, "slice from the end"
        )
    else:
        yield made("1", high, 0.5, "slice without the first")
    if high:
        yield made(low, "", 0.4, "slice end dropped")
        if not low:
            yield made(high, "", 0.4, "slice turned round")
            yield made(f"-{high}", "", 0.45, "slice from the end")
        else:
            yield made(low, f"{low} + {high}", 0.5, "slice end counted from its start")
    else:
        yield made(low, "-1", 0.4, "slice without the last")
    if step:
        yield source.replace(node, f"{base}[{low}:{high}]", "slice step dropped", 0.3)
    else:
        yield source.replace(node, f"{base}[{low}:{high}][::-1]", "slice reversed", 0.2)


def integers(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """A whole number moved by one, made zero, one or negative."""
    if not isinstance(node, cst.Integer):
        return
    try:
        value = int(node.value, 0)
    except ValueError:
        return
    priors = {value + 1: 0.55, value - 1: 0.55, 0: 0.35, 1: 0.4, -value: 0.3, value * 2: 0.1}
    for other, prior in priors.items():
        if other != value:
            yield source.replace(node, str(other), f"number {value} → {other}", prior)
    if value in FAMILIES:
        for other in FAMILIES[value]:
            yield source.replace(node, str(other), f"number {value} → {other}", 0.5)


_GROUPS = (
    (12, 24), (60, 3600, 24, 86400, 1440), (365, 366), (28, 29, 30, 31), (1000, 1024, 1_000_000),
    (7, 5), (100, 400, 4), (10, 100, 1000), (10, 16, 8, 2), (52, 53), (1900, 2000, 1970),
)  # fmt: skip
FAMILIES: dict[int, tuple[int, ...]] = {
    n: tuple(dict.fromkeys(m for g in _GROUPS if n in g for m in g if m != n))
    for group in _GROUPS
    for n in group
}


def ranges(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """Bounds of `range`, starts of `enumerate`, lengths, and aggregates of nothing."""
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Name):
        return
    # Beside other arguments a generator needs brackets of its own.
    args = [
        f"({code})" if isinstance(a.value, cst.GeneratorExp) and code[0] != "(" else code
        for a in node.args
        for code in (source.code(a.value),)
    ]
    name = node.func.value
    if name == "range" and len(args) == 1:
        (n,) = args
        for text in (f"{n} + 1", f"{n} - 1", f"1, {n}", f"1, {n} + 1"):
            yield source.replace(node, f"range({text})", "range bounds", 0.65)
    elif name == "range" and len(args) >= 2:
        a, b, *rest = args
        tail = "".join(f", {r}" for r in rest)
        for text in (f"{a}, {b} + 1", f"{a} + 1, {b}", f"{a}, {b} - 1", f"{a} - 1, {b}"):
            yield source.replace(node, f"range({text}{tail})", "range bounds", 0.65)
        if a != "0":
            yield source.replace(node, f"range(0, {b}{tail})", "range from zero", 0.4)
    elif name == "enumerate" and len(args) == 1:
        for start in ("1", "2"):
            yield source.replace(node, f"enumerate({args[0]}, {start})", "count starts later", 0.6)
    elif name == "enumerate" and len(args) == 2:
        yield source.replace(node, f"enumerate({args[0]})", "count starts at zero", 0.6)
    elif name == "len" and len(args) == 1:
        for text in (f"len({args[0]}) - 1", f"(len({args[0]}) + 1)"):
            yield source.replace(node, text, "length moved by one", 0.5)
        yield source.replace(node, f"len(set({args[0]}))", "distinct ones counted", 0.35)
    elif name in ("max", "min") and len(args) == 1:
        for default in ("0", "None"):
            text = f"{name}({args[0]}, default={default})"
            yield source.replace(node, text, "default for nothing", 0.6)
    elif name == "next" and len(args) == 1:
        yield source.replace(node, f"next({args[0]}, None)", "default for nothing", 0.6)
    elif name == "zip":
        yield source.replace(node, f"zip({', '.join(args)}, strict=True)", "strict zip", 0.1)
        if "import itertools" in source.text:
            longest = f"itertools.zip_longest({', '.join(args)})"
            yield source.replace(node, longest, "longest zip", 0.3)
