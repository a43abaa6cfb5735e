"""The same failure nearby: whether inputs like the reproduction's still fail in the same way.

Only for crashes, hangs and endless recursion: there the kind of failure says what is meant,
without anybody having to know the right answer.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from agent.gate.behaviour.documented_examples import Example, Seen, Session, Shown, run_sessions
from agent.gate.patch.changed_file import ChangedFile, parsed
from agent.journal.events import Check, ReproductionDeclared
from agent.model import Record
from agent.models.offline import issue_examples
from agent.models.offline.variants import nearby
from sandbox.protocol import OpenSandbox, Sandbox

NAME = "the same failure nearby"
_MOST = 20
_MOST_HANGING = 5
_SHOWN = 3
_NEVER_MEANT = frozenset(
    {
        "ArithmeticError",
        "AttributeError",
        "IndexError",
        "NameError",
        "OverflowError",
        "RecursionError",
        "UnboundLocalError",
        "ZeroDivisionError",
    }
)
"""What no caller is told to expect; other exceptions may be the answer to a bad argument."""
_BOUND = re.compile(r"\b([A-Za-z_]\w*)\s*(>=|<=|>|<|!=)\s*(-?\d+)\b")
_NOT_EMPTY = re.compile(r"non-?\s?empty|not (?:be )?empty|at least one", re.I)


class SameFailure(Record):
    """An input near the reproduction's that still fails in the same way."""

    code: str
    raised: str
    place: str
    meant: bool
    """Whether such an exception can be the answer to a bad argument."""


def variants_of_reproduction(declared: ReproductionDeclared) -> list[Session]:
    """The reproduction's own code, and the same with one literal changed; the own one first."""
    for path, text in sorted(declared.files.items()):
        tree = parsed(text) if path.endswith(".py") else None
        code = _statements(tree) if tree is not None else []
        if not code:
            continue
        own = issue_examples.Example(code[-1], tuple(code[:-1]))
        known = _kinds([*own.setup, own.expr])
        changed = [e for e in nearby(own, _MOST) if _kinds([*e.setup, e.expr]) <= known]
        return [_session(path, e.setup, e.expr) for e in (own, *changed)]
    return []


def _kinds(code: Sequence[str]) -> frozenset[str]:
    """The types of a code's literals, and of what is in its containers.

    An input of another type, such as an empty list that gets elements of a type that nobody
    named, is not the reproduction's neighbour: that the code fails for it says nothing.
    """
    tree = parsed("\n".join(code)) or ast.Module(body=[], type_ignores=[])
    kinds: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            kinds.add(type(node.value).__name__)
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            kinds |= {f"{type(node).__name__} of {_kind(e)}" for e in node.elts}
        elif isinstance(node, ast.Dict):
            kinds |= {f"dict of {_kind(v)}" for v in node.values}
    return frozenset(kinds)


def _kind(node: ast.expr) -> str:
    if isinstance(node, ast.UnaryOp):
        return _kind(node.operand)
    return type(node.value).__name__ if isinstance(node, ast.Constant) else type(node).__name__


def _statements(tree: ast.Module) -> list[str]:
    """What the first test does, or a script: checks are only evaluated; ends in an expression."""
    top: list[ast.stmt] = []
    body: list[ast.stmt] | None = None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            if body is None and not node.args.args and not node.decorator_list:
                body = _body(node)
        elif isinstance(node, ast.ClassDef) and _holds_tests(node):
            body = body or _of_first_method(node)
        else:
            top.append(node)
    found = [_evaluated(node) for node in [*top, *(body or [])]]
    while found and not isinstance(found[-1], ast.Expr):
        found.pop()
    return [ast.unparse(node) for node in found]


def _body(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def _holds_tests(node: ast.ClassDef) -> bool:
    return any(isinstance(n, ast.FunctionDef) and n.name.startswith("test") for n in node.body)


def _of_first_method(node: ast.ClassDef) -> list[ast.stmt] | None:
    """What the first test method does, after the class's set-up; None where it needs more of it.

    `self` becomes an object that only holds what set-up and test put there.
    """
    methods = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
    tests = [n for n in methods.values() if n.name.startswith("test")]
    if len(tests[0].args.args) != 1 or tests[0].decorator_list:
        return None
    before = [_body(methods[name]) for name in ("setUp", "setup_method") if name in methods]
    given = ast.parse("import types\nself = types.SimpleNamespace()").body
    body = [*given, *(line for part in before for line in part), *_body(tests[0])]
    own = {n.attr for line in body for n in ast.walk(line) if _of_self(n, ast.Store)}
    looked_at = [n for line in map(_evaluated, body) for n in ast.walk(line)]
    used = {n.attr for n in looked_at if _of_self(n, ast.Load)}
    return body if used <= own else None


def _of_self(node: ast.AST, context: type[ast.expr_context]) -> TypeGuard[ast.Attribute]:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and isinstance(node.ctx, context)
    )


def _evaluated(node: ast.stmt) -> ast.stmt:
    """A check as what it looks at: `assert f(x) == 1` and `self.assertEqual(f(x), 1)` as `f(x)`."""
    if isinstance(node, ast.Assert):
        return ast.Expr(node.test.left if isinstance(node.test, ast.Compare) else node.test)
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not call.args or not _of_self(call.func, ast.Load):
        return node
    checks = call.func.attr.startswith("assert") and "Raises" not in call.func.attr
    return ast.Expr(call.args[0]) if checks else node


def _session(path: str, setup: Sequence[str], expr: str) -> Session:
    examples = tuple(Example(source=f"{code}\n\n", want="") for code in (*setup, expr))
    return Session(path=path, examples=examples)


def failures_nearby(
    sessions: Sequence[Session], before: Seen, after: Seen, patched: Mapping[str, str | None]
) -> list[SameFailure]:
    """The variants that fail on both sides as the reproduction's own code does on the first.

    Left out are what the code refuses by a `raise` or `assert` of its own, and what the function's
    documented precondition or its documented exceptions exclude. Nothing, where the reproduction's
    code does not crash or hang without the patch, or still does with it.
    """
    bug, now = _how_session_ended(sessions[0], before, 0), _how_session_ended(sessions[0], after, 0)
    if bug == _WELL or now != _WELL:
        return []
    found = []
    for number, session in enumerate(sessions[1:], 1):
        was, still = (
            _how_session_ended(session, before, number),
            _how_session_ended(session, after, number),
        )
        if was != bug or still != bug:
            continue
        shown = _last_shown(session, after, number)
        code = "; ".join(e.source.strip() for e in session.examples if "import" not in e.source)
        if _excluded(shown, code, patched):
            continue
        found.append(
            SameFailure(
                code=code,
                raised=(shown.raised or "").strip() if shown else "",
                place=shown.place if shown else "",
                meant=bug[0] not in _NEVER_MEANT and bug[0] != _HANGS,
            )
        )
    return found


_HANGS = "does not end"
_WELL = ("", "")


def _how_session_ended(session: Session, seen: Seen, number: int) -> tuple[str, str]:
    """How a session ended: the exception's name and the function; empty words if well."""
    for at in range(len(session.examples)):
        shown = seen.get((number, at))
        if shown is None:
            return _HANGS, ""
        if shown.raised is not None:
            kind = shown.raised.partition(":")[0].strip()
            return (kind, shown.place.rpartition(":")[2]) if shown.place else ("outside", kind)
    return _WELL


def _last_shown(session: Session, seen: Seen, number: int) -> Shown | None:
    shown = [seen.get((number, at)) for at in range(len(session.examples))]
    return next((s for s in shown if s is not None and s.raised is not None), None)


def _excluded(shown: Shown | None, code: str, patched: Mapping[str, str | None]) -> bool:
    if shown is None:
        called = _called(code)
        return any(
            _documented_away(text, name, _HANGS, code)
            for text in patched.values()
            for name in called
            if text is not None
        )
    path, _, rest = shown.place.partition(":")
    line, _, name = rest.partition(":")
    text = patched.get(path)
    if text is None:
        return path not in patched
    lines = text.split("\n")
    at = int(line) if line.isdigit() else 0
    if 0 < at <= len(lines) and re.match(r"\s*(raise|assert)\b", lines[at - 1]):
        return True
    kind = (shown.raised or "").partition(":")[0].strip()
    return _documented_away(text, name, kind, code)


def _documented_away(text: str, name: str, kind: str, code: str) -> bool:
    """Whether the words of a function's file exclude a call: its precondition, or `Raises`."""
    tree = parsed(text)
    functions = [
        n
        for n in ast.walk(tree or ast.Module(body=[], type_ignores=[]))
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == name
    ]
    if not functions or tree is None:
        return False
    owner = next(
        (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and functions[0] in n.body), None
    )
    words = "\n".join(
        [ast.get_docstring(functions[0]) or "", (ast.get_docstring(owner) if owner else "") or ""]
        + [
            node.value.value
            for node in tree.body
            if isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ]
    )
    if re.search(rf"raises?\W+(?:\w+\W+)?{re.escape(kind)}\b", words, re.I):
        return True
    names = [a.arg for a in functions[0].args.args]
    if owner is not None and names[:1] in (["self"], ["cls"]):
        del names[0]
    for call in _calls(code, name):
        given = dict(zip(names, call.args, strict=False))
        given |= {k.arg: k.value for k in call.keywords if k.arg}
        values = {key: _literal(value) for key, value in given.items()}
        for hit in _BOUND.finditer(words):
            value = values.get(hit[1])
            if isinstance(value, int | float) and not _within(value, hit[2], int(hit[3])):
                return True
        empty = any(v in ([], (), "", {}) for v in values.values() if v is not None)
        if empty and _NOT_EMPTY.search(words):
            return True
    return False


def _calls(code: str, name: str) -> list[ast.Call]:
    tree = parsed(code)
    return [
        node
        for node in ast.walk(tree or ast.Module(body=[], type_ignores=[]))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name
    ]


def _called(code: str) -> frozenset[str]:
    tree = parsed(code)
    return frozenset(
        ast.unparse(node.func).rpartition(".")[2]
        for node in ast.walk(tree or ast.Module(body=[], type_ignores=[]))
        if isinstance(node, ast.Call)
    )


def _literal(node: ast.expr) -> object:
    try:
        value: object = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return value


def _within(value: float, sign: str, bound: int) -> bool:
    return {
        ">=": value >= bound,
        "<=": value <= bound,
        ">": value > bound,
        "<": value < bound,
        "!=": value != bound,
    }[sign]


def nearby_check(found: Sequence[SameFailure]) -> Check | None:
    """What is shown; it fails where the failure can be no answer to a bad argument."""
    if not found:
        return None
    never = [f for f in found if not f.meant]
    shown = never or found
    listed = "; ".join(
        f"`{' '.join(f.code.split())[:160]}` {f.raised[:120] or 'does not end'}"
        f"{f' in {f.place[:120]}' if f.place else ''}"
        for f in shown[:_SHOWN]
    )
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    what = (
        "Inputs near the reproduction's still fail in the same way with the patch, so the fix may "
        f"be incomplete: {listed}{more}."
        if never
        else f"Inputs near the reproduction's still end with the same exception, which may be "
        f"meant: {listed}{more}."
    )
    return Check(name=NAME, ok=not never, detail=what)


async def check_nearby(
    clean: Sandbox,
    patched: OpenSandbox,
    files: Sequence[ChangedFile],
    declared: ReproductionDeclared | None,
) -> Check | None:
    """Run inputs near the reproduction's without and with the patch; None if nothing is to say."""
    sessions = variants_of_reproduction(declared) if declared is not None else []
    if len(sessions) < 2:
        return None
    first = await run_sessions(clean, sessions[:1])
    bug = _how_session_ended(sessions[0], first, 0)
    if bug == _WELL:
        return None
    if bug[0] == _HANGS:
        sessions = sessions[: 1 + _MOST_HANGING]
    before = await run_sessions(clean, sessions)
    after = await run_sessions(await patched(), sessions)
    texts = {file.path: file.patched for file in files}
    return nearby_check(failures_nearby(sessions, before, after, texts))
