"""The wrong variable, the wrong attribute, the wrong constant."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from agent.models.offline.mutations.source import Change, Source

DATE_CODES = {
    "m": "M",
    "M": "m",
    "d": "D",
    "D": "d",
    "y": "Y",
    "Y": "y",
    "I": "H",
    "H": "I",
    "j": "d",
}


def variable(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """Another variable of the same scope; one that nothing reads yet is most likely."""
    if not isinstance(node, cst.Name):
        return
    around, scope = source.parent(node), source.scope(node)
    if scope is None or isinstance(
        around, cst.Param | cst.FunctionDef | cst.Annotation | cst.NameItem
    ):
        return
    if isinstance(around, cst.Attribute) and around.attr is node:
        return
    if isinstance(around, cst.Arg) and around.keyword is node:
        return
    if isinstance(around, cst.Call) and around.func is node and node.value not in scope.names:
        return
    if node.value in ("self", "cls", "True", "False", "None"):
        return
    is_target = isinstance(around, cst.AssignTarget)
    for other in scope.names:
        if other in (node.value, "self", "cls"):
            continue
        prior = 0.9 if other in scope.unused else 0.4
        name = f"variable {node.value} → {other}"
        yield source.replace(node, other, name, prior * (0.4 if is_target else 1.0))
        if node.value in scope.names and not is_target:
            for attribute in source.attributes.get(other, ())[:6]:
                if not isinstance(around, cst.Attribute):
                    text = f"{other}.{attribute}"
                    yield source.replace(node, text, f"variable {node.value} → {text}", 0.12)
    if not is_target and not isinstance(around, cst.Attribute):
        for attribute in source.attributes.get(node.value, ())[:6]:
            text = f"{node.value}.{attribute}"
            yield source.replace(node, text, f"attribute {attribute} taken", 0.2)


def attribute(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """Another attribute of the same object."""
    if not isinstance(node, cst.Attribute):
        return
    base, scope, around = source.code(node.value), source.scope(node), source.parent(node)
    called = isinstance(around, cst.Call) and around.func is node
    others = list(source.attributes.get(base, ()))
    if base == "self" and scope is not None:
        others += scope.self_attributes
    for other in dict.fromkeys(others):
        if other != node.attr.value:
            prior = 0.3 if called else 0.4
            name = f"attribute {node.attr.value} → {other}"
            yield source.replace(node.attr, other, name, prior)
    if scope is None or called or base in ("cls",):
        return
    for name in scope.params:
        if name not in ("self", "cls"):
            prior = 0.9 if name in scope.unused else 0.3
            yield source.replace(node, name, f"{base}.{node.attr.value} → {name}", prior)


def words(node: cst.CSTNode, source: Source) -> Iterator[Change]:
    """True for False, a string of the file or of the issue for another, formats, patterns."""
    if isinstance(node, cst.Name) and node.value in ("True", "False"):
        other = "False" if node.value == "True" else "True"
        yield source.replace(node, other, f"{node.value} → {other}", 0.7)
        return
    if isinstance(node, cst.Name) and node.value == "None" and source.scope(node):
        for other in ("0", "[]", '""', "{}", "False"):
            yield source.replace(node, other, f"None → {other}", 0.25)
        return
    if isinstance(node, cst.Integer | cst.Float):
        for other in source.literals:
            if re.fullmatch(r"-?\d+(?:\.\d+)?", other) and other != node.value:
                yield source.replace(node, other, "number named in the issue", 0.2)
        if isinstance(node, cst.Float):
            for other in (f"-{node.value}", f"1 - {node.value}", f"1 + {node.value}"):
                yield source.replace(node, f"({other})", "fraction changed", 0.3)
        return
    if isinstance(node, cst.FormattedStringExpression) and node.format_spec:
        yield from _format_spec(node, source)
    if isinstance(node, cst.SimpleString) and not node.value.endswith(('"""', "'''")):
        yield from _strings(node, source)


def _format_spec(node: cst.FormattedStringExpression, source: Source) -> Iterator[Change]:
    code = source.code(node)
    head, _, spec = code.rpartition(":")
    spec = spec.rstrip("}")
    hit = re.fullmatch(r"(.*?)(\d*)(?:\.(\d+))?([a-z%]?)", spec)
    if not hit:
        return
    flags, width, places, kind = hit.group(1), hit.group(2), hit.group(3), hit.group(4)
    dot = f".{places}" if places is not None else ""
    variants = [f"{flags}{w}{dot}{kind}" for w in ("", "0" + width, "02", "03", "2", "8")]
    variants += [f"{flags}{width}.{n}{kind or 'f'}" for n in "0123"]
    variants += [f"{other}{width}{dot}{kind}" for other in ("<", ">", "^", ",", "0")]
    for other in dict.fromkeys(variants):
        if other != spec:
            yield source.replace(node, f"{head}:{other}}}", f"format {spec} → {other}", 0.4)


def _strings(node: cst.SimpleString, source: Source) -> Iterator[Change]:
    value, prefix, quote = node.raw_value, node.prefix, node.quote

    def made(text: str, name: str, prior: float) -> Change:
        return source.replace(node, f"{prefix}{quote}{text}{quote}", name, prior)

    for other in (*source.strings, *(lit for lit in source.literals if lit[:1] in "'\"")):
        if other != node.value and not isinstance(source.parent(node), cst.ConcatenatedString):
            yield source.replace(node, other, "another string of the file or issue", 0.2)
    for at, letter in enumerate(value):
        if letter == "%" and value[at + 1 : at + 2] in DATE_CODES:
            code = DATE_CODES[value[at + 1]]
            yield made(f"{value[: at + 1]}{code}{value[at + 2 :]}", f"date code %{code}", 0.8)
    for other in dict.fromkeys((value.strip(), value.lower(), value.upper(), value + " ", "")):
        if other != value:
            yield made(other, "string trimmed, widened or in another case", 0.25)
    if value in (",", ";", " ", "-", "_", ":", "=", ".", "|", "\\n", "\\t", "/"):
        for other in (", ", ",", " ", "-", "_", ":", "\\n", ""):
            if other != value:
                yield made(other, "another separator", 0.3)
    if "r" in prefix or re.search(r"[\\\[^$]", value):
        yield from (made(text, "pattern changed", 0.45) for text in _patterns(value))


def _patterns(value: str) -> Iterator[str]:
    """Regular expressions a small step away."""
    for hit in re.finditer(r"(\\[dwsDWS.]|\]|\)|[a-zA-Z.])([*+?]?)", value):
        before, atom, sign, after = value[: hit.start()], hit[1], hit[2], value[hit.end() :]
        if atom.isalpha() and value[hit.start() - 1 : hit.start()] == "\\":
            continue
        for other in ("*", "+", "?", "", "*?", "+?"):
            if other != sign:
                yield before + atom + other + after
        if atom == ".":
            yield before + "\\." + sign + after
            yield before + "\\S" + sign + after
        if atom == "\\d":
            yield before + "-?\\d" + sign + after
            yield before + "[\\d.]" + (sign or "+") + after
            yield before + "\\w" + sign + after
        if atom == "\\w":
            yield before + "[\\w-]" + sign + after
            yield before + "[\\w.-]" + sign + after
        if atom == "]" and not before.endswith("^"):
            for more in ("_", "0-9", "A-Z", "a-z", "\\-", ".", "\\s"):
                yield before + more + atom + sign + after
    yield "^" + value if not value.startswith("^") else value[1:]
    yield value + "$" if not value.endswith("$") else value[:-1]
    yield value + "\\s*"
    yield "-?" + value
