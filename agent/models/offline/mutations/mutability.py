"""Shared mutable state: defaults, class attributes, missing copies, loops over what they change."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from agent.models.offline.mutations.source import Change, Source

MUTABLE = re.compile(
    r"\[.*\]|\{.*\}|(list|dict|set|defaultdict|OrderedDict|deque|Counter)\(.*\)", re.S
)


def defaults(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """A mutable default argument made fresh for each call."""
    if not isinstance(node, cst.FunctionDef) or not isinstance(node.body, cst.IndentedBlock):
        return
    for param in (*node.params.params, *node.params.kwonly_params):
        if param.default is None:
            continue
        value = source.code(param.default)
        first = next((s for s in node.body.body if not _is_docstring(s)), None)
        if first is None or not (MUTABLE.fullmatch(value) or isinstance(param.default, cst.Call)):
            continue
        name, pad = param.name.value, " " * source.column(first)
        start, end = source.span(param.default)[0], source.span(first)[0]
        between = source.data[source.span(param.default)[1] : end].decode()
        between = re.sub(r"^(\s*[,)])", r"\1", between)
        guard = f"if {name} is None:\n{pad}    {name} = {value}\n{pad}"
        yield Change(start, end, f"None{between}{guard}", "mutable default made fresh", 0.95)


def _is_docstring(node: cst.CSTNode) -> bool:
    return (
        isinstance(node, cst.SimpleStatementLine)
        and isinstance(node.body[0], cst.Expr)
        and isinstance(node.body[0].value, cst.SimpleString | cst.ConcatenatedString)
    )


def class_state(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """A mutable attribute of the class made one of each object."""
    if not isinstance(node, cst.ClassDef) or not isinstance(node.body, cst.IndentedBlock):
        return
    made = next(
        (
            m
            for m in node.body.body
            if isinstance(m, cst.FunctionDef) and m.name.value == "__init__"
        ),
        None,
    )
    for statement in node.body.body:
        if not isinstance(statement, cst.SimpleStatementLine):
            continue
        code = source.code(statement)
        hit = re.fullmatch(r"(\w+)(?:\s*:[^=]+)?\s*=\s*(.+)", code, re.S)
        if hit is None or not MUTABLE.fullmatch(hit.group(2)):
            continue
        pad = " " * (source.column(statement) + 4)
        if made is not None and isinstance(made.body, cst.IndentedBlock):
            first = next((s for s in made.body.body if not _is_docstring(s)), None)
            if first is None or source.span(first)[0] < source.span(statement)[1]:
                continue
            start, mid = source.span(statement)
            rest = source.data[mid : source.span(first)[0]].decode()
            text = f"{code}{rest}self.{hit.group(1)} = {hit.group(2)}\n{pad}"
            yield Change(start, source.span(first)[0], text, "state of each object", 0.9)
        else:
            text = (
                f"{code}\n\n{pad[4:]}def __init__(self):\n{pad}self.{hit.group(1)} = {hit.group(2)}"
            )
            yield source.replace(statement, text, "state of each object", 0.9)


def copies(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """A copy where the same object was kept, handed out or looped over."""
    around = source.parent(node)
    if source.scope(node) is None or not isinstance(
        node, cst.Name | cst.Attribute | cst.Subscript | cst.Call
    ):
        return
    code = source.code(node)
    if code in ("self", "cls", "None", "True", "False"):
        return
    if isinstance(around, cst.Assign | cst.Return | cst.AnnAssign) and around.value is node:
        made, prior = ["list({})", "dict({})", "{}.copy()", "set({})"], 0.45
        if "import copy" in source.text:
            made.append("copy.deepcopy({})")
    elif isinstance(around, cst.For | cst.CompFor) and around.iter is node:
        made, prior = ["list({})", "reversed({})", "sorted({})", "tuple({})"], 0.55
    elif isinstance(around, cst.Arg | cst.DictElement | cst.Element | cst.Yield):
        made, prior = ["list({})", "dict({})", "{}.copy()", "{}[:]"], 0.4
    else:
        return
    for form in made:
        yield source.replace(node, form.format(code), "a copy, not the object itself", prior)
