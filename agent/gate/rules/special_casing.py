"""Special-casing: source that answers the reproduction's own inputs with its outputs.

A heuristic over syntax trees. It sees a comparison of a name with a literal, or a table, where
literals of both sides are in the reproduction. Arithmetic that happens to single out one input
(`if n * 7 == 91`) passes; docs/gate.md says so.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from agent.gate.patch.changed_file import ChangedFile, parsed

_TRIVIAL: frozenset[str] = frozenset(map(repr, (None, True, False, "", b"", 0, 1, -1, 0.0, 1.0)))
_EMPTY = frozenset({"[]", "()", "{}", "set()"})
_NONES = re.compile(r"[\[({](?:None(?:, |,)?)+[\])}]")
"""`(None, None, None)` and the like: absence, as `sys.exc_info()` writes it."""
_TOKEN = re.compile(r"'((?:[^'\\\n]|\\.)*)'|\"((?:[^\"\\\n]|\\.)*)\"|(?<![\w.])(\d+(?:\.\d+)?)")


def special_casing(
    file: ChangedFile, reproduction: Mapping[str, str], command: str
) -> tuple[str, ...]:
    """Why a source file looks fitted to the reproduction; empty if it does not.

    `reproduction` maps paths to contents of the reproduction's files.
    """
    if not file.is_source or not file.path.endswith(".py"):
        return ()
    known = literals(reproduction, command)
    added = file.added_nodes
    hashes = frozenset(
        name.id
        for node in added
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr)
        and node.value is not None
        and _is_hash(node.value, frozenset())
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    )
    reasons = [
        f"{file.path}:{node.lineno}: an input is recognised by its hash (`{_shown(node)}`)."
        for node in added
        if isinstance(node, ast.Compare) and _asks_for_hash(node, hashes)
    ]
    reasons += [
        f"{file.path}: the reproduction's own input is answered with a constant (`{_shown(node)}`)."
        for node in added
        if _is_fitted_to_literals(node, known)
    ]
    return tuple(dict.fromkeys(reasons))


def literals(files: Mapping[str, str], command: str) -> frozenset[str]:
    """The literals in a reproduction, as `repr` writes them."""
    found: set[str] = set()
    for path, text in files.items():
        tree = parsed(text) if path.endswith(".py") else None
        if tree is None:
            found |= _by_tokens(text)
        else:
            for node in ast.walk(tree):
                found |= _value(node)
    return frozenset(found | _by_tokens(command))


def _by_tokens(text: str) -> set[str]:
    found: set[str] = set()
    for single, double, number in _TOKEN.findall(text):
        if number:
            found.add(repr(float(number) if "." in number else int(number)))
        else:
            found |= {repr(single or double)} | (
                _by_tokens(single or double) if single or double else set()
            )
    return found


def _value(node: ast.AST) -> set[str]:
    """The node's value if it is a literal (a number with its sign, a container of literals)."""
    if not isinstance(node, ast.Constant | ast.UnaryOp | ast.List | ast.Tuple | ast.Dict | ast.Set):
        return set()
    try:
        return {repr(ast.literal_eval(node))}
    except (ValueError, TypeError, RecursionError, MemoryError):
        return set()


def _is_fitted_to_literals(node: ast.AST, known: frozenset[str]) -> bool:
    match node:
        case ast.If():
            asked = _compared(node.test, known)
            given = [v for s in node.body for v in _given(s)]
        case ast.IfExp():
            asked, given = _compared(node.test, known), [node.body]
        case ast.match_case():
            asked = {v for p in ast.walk(node.pattern) for v in _pattern(p)} & known
            given = [v for s in node.body for v in _given(s)]
        case ast.Dict():
            return any(
                key is not None
                and any(_is_distinctive(v) for v in _value(key) & known)
                and any(_is_distinctive(v) for v in _value(value) & known)
                for key, value in zip(node.keys, node.values, strict=True)
            )
        case _:
            return False
    if not asked:
        return False
    answers = {v for expression in given for v in _value(expression)} & known
    number = any(re.fullmatch(r"-?\d+(\.\d+)?", v) or v[0] in "[({" for v in asked)
    return any(_is_distinctive(v) for v in answers) or (number and bool(answers - {"None"}))


_HASHES = re.compile(
    r"(?:.*\.)?(?:hash|crc32|adler32|crc_hqx|hexdigest|digest|md5|sha1|sha2\d\d|sha3_\d+|blake2[bs])"
)


def _is_hash(node: ast.expr, names: frozenset[str]) -> bool:
    """Whether a value is a hash of something or a part of one; `names` stand for such values."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.BinOp):
        return _is_hash(node.left, names)
    if isinstance(node, ast.Subscript | ast.Attribute):
        return _is_hash(node.value, names)
    if not isinstance(node, ast.Call):
        return False
    if _HASHES.fullmatch(ast.unparse(node.func)):
        return True
    inner = [node.func.value] if isinstance(node.func, ast.Attribute) else node.args[:1]
    return ast.unparse(node.func) != "len" and any(_is_hash(one, names) for one in inner)


def _asks_for_hash(node: ast.Compare, names: frozenset[str]) -> bool:
    sides = [node.left, *node.comparators]
    given = {v for side in sides for v in _value(side)}
    return any(_is_hash(side, names) for side in sides) and any(map(_is_distinctive, given))


def _pattern(node: ast.AST) -> set[str]:
    return _value(node.value) if isinstance(node, ast.MatchValue) else set()


def _compared(test: ast.expr, known: frozenset[str]) -> set[str]:
    """Telling literals of the reproduction that a plain name is compared with for equality."""
    found: set[str] = set()
    for node in ast.walk(test):
        if not isinstance(node, ast.Compare) or not isinstance(
            node.ops[0], ast.Eq | ast.In | ast.Is
        ):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(n, ast.BinOp) for side in sides for n in ast.walk(side)):
            continue
        for side in sides:
            inner = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else []
            for expression in (side, *inner):
                found |= {v for v in _value(expression) & known if _is_distinctive(v)}
    return found


def _given(statement: ast.stmt) -> Iterator[ast.expr]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Return | ast.Assign | ast.AnnAssign | ast.Yield) and node.value:
            yield node.value


def _is_distinctive(value: str) -> bool:
    """Whether a literal says something: not 0, 1, "", None and the like, nor several `None`s."""
    return value not in _TRIVIAL and value not in _EMPTY and not _NONES.fullmatch(value)


def _shown(node: ast.AST) -> str:
    text = ast.unparse(node.test) if isinstance(node, ast.If) else ast.unparse(node)
    return " ".join(text.split())[:100]
