"""Statements: returns, branches, loops, guards, missing and misplaced lines, exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from agent.models.offline.mutations.source import Change, Source

ERRORS = (
    "KeyError", "ValueError", "IndexError", "TypeError", "AttributeError", "ZeroDivisionError",
    "OSError", "StopIteration", "Exception",
)  # fmt: skip
WORDS = frozenset({
    "self", "None", "return", "raise", "not", "in", "and", "or", "if", "else", "is", "for", "str",
    "int", "float", "list", "dict", "set", "f", "len",
})  # fmt: skip
GIVES_BACK = re.compile(
    r"\.(close|release|disconnect|stop|rollback|pop|shutdown|unlock|remove|put)\("
)
IN_PLACE = frozenset({
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "remove", "reverse",
    "sort", "update", "write", "writelines", "close", "flush", "move_to_end", "rotate",
})  # fmt: skip
"""Methods of the standard containers and files whose result is None or of no use."""
KEPT = (("{}.extend({})", 1.0), ("{} += {}", 1.0), ("{}.append({})", 0.8), ("{} = {}", 0.6))
"""What to do with a result that is thrown away; what was gathered so far is rarely dropped."""
REGULAR = ("{0}.strip()", "{0}.lower()", "{0} + 1", "list({0})", "abs({0})", "sorted({0})")
EMPTY = {
    "list": "[]", "dict": "{}", "str": '""', "int": "0", "float": "0.0", "bool": "False",
    "none": "None", "tuple": "()", "set": "set()", "sequence": "[]", "optional": "None",
}  # fmt: skip
"""What a guard returns where the annotation names a type."""


def small(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """Jumps, returns and yields changed in place."""
    if isinstance(node, cst.Break):
        yield source.replace(node, "continue", "break → continue", 0.6)
        yield source.replace(node, "return", "break → return", 0.2)
        yield source.replace(node, "pass", "break dropped", 0.5)
    elif isinstance(node, cst.Continue):
        yield source.replace(node, "break", "continue → break", 0.6)
        yield source.replace(node, "pass", "continue dropped", 0.5)
    elif isinstance(node, cst.Return):
        value = source.code(node.value) if node.value else ""
        if value:
            yield source.replace(node, f"yield {value}", "return → yield", 0.35)
            yield source.replace(node, f"yield from {value}", "return → yield from", 0.3)
            yield source.replace(node, f"return not ({value})", "result negated", 0.4)
        for other in ("None", "True", "False", "0", "1", "[]", '""', "{}"):
            if other != value:
                yield source.replace(node, f"return {other}", f"returns {other}", 0.25)
    elif isinstance(node, cst.Yield) and node.value:
        value = source.code(node.value)
        if value.startswith("from "):
            yield source.replace(node, f"yield {value[5:]}", "yield from → yield", 0.5)
        else:
            yield source.replace(node, f"yield from {value}", "yield → yield from", 0.5)
            yield source.replace(node, f"yield list({value})", "a copy yielded", 0.5)
            yield source.replace(node, f"return {value}", "yield → return", 0.3)
    elif isinstance(node, cst.Expr) and isinstance(node.value, cst.Call):
        code = source.code(node.value)
        scope = source.scope(node)
        name = scope.name if scope else ""
        recursive = source.code(node.value.func).split(".")[-1] == name
        yield source.replace(node, f"return {code}", "result returned", 0.9 if recursive else 0.3)
        yield source.replace(
            node, f"yield from {code}", "results yielded", 0.9 if recursive else 0.2
        )
        for local in scope.names if scope else ():
            if local not in scope.params:  # type: ignore[union-attr]
                for form, weight in KEPT:
                    text = form.format(local, code)
                    prior = weight * (0.6 if recursive else 0.2)
                    yield source.replace(node, text, "result kept", prior)
        if isinstance(node.value.func, cst.Attribute):
            base = source.code(node.value.func.value)
            if node.value.func.attr.value not in IN_PLACE:
                yield source.replace(node, f"{base} = {code}", "result kept", 0.7)


def misplaced(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """A statement dropped, moved out of or into a block, or swapped with the next."""
    if not isinstance(node, cst.SimpleStatementLine) or source.scope(node) is None:
        return
    around = source.parent(node)
    if not isinstance(around, cst.IndentedBlock):
        return
    body = list(around.body)
    at = body.index(node)
    if len(body) > 1:
        start, end = source.span(node)
        yield Change(start, end, "pass", "statement dropped", 0.45)
    if at + 1 < len(body) and isinstance(body[at + 1], cst.SimpleStatementLine):
        following = body[at + 1]
        text = source.code(following) + "\n" + " " * source.column(node) + source.code(node)
        span = Change(
            source.span(node)[0], source.span(following)[1], text, "statements swapped", 0.45
        )
        yield span
    owner = source.parent(around)
    if (
        at == len(body) - 1
        and len(body) > 1
        and isinstance(owner, cst.For | cst.While | cst.If | cst.With)
    ):
        start, end = source.span(node)
        moved = " " * source.column(owner) + source.code(node)
        yield Change(_line_start(source, start), end, moved, "moved out of the block", 0.7)
    if at > 0 and isinstance(body[at - 1], cst.For | cst.While | cst.If | cst.With | cst.Try):
        start, end = source.span(node)
        inner = " " * (source.column(node) + 4)
        shifted = inner + source.code(node).replace("\n", "\n    ")
        yield Change(_line_start(source, start), end, shifted, "moved into the block before", 0.6)
    # An assignment before a loop may belong into it, to start anew in each turn.
    following_block = body[at + 1] if at + 1 < len(body) else None
    if isinstance(following_block, cst.For | cst.While) and isinstance(
        following_block.body, cst.IndentedBlock
    ):
        first = following_block.body.body[0]
        gap = source.data[source.span(node)[1] : source.span(first)[0]].decode()
        text = gap.lstrip("\n").lstrip() + source.code(node) + "\n" + " " * source.column(first)
        span = Change(source.span(node)[0], source.span(first)[0], text, "moved into the loop", 0.6)
        yield span


def _line_start(source: Source, offset: int) -> int:
    return source.data.rfind(b"\n", 0, offset) + 1


def missing(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """A statement that stands elsewhere in the file is missing here."""
    scope = source.scope(node)
    if scope is None or not isinstance(
        node, cst.SimpleStatementLine | cst.If | cst.For | cst.While
    ):
        return
    own = source.code(node)
    for statement in source.statements:
        if statement == own or "\n" in statement or len(statement) > 80:
            continue
        reads = set(re.findall(r"(?<![\w.'\"])([a-z_]\w*)(?!\w*\()", statement))
        if not reads <= {*scope.names, *WORDS}:
            continue
        attributes = set(re.findall(r"\bself\.(\w+)", statement))
        if attributes and not attributes <= set(scope.self_attributes):
            continue
        jump = statement.startswith(("return", "raise"))
        prior = 0.08 if jump else (0.4 if attributes else 0.25)
        yield source.insert_before(node, statement, "missing statement", prior)
        if not own.startswith(("return", "raise", "break", "continue")):
            yield source.insert_after(node, statement, "missing statement", prior)
    reset = [a for a in scope.self_attributes if isinstance(node, cst.SimpleStatementLine)]
    for name in reset:
        for text in (f"self.{name} += 1", f"self.{name} -= 1", f"self.{name} = None",
                     f"self.{name}.clear()", f"self.{name} = 0", f"self.{name} = True",
                     f"self.{name} = False"):  # fmt: skip
            yield source.insert_before(node, text, "missing update of the object", 0.2)
    for name in scope.names:
        if name in ("self", "cls"):
            continue
        for form in REGULAR:
            text = f"{name} = {form.format(name)}"
            yield source.insert_before(node, text, f"{name} made regular first", 0.2)


def guards(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """A guard for empty, None, zero or negative values before the first statements."""
    scope = source.scope(node)
    around = source.parent(node)
    if (
        scope is None
        or not isinstance(around, cst.IndentedBlock)
        or isinstance(node, cst.FunctionDef)
    ):
        return
    if not isinstance(
        node, cst.SimpleStatementLine | cst.If | cst.For | cst.While | cst.With | cst.Try
    ):
        return
    owner = source.parent(around)
    in_loop = isinstance(owner, cst.For | cst.While)
    own = source.code(node)
    if own.startswith(('"""', "'''")) or (in_loop and around.body[0] is not node):
        return
    read = [n for n in scope.names if n not in ("self", "cls") and re.search(rf"\b{n}\b", own)]
    read += [f"self.{a}" for a in scope.self_attributes if f"self.{a}" in own][:3]
    results = _results(scope.node, source)
    for name in read:
        tests = (f"not {name}", f"{name} is None", f"{name} == 0", f"{name} < 0", f"{name} <= 0",
                 f"len({name}) == 0", f"not {name}.strip()")  # fmt: skip
        for test in tests:
            jumps = ["continue", "break"] if in_loop else []
            jumps += [f"return {r}" if r else "return" for r in results]
            jumps.append('raise ValueError("' + f"invalid {name.split('.')[-1]}" + '")')
            weak = 0.6 if name not in scope.params and not in_loop else 1.0
            for rank, jump in enumerate(jumps):
                prior = max(0.14, 0.42 - 0.03 * rank) * weak
                yield source.insert_before(node, f"if {test}:\n    {jump}", "guard added", prior)


def _results(node: cst.FunctionDef, source: Source) -> list[str]:
    """What a guard of this function might return, the likeliest first."""
    kind = source.code(node.returns.annotation).lower() if node.returns else ""
    likely = [v for k, v in EMPTY.items() if kind.startswith(k)] + [
        v for k, v in EMPTY.items() if k in kind
    ]
    body = source.code(node)
    returned = re.findall(r"^\s*return (\S{1,20})$", body, re.M)
    params = [p.name.value for p in node.params.params if p.name.value not in ("self", "cls")]
    if "yield" in body:
        likely = ["", *likely]
    rest = ["0", "[]", "None", "0.0", '""', "{}", "False", "True"]
    return list(dict.fromkeys([*likely, *returned, *params, *rest]))[:10]


def exceptions(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """Another exception caught or raised; clean-up that an error would skip."""
    if isinstance(node, cst.ExceptHandler) and node.type is not None:
        old = source.code(node.type)
        for other in ERRORS:
            if other not in old:
                yield source.replace(node.type, other, f"except {old} → {other}", 0.3)
                both = f"({old.strip('()')}, {other})"
                yield source.replace(node.type, both, f"{other} caught too", 0.6)
    if isinstance(node, cst.Raise) and node.exc is not None and isinstance(node.exc, cst.Call):
        func = node.exc.func
        for other in ERRORS:
            if other != source.code(func):
                yield source.replace(func, other, f"raises {other}", 0.4)
    if isinstance(node, cst.If) and node.orelse is None:
        around = source.parent(node)
        body = list(around.body) if isinstance(around, cst.IndentedBlock) else []
        at = body.index(node) if node in body else 0
        if at and isinstance(body[at - 1], cst.If):
            start, _ = source.span(node)
            yield Change(start, start, "el", "if → elif", 0.6)
    around = source.parent(node)
    if isinstance(node, cst.If) and isinstance(around, cst.If) and around.orelse is node:
        start, _ = source.span(node)
        yield Change(start, start + 2, "", "elif → if", 0.5)


def cleanup(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """A statement and those after it in try, and one that gives back what was taken in finally.

    It begins at the statement that failed: what would have come after it never ran.
    """
    around = source.parent(node)
    if not isinstance(node, cst.SimpleStatementLine) or source.scope(node) is None:
        return
    if not isinstance(around, cst.IndentedBlock):
        return
    body = list(around.body)
    at, pad = body.index(node), " " * source.column(node)
    start = _line_start(source, source.span(node)[0])
    for last in body[at + 1 : at + 6]:
        if not isinstance(last, cst.SimpleStatementLine):
            continue
        code, end = source.code(last), source.span(last)[1]
        if code.startswith(("return", "raise", "break", "continue")):
            continue  # a jump in `finally` swallows every exception
        middle = source.data[start : _line_start(source, source.span(last)[0])].decode()
        inner = "".join("    " + line if line.strip() else line for line in middle.splitlines(True))
        text = f"{pad}try:\n{inner}{pad}finally:\n{pad}    {code}"
        prior = 0.7 if GIVES_BACK.search(code) else 0.2
        yield Change(start, end, text, "clean-up in finally", prior)
