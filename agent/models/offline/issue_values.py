"""Values that people name in prose: expected ones, given ones, any literals."""

from __future__ import annotations

import ast
import re

VAGUE = {
    "an empty list": "[]",
    "empty list": "[]",
    "an empty string": "''",
    "empty string": "''",
    "an empty dict": "{}",
    "empty dict": "{}",
    "nothing": "None",
    "zero": "0",
}
VALUE = (
    r"(`[^`\n]+`|'[^'\n]*'|\"[^\"\n]*\"|\[[^\n]*?\]|\{[^\n]*?\}|\([^\n]*?\)|-?\d[\d_]*(?:\.\d+)?(?:e-?\d+)?(?![-–]\d)"
    r"|True|False|None|an? empty \w+|nothing|zero)"
)
WANTED = re.compile(
    r"(?:expect(?:ed|s|ing)?(?: (?:value|result|output|to (?:get|see|be)|it to (?:be|return|give)|"
    r"behaviou?r|was|is|here))*|should(?:n't)?(?: (?:be|have|been|return|give|print|yield|get|say|"
    r"produce|read|equal|come|out|as|it|rather|really|actually))*|instead of|rather than|"
    r"want(?:ed)?|hop(?:ed|ing) (?:for|to (?:get|see))|"
    r"supposed to (?:be|return|give)|correct\)? (?:\w+ )?(?:is|would be|was)|not|"
    r"(?:must|has to|ought to|needs to)(?: (?:be|return|give|read|yield|print|say|show|produce))?|"
    r"(?:previous(?:ly)?|before)?[ (]*(?:correct|right)\)?"
    r"(?: (?:value|result|answer|output|behaviou?r))?(?=:))"
    r"[\s:=>→\-]*(?:the |just |exactly |all of )?" + VALUE,
    re.I,
)
AFTERWARDS = re.compile(
    VALUE
    + r"[ ]*(?:,[ ]*)?(?:(?:is|was) (?:what (?:I|we|one) (?:\w+ )?(?:expect|want)|expected|wanted"
    r"|right|correct)|(?:would|should) (?:be|have been) (?:right|correct|expected|better|the))",
    re.I,
)
"""The expected value before the word that says so."""
GIVEN = re.compile(
    r"(?:gives?(?: me| us)?|returns?|got|get|gets|prints?|actual(?:ly)?(?: \w+)?|yields?|is|->|=>|"
    r"produces?|shows?|says?|comes out as|outputs?)[\s:=]*" + VALUE,
    re.I,
)


_CONSTANTS = frozenset({"None", "True", "False"})


def expected_in(text: str, marked: bool = False, words: bool = False) -> tuple[str, ...]:
    """Values that the text says were expected; from a comment (`marked`) a bare value counts."""
    hits = [m.group(1) for p in (WANTED, AFTERWARDS) for m in p.finditer(text)]
    found = [value_source(hit, words) for hit in hits]
    if marked and not found:
        bare = re.sub(r"^\s*(?:->|=>|==|returns?|prints?|gives?)?\s*", "", text)
        found = [value_source(bare)] + [value_source(m.group(1)) for m in GIVEN.finditer(text)]
    return tuple(dict.fromkeys(f for f in found if f))


def results_in(text: str, words: bool = False) -> tuple[str, ...]:
    """Values that the text says were given."""
    found = [value_source(m.group(1), words) for m in GIVEN.finditer(text)]
    return tuple(dict.fromkeys(f for f in found if f))


def words_in(text: str) -> tuple[str, ...]:
    """Expected and given values where words in code marks are text: "gives `AP`, not `ALP`"."""
    wanted, given = expected_in(text, words=True), results_in(text, words=True)
    return tuple(dict.fromkeys(wanted + given)) if wanted and given else ()


def value_source(text: str, words: bool = False) -> str:
    """A value's text as a Python expression, or nothing; of `call() == value` the value.

    `words`: a lone word in code marks is what a string holds, not a variable.
    """
    marked = text.strip().startswith("`")
    text = text.strip().strip("`").strip()
    if words and marked and re.fullmatch(r"\w+", text) and text not in _CONSTANTS:
        return repr(text) if not text.isdigit() else text
    if text.lower() in VAGUE:
        return VAGUE[text.lower()]
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        # Text in code marks that is no Python is what a string holds.
        return repr(text) if marked and "=" not in text and "(" not in text else ""
    if (
        isinstance(node, ast.Compare)
        and [type(op) for op in node.ops] == [ast.Eq]
        and any(isinstance(n, ast.Call) for n in ast.walk(node.left))
    ):
        node = node.comparators[0]
    if any(isinstance(n, ast.Name | ast.Attribute) for n in ast.walk(node)) and not any(
        isinstance(n, ast.Call) for n in ast.walk(node)
    ):
        return ""
    return ast.unparse(node)


def whole_literals(text: str) -> tuple[str, ...]:
    """A text that is one value as a whole, or text printed."""
    whole = text.strip()
    if not whole:
        return ()
    source = value_source(whole)
    return (source,) if source else (repr(whole),)


def literals_in(text: str) -> list[str]:
    """Numbers and quoted strings anywhere in the text."""
    hits = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])|'[^'\n]{0,40}'|\"[^\"\n]{0,40}\"", text)
    return [s for s in (value_source(h) for h in hits) if s]
