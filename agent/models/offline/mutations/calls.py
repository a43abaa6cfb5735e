"""Calls: arguments swapped, missing or too many, the wrong method, a conversion too few or many."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import libcst as cst

from agent.models.offline.mutations.source import Change, Scope, Source

METHODS = (
    ("append", "extend"), ("append", "insert"), ("append", "add"), ("strip", "lstrip", "rstrip"),
    ("lower", "upper", "casefold", "title", "capitalize"), ("split", "rsplit"), ("find", "rfind"),
    ("index", "rindex"), ("partition", "rpartition"), ("update", "setdefault"),
    ("remove", "discard"), ("pop", "popitem"), ("popleft", "pop"), ("appendleft", "append"),
    ("startswith", "endswith"), ("match", "fullmatch", "search"), ("union", "intersection",
    "difference", "symmetric_difference"), ("issubset", "issuperset"), ("keys", "values", "items"),
    ("ljust", "rjust", "center", "zfill"), ("isdigit", "isnumeric", "isdecimal", "isalnum",
    "isalpha"), ("removeprefix", "lstrip"), ("removesuffix", "rstrip"), ("read", "readlines"),
    ("splitlines", "split"), ("total_seconds", "seconds"), ("weekday", "isoweekday"),
    ("add", "update"), ("heappush", "heappushpop"), ("most_common", "elements"),
)  # fmt: skip
FUNCTIONS = (
    ("min", "max"), ("any", "all"), ("sum", "len", "max"), ("sorted", "list", "reversed"),
    ("int", "round", "float", "str"), ("floor", "ceil", "trunc"), ("set", "list", "tuple"),
    ("list", "sorted", "set"), ("str", "repr"), ("abs", "int"), ("copy", "deepcopy"),
    ("dict", "OrderedDict"), ("isinstance", "issubclass"),
)  # fmt: skip

KEYS = (
    "str.lower", "str.casefold", "len", "int", "float", "str", "lambda p: p[1]", "lambda p: p[-1]",
    "lambda p: (-p[1], p[0])", "lambda p: (p[1], p[0])",
)  # fmt: skip


def method(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """Another method of the same object, or another function of the same kind."""
    if not isinstance(node, cst.Call):
        return
    if isinstance(node.func, cst.Attribute):
        name = node.func.attr
        for group in (*METHODS, *FUNCTIONS):
            if name.value in group:
                for other in group:
                    if other != name.value:
                        label = f"method {name.value} → {other}"
                        yield source.replace(name, other, label, 0.6)
        yield from _methods(node, node.func, source)
    elif isinstance(node.func, cst.Name):
        for group in FUNCTIONS:
            if node.func.value in group:
                for other in group:
                    if other != node.func.value:
                        label = f"function {node.func.value} → {other}"
                        yield source.replace(node.func, other, label, 0.6)


def _methods(node: cst.Call, func: cst.Attribute, source: Source) -> Iterator[Change]:
    base, name = source.code(func.value), func.attr.value
    args = [source.code(a) for a in node.args]

    def made(text: str, label: str, prior: float) -> Change:
        return source.replace(node, text, label, prior)

    if name in ("strip", "lstrip", "rstrip") and len(args) == 1:
        yield made(f"{base}.{name}()", "strip of all space", 0.4)
        yield made(f"{base}.removeprefix({args[0]})", "prefix removed, not letters", 0.5)
        yield made(f"{base}.removesuffix({args[0]})", "suffix removed, not letters", 0.5)
    if name in ("split", "rsplit"):
        if len(args) == 1:
            yield made(f"{base}.{name}({args[0]}, 1)", "split once", 0.7)
            yield made(f"{base}.rsplit({args[0]}, 1)", "split once from the right", 0.5)
            yield made(f"{base}.split()", "split at any space", 0.5)
        elif len(args) == 2:
            yield made(f"{base}.{name}({args[0]})", "split at each", 0.5)
        elif not args:
            for text in ("' '", "','", "None, 1"):
                yield made(f"{base}.{name}({text})", "split elsewhere", 0.3)
    if name == "get" and len(args) == 1:
        for default in ("0", "[]", "''", "{}", "False", args[0]):
            yield made(f"{base}.get({args[0]}, {default})", "default given", 0.45)
    if name == "get" and len(args) == 2:
        for default in ("0", "1", "[]", "''", "{}", "None"):
            if default != args[1]:
                yield made(f"{base}.get({args[0]}, {default})", "another default", 0.4)
        yield made(f"({base}.get({args[0]}) or {args[1]})", "default for empty too", 0.3)
    if name in ("update", "extend") and len(args) == 1:
        yield made(f"{base} = {args[0]}", "replaced, not extended", 0.1)
    if name == "setdefault" and len(args) == 2:
        yield made(f"{base}[{args[0]}] = {args[1]}", "overwritten, not kept", 0.4)
    if name == "pop" and len(args) == 1:
        yield made(f"{base}.pop({args[0]}, None)", "pop that may miss", 0.6)
        yield made(f"{base}.pop()", "pop from the end", 0.5)
    if name == "pop" and not args:
        yield made(f"{base}.pop(0)", "pop from the front", 0.6)
    if name == "sort" and not args:
        yield made(f"{base}.sort(reverse=True)", "sorted the other way", 0.5)


def arguments(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """Arguments swapped, dropped, or passed on where the enclosing function has them."""
    if not isinstance(node, cst.Call):
        return
    plain = [a for a in node.args if a.keyword is None and not a.star]
    for first, second in pairwise(plain):
        start, end = source.span(first.value)[0], source.span(second.value)[1]
        between = source.data[source.span(first.value)[1] : source.span(second.value)[0]].decode()
        swapped = source.code(second.value) + between + source.code(first.value)
        yield Change(start, end, swapped, "arguments swapped", 0.6)
    head = source.code(node.func)
    args = [source.code(a).rstrip(", ") for a in node.args]
    for at, arg in enumerate(node.args):
        rest = args[:at] + args[at + 1 :]
        prior = 0.45 if arg.keyword else 0.25
        yield source.replace(node, f"{head}({', '.join(rest)})", "argument dropped", prior)
    scope = source.scope(node)
    given = {a.keyword.value for a in node.args if a.keyword} | set(args)
    for name in scope.params if scope else ():
        if name in given or name in ("self", "cls") or scope is None:
            continue
        prior = (
            0.9 if name in scope.unused else (0.6 if head.split(".")[-1] == scope.name else 0.25)
        )
        more = ", ".join([*args, name])
        yield source.replace(node, f"{head}({more})", f"argument {name} passed on", prior)
        more = ", ".join([*args, f"{name}={name}"])
        yield source.replace(node, f"{head}({more})", f"argument {name} passed on", prior)
    yield from _recursive(node, head, args, scope, source)


def _recursive(
    node: cst.Call, head: str, args: list[str], scope: Scope | None, source: Source
) -> Iterator[Change]:
    if scope is None or head.split(".")[-1] != scope.name:
        return
    for at, arg in enumerate(args):
        for text in (f"{arg} + 1", f"{arg} - 1", f"{arg}[1:]", f"{arg}[:-1]"):
            more = ", ".join([*args[:at], text, *args[at + 1 :]])
            yield source.replace(node, f"{head}({more})", "recursion on another value", 0.45)


def sorting(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """The order of a sort: reversed, by another key, ties broken, without regard to case."""
    if not isinstance(node, cst.Call):
        return
    head = source.code(node.func)
    if head not in ("sorted", "min", "max") and not head.endswith(".sort"):
        return
    args = [source.code(a).rstrip(", ") for a in node.args]
    keys = [a for a in node.args if a.keyword and a.keyword.value == "key"]
    if not any(a.startswith("reverse") for a in args) and head not in ("min", "max"):
        text = f"{head}({', '.join([*args, 'reverse=True'])})"
        yield source.replace(node, text, "sorted the other way", 0.6)
    if not keys:
        for key in KEYS:
            text = f"{head}({', '.join([*args, f'key={key}'])})"
            yield source.replace(node, text, f"sorted by {key}", 0.4)
        return
    body = keys[0].value
    if isinstance(body, cst.Lambda):
        yield from _lambda_key(body, source)
    else:
        for key in ("str.lower", "str.casefold", "len", "int", "float"):
            yield source.replace(body, key, f"sorted by {key}", 0.4)


def _lambda_key(key: cst.Lambda, source: Source) -> Iterator[Change]:
    code = source.code(key.body)
    name = key.params.params[0].name.value if key.params.params else "x"
    for text in (f"-{code}", f"({code}).lower()", f"len({code})", f"int({code})", f"float({code})",
                 f"abs({code})", f"str({code})"):  # fmt: skip
        yield source.replace(key.body, text, "another sorting key", 0.45)
    others = [f"{name}.{a}" for a in source.attributes.get(name, ())] + [
        f"{name}[0]",
        f"{name}[1]",
        name,
    ]
    for other in dict.fromkeys(others):
        if other == code:
            continue
        for text in (f"({code}, {other})", f"({other}, {code})", f"(-{code}, {other})", other):
            yield source.replace(key.body, text, "another sorting key", 0.4)
    if isinstance(key.body, cst.Tuple):
        for element in key.body.elements:
            part = source.code(element.value)
            other = part[1:] if part.startswith("-") else f"-{part}"
            yield source.replace(element.value, other, "one key the other way", 0.6)
            yield source.replace(element.value, f"{part}.lower()", "one key without case", 0.4)
        parts = [source.code(e.value) for e in key.body.elements]
        turned = ", ".join(reversed(parts))
        yield source.replace(key.body, f"({turned})", "keys in another order", 0.5)


COPIERS = frozenset({"bytearray", "deque", "dict", "list", "set"})
"""Called with a name these make a copy, mostly so that somebody else's object stays as it is:
without it the change often works by that object changing, too."""


def conversion(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """A conversion around an expression, or one taken away."""
    around = source.parent(node)
    if isinstance(node, cst.Call):
        if isinstance(node.func, cst.Name) and len(node.args) == 1:
            inner = node.args[0].value
            shared = node.func.value in COPIERS and isinstance(inner, cst.Name | cst.Attribute)
            name, prior = ("copy dropped", 0.15) if shared else ("conversion dropped", 0.4)
            yield source.replace(node, source.code(inner), name, prior)
        if isinstance(node.func, cst.Attribute) and not isinstance(around, cst.Expr):
            copied = node.func.attr.value in ("copy", "deepcopy")
            name, prior = ("copy dropped", 0.15) if copied else ("method call dropped", 0.35)
            yield source.replace(node, source.code(node.func.value), name, prior)
    spot = isinstance(
        around, cst.Arg | cst.Return | cst.Index | cst.Assign | cst.AugAssign | cst.For
    )
    spot = spot or isinstance(around, cst.ComparisonTarget | cst.Comparison | cst.DictElement)
    spot = spot or isinstance(around, cst.Element | cst.CompFor | cst.BinaryOperation)
    plain = isinstance(
        node, cst.Name | cst.Attribute | cst.Subscript | cst.Call | cst.BinaryOperation
    )
    plain = plain or isinstance(node, cst.ListComp | cst.GeneratorExp)
    if not spot or not plain or source.scope(node) is None:
        return
    if isinstance(node, cst.Name) and node.value in ("self", "cls", "True", "False", "None"):
        return
    if isinstance(around, cst.For | cst.CompFor) and around.iter is not node:
        return
    if isinstance(around, cst.Arg) and around.keyword is node:
        return
    code = source.code(node)
    bare = f"({code})" if isinstance(node, cst.BinaryOperation) else code
    for method_name in ("strip()", "lower()", "copy()", "casefold()", "upper()"):
        yield source.replace(node, f"{bare}.{method_name}", f".{method_name} added", 0.28)
    for name in ("int", "float", "str", "abs", "list", "sorted", "set", "round", "len", "reversed"):
        yield source.replace(node, f"{name}({code})", f"{name}() added", 0.22)
    if isinstance(around, cst.Return | cst.Assign | cst.AugAssign):
        for text in (f"max({code}, 0)", f"max(0.0, {code})", f"round({code}, 2)", f"not ({code})"):
            yield source.replace(node, text, "result bounded, rounded or negated", 0.25)
        for name in source.scope(node).params[:6]:  # type: ignore[union-attr]
            if name not in ("self", "cls", code):
                for text in (f"min({code}, {name})", f"max({code}, {name})"):
                    yield source.replace(node, text, f"result bounded by {name}", 0.25)
