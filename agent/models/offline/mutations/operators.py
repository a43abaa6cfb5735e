"""Comparison, arithmetic and boolean operators, and the conditions made of them."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator

import libcst as cst

from agent.models.offline.mutations.source import Change, Source

COMPARE: dict[str, tuple[tuple[str, float], ...]] = {
    "<": (("<=", 1.0), (">", 0.5), (">=", 0.5)),
    "<=": (("<", 1.0), (">=", 0.5), (">", 0.4)),
    ">": ((">=", 1.0), ("<", 0.5), ("<=", 0.5)),
    ">=": ((">", 1.0), ("<=", 0.5), ("<", 0.4)),
    "==": (("!=", 0.6), (">=", 0.5), ("<=", 0.5), ("in", 0.3)),
    "!=": (("==", 0.6), ("<", 0.3), (">", 0.3)),
    "in": (("not in", 0.6), ("==", 0.2)),
    "not in": (("in", 0.6),),
    "is": (("is not", 0.6), ("==", 0.6)),
    "is not": (("is", 0.6), ("!=", 0.6)),
}
ARITHMETIC: dict[str, tuple[tuple[str, float], ...]] = {
    "+": (("-", 0.8), ("*", 0.3)),
    "-": (("+", 0.8),),
    "*": (("/", 0.4), ("+", 0.3), ("**", 0.3)),
    "/": (("//", 0.9), ("*", 0.4), ("%", 0.2)),
    "//": (("/", 0.9), ("%", 0.5)),
    "%": (("//", 0.5), ("/", 0.2)),
    "**": (("*", 0.4),),
    "|": (("&", 0.5), ("^", 0.3), ("-", 0.3)),
    "&": (("|", 0.5), ("-", 0.3)),
    "^": (("&", 0.4), ("|", 0.4)),
    "<<": ((">>", 0.4),),
    ">>": (("<<", 0.4),),
}


def comparison(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """Another comparison operator, a bound moved by one, operands made alike."""
    if not isinstance(node, cst.Comparison):
        return
    left = source.code(node.left)
    for target in node.comparisons:
        sign, right = source.code(target.operator), source.code(target.comparator)
        for other, prior in COMPARE.get(sign, ()):
            yield source.replace(target.operator, other, f"comparison {sign} → {other}", prior)
        if sign in ("<", "<=", ">", ">=", "==", "!="):
            for step in ("+ 1", "- 1"):
                moved = f"{_operand(target.comparator, right)} {step}"
                yield source.replace(target.comparator, moved, "bound moved by one", 0.45)
    if len(node.comparisons) != 1:
        return
    target = node.comparisons[0]
    sign, right = source.code(target.operator), source.code(target.comparator)
    yield source.replace(node, f"abs({left}) {sign} {right}", "absolute value compared", 0.25)
    if sign in ("==", "!=", "in", "not in"):
        for method in ("lower", "strip", "casefold"):
            both = f"{left}.{method}() {sign} {right}.{method}()"
            yield source.replace(node, both, f"compared after {method}", 0.3)
            one = f"{left}.{method}() {sign} {right}"
            yield source.replace(node, one, f"left side compared after {method}", 0.35)
    if sign == "in":
        yield source.replace(target.comparator, f"{right}.values()", "membership of values", 0.3)
        yield source.replace(target.comparator, f"{right}.split()", "membership of words", 0.2)


def _operand(node: cst.BaseExpression, code: str) -> str:
    atoms = cst.Name | cst.Integer | cst.Call | cst.Attribute | cst.Subscript | cst.Float
    return code if isinstance(node, atoms) else f"({code})"


def arithmetic(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """Another arithmetic operator, a term dropped, swapped, regrouped or moved by one."""
    if isinstance(node, cst.AugAssign):
        sign = source.code(node.operator).strip()
        for other, prior in ARITHMETIC.get(sign.rstrip("="), ()):
            yield source.replace(node.operator, other + "=", f"{sign} → {other}=", prior)
        yield source.replace(node.operator, "=", f"{sign} → =", 0.4)
        return
    if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus):
        yield source.replace(node, source.code(node.expression), "sign dropped", 0.5)
        return
    if not isinstance(node, cst.BinaryOperation):
        return
    sign = source.code(node.operator).strip()
    left, right = source.code(node.left), source.code(node.right)
    for other, prior in ARITHMETIC.get(sign, ()):
        yield source.replace(node.operator, other, f"operator {sign} → {other}", prior)
    yield source.replace(node, left, "right operand dropped", 0.35)
    yield source.replace(node, right, "left operand dropped", 0.3)
    if sign in ("+", "-", "/", "//", "%", "**"):
        # Texts and lists that are put together have an order, too.
        swapped = f"{_operand(node.right, right)} {sign} {_operand(node.left, left)}"
        yield source.replace(node, swapped, "operands swapped", 0.4 if sign == "+" else 0.6)
    yield from _regroup(node, sign, source)
    for step in (" + 1", " - 1"):
        if sign in ("+", "-"):
            yield source.replace(node, f"{left} {sign} {right}{step}", "result moved by one", 0.5)
        else:
            yield source.replace(node, f"({left} {sign} {right}{step})", "result moved by one", 0.4)
    if sign in ("//", "%"):
        for step in (" - 1", " + 1"):
            shifted = f"({left}{step}) {sign} {right}"
            yield source.replace(node, shifted, "counted from 0 or from 1", 0.65)
    if sign in ("//", "/"):
        up = f"-(-{_operand(node.left, left)} // {_operand(node.right, right)})"
        yield source.replace(node, up, "division rounded up", 0.6)


def _regroup(node: cst.BinaryOperation, sign: str, source: Source) -> Iterator[Change]:
    for side, at in ((node.left, "left"), (node.right, "right")):
        if not isinstance(side, cst.BinaryOperation):
            continue
        inner = source.code(side.operator).strip()
        a, b = source.code(side.left), source.code(side.right)
        if at == "left":
            text = f"{a} {inner} ({b} {sign} {source.code(node.right)})"
        else:
            text = f"({source.code(node.left)} {sign} {a}) {inner} {b}"
        yield source.replace(node, text, "operations grouped otherwise", 0.7)


def boolean(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """`and` for `or`, an operand dropped or negated, `not` dropped, truth or `is None`."""
    if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Not):
        inner = source.code(node.expression)
        yield source.replace(node, inner, "negation dropped", 0.6)
        if isinstance(node.expression, cst.Name | cst.Attribute | cst.Call | cst.Subscript):
            yield source.replace(node, f"{inner} is None", "emptiness → is None", 0.85)
    if not isinstance(node, cst.BooleanOperation):
        return
    left, right = source.code(node.left), source.code(node.right)
    is_and = isinstance(node.operator, cst.And)
    other = "or" if is_and else "and"
    yield source.replace(node.operator, other, f"boolean operator → {other}", 0.8)
    yield source.replace(node, left, "right condition dropped", 0.45)
    yield source.replace(node, right, "left condition dropped", 0.45)
    for side, code in ((node.left, left), (node.right, right)):
        yield source.replace(side, f"not ({code})", "operand negated", 0.3)
    if not is_and:
        text = f"({left} if {left} is not None else {right})"
        yield source.replace(node, text, "default only for None", 0.8)
    for part, before in ((node.left, True), (node.right, False)):
        if isinstance(part, cst.BooleanOperation):
            a, b = source.code(part.left), source.code(part.right)
            sign, mid = ("and" if is_and else "or"), source.code(part.operator).strip()
            text = f"{a} {mid} ({b} {sign} {right})" if before else f"({left} {sign} {a}) {mid} {b}"
            yield source.replace(node, text, "conditions grouped otherwise", 0.5)


def condition(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """A test negated, made always or never true, or joined with another condition of the file."""
    if not isinstance(node, cst.If | cst.While | cst.IfExp | cst.CompIf):
        return
    test = source.code(node.test)
    plain = isinstance(node.test, cst.Name | cst.Attribute | cst.Call | cst.Subscript)
    yield source.replace(node.test, f"not ({test})", "condition negated", 0.5)
    if plain and not _never_gives_none(node.test):
        yield source.replace(node.test, f"{test} is not None", "truth → is not None", 0.8)
    if plain:
        yield source.replace(node.test, f"len({test}) > 1", "more than one", 0.2)
    if isinstance(node, cst.If):
        yield source.replace(node.test, "False", "branch never taken", 0.25)
        yield source.replace(node.test, "True", "branch always taken", 0.15)
    if isinstance(node, cst.CompIf):
        start, end = source.span(node)
        yield Change(start, end, "", "filter dropped", 0.35)
    scope = source.scope(node)
    names = scope.names if scope else ()
    for extra in _extras(names, source, test):
        wrapped = f"({test})" if isinstance(node.test, cst.BooleanOperation) else test
        yield source.replace(node.test, f"{wrapped} or {extra}", "condition widened", 0.25)
        yield source.replace(node.test, f"{wrapped} and {extra}", "condition narrowed", 0.3)


_NEVER_NONE = frozenset({
    "all", "any", "bool", "callable", "dict", "float", "hasattr", "int", "isinstance",
    "issubclass", "len", "list", "set", "sorted", "str", "sum", "tuple",
})  # fmt: skip
"""Built-in functions that never return None, so that to ask for it decides nothing."""
_YES_OR_NO = re.compile(
    r"(?:is|has)_\w+|is(?:alnum|alpha|digit|lower|space|upper)|(?:starts|ends)with"
)
"""Methods that answer yes or no."""


def _never_gives_none(node: cst.BaseExpression) -> bool:
    called = node.func if isinstance(node, cst.Call) else None
    if isinstance(called, cst.Name):
        return called.value in _NEVER_NONE
    return isinstance(called, cst.Attribute) and _YES_OR_NO.fullmatch(called.attr.value) is not None


def _extras(names: tuple[str, ...], source: Source, test: str) -> Iterator[str]:
    for other in source.conditions:
        if other != test and len(other) < 50 and _known(other, names):
            yield other if " or " not in other else f"({other})"
            yield f"not ({other})"
    for name in names:
        if name in ("self", "cls"):
            continue
        yield from (f"{name} is None", f"not {name}", f"{name} is not None", name)


def _known(code: str, names: tuple[str, ...]) -> bool:
    """Whether code reads no lower-case name that is not one of these."""
    tree = cst.parse_expression(code.replace("\n", " "))
    stack: list[cst.CSTNode] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, cst.Attribute):
            stack.append(node.value)
            continue
        if (
            isinstance(node, cst.Name)
            and node.value.islower()
            and node.value not in names
            and not hasattr(builtins, node.value)
        ):
            return False
        stack.extend(node.children)
    return True
