"""Forms that people give to examples besides calls and sessions: tables, tests, sentences.

Pure parsing; what comes out is tried in the sandbox before anything is believed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from agent.models.offline.issue_values import (
    VALUE,
    expected_in,
    results_in,
    value_source,
    words_in,
)

_PHRASES = (
    (r"au lieu d[eu']|à la place de|anstatt|statt|anstelle von|en lugar de|en vez de|em vez de"
     r"|ao invés de|en comptes de|invece di", "instead of"),
    (r"(?:il )?devrait (?:être|renvoyer|donner|retourner)|doit (?:être|renvoyer|donner)"
     r"|(?:sollte|müsste|muss|soll)|deber[ií]a (?:ser|devolver|dar|retornar)"
     r"|deve(?:ria)? (?:ser|retornar|devolver|dar)|dovrebbe (?:essere|restituire)", "should be"),
    (r"erwartet(?:e[tn]?)?(?:es Ergebnis)?(?: (?:hätte|habe|wird|wäre|war))?(?: ich)?"
     r"|(?:résultat )?attendue?s?|on attend|j'attend(?:s|ais)|je m'attend(?:s|ais) à"
     r"|(?:se )?espera(?:ba|do|va)?|esperava-se|o esperado (?:é|era)|lo esperado (?:es|era)"
     r"|ci si aspetta", "expected"),
    (r"renvoie|retourne|donne|j'obtiens|liefert|ergibt|gibt|erhalte(?: ich)?|bekomme(?: ich)?"
     r"|devuelve|obtengo|retorna|devolve|recebo|obtenho|restituisce|muestra|da|dá", "returns"),
    (r"lève|lance une?|wirft(?: einen?)?|löst|lanza(?: una?)?|levanta(?: uma?)?|lança(?: uma?)?"
     r"|solleva", "raises"),
    (r"mais|aber|sondern|pero|mas|ma|sino", "but"),
    (r"pour|für|para", "for"),
    (r"avec|mit|con|com", "with"),
)  # fmt: skip
_CODE = re.compile(r"(`[^`\n]*`|'[^'\n]*'|\"[^\"\n]*\")")
_INPUT = re.compile(
    r"\b(?:for|with|on|(?<!instead )of|from|given|passing|when called with|and for)[ ]+" + VALUE,
    re.I,
)
_LIST = re.compile(
    r"\b(?:instead of|rather than|should (?:be|return|give)|expected)[ ]+"
    rf"({VALUE[1:-1]})(?:[ ]?(?:,|and|or)[ ]+({VALUE[1:-1]}))+",
    re.I,
)
_WANTED_HEAD = re.compile(
    r"expect|should|want|right|correct|desired|erwart|soll|attendu|esper|corret|após|after", re.I
)
_INPUT_HEAD = re.compile(
    r"input|call|argument|given|example|expression|case|code|eingabe|aufruf|entrée|appel|entrada"
    r"|llamada|chamada",
    re.I,
)
_IPYTHON = re.compile(r"^(?:In \[\d+\]:|Out\[\d+\]:|[ ]+\.\.\.:) ?", re.M)
_ERROR = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Iteration)\b")
_ENDED = re.compile(r"^\w+(?:\.\w+)*(?:Error|Exception|Iteration|Exit)\b", re.M)
_WORDS = frozenset({
    "all", "and", "any", "are", "become", "both", "but", "call", "calling", "crashes", "does",
    "expect", "expected", "fails", "for", "from", "get", "gives", "got", "has", "here",
    "instead", "its", "last", "late", "leading", "not", "now", "one", "over", "raises",
    "result", "returns", "right", "see", "should", "since", "than", "that", "the", "then",
    "there", "this", "too", "value", "was", "when", "where", "while", "with", "works",
    "would", "wrong",
})  # fmt: skip
"""Words of a sentence that are surely no function."""
MOST_NAMES = 6


def in_english(text: str) -> str:
    """German, French, Spanish and Portuguese phrases of bug reports as their English ones.

    Values and code stay as they are.
    """
    parts = _CODE.split(text)
    for place in range(0, len(parts), 2):
        for pattern, english in _PHRASES:
            parts[place] = re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", english, parts[place], flags=re.I)
    return "".join(parts)


def with_prompts(text: str) -> str:
    """IPython's sessions with Python's prompts, their tracebacks without empty lines."""
    if not re.search(r"^In \[\d+\]:", text, re.M):
        return text
    lines: list[str] = []
    trace = False
    for line in text.split("\n"):
        if line.startswith("In ["):
            if lines and lines[-1].strip():
                lines.append("")
            trace = False
            lines.append(">>> " + _IPYTHON.sub("", line))
        elif trace and (not line.strip() or not _ENDED.match(line)):
            continue
        elif "Traceback (most recent call last)" in line:
            trace = True
            lines.append("Traceback (most recent call last):")
        elif re.match(r"^[ ]+\.\.\.:", line):
            lines.append("... " + _IPYTHON.sub("", line))
        elif not re.fullmatch(r"-{10,}", line.strip()):
            trace = False
            lines.append(_IPYTHON.sub("", line))
    return re.sub(r"(>>> [^\n]*\n)\n(?=Traceback|\S)(?!>>>)", r"\1", "\n".join(lines))


def names_in(text: str) -> tuple[str, ...]:
    """What may be a function's name: words in code marks first, then any others."""
    marked = re.findall(r"`([A-Za-z_]\w*)(?:\(\))?`", text)
    called = re.findall(r"\b([A-Za-z_]\w*)\(", text)
    bare = re.findall(r"(?<![\w'\"`.])([a-z_][a-z_0-9]{2,})(?![\w'\"`])", _CODE.sub(" ", text))
    found = [*marked, *called, *(w for w in bare if w not in _WORDS)]
    return tuple(dict.fromkeys(found))[:MOST_NAMES]


def table_examples(text: str) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Calls and expected values of Markdown tables, and whether these are words without quotes."""
    rows = [
        [cell.strip().strip("`").strip() for cell in line.strip().strip("|").split("|")]
        for line in text.split("\n")
        if line.strip().startswith("|") and line.count("|") >= 3
    ]
    heads: list[str] = []
    previous: list[str] = []
    for row in rows:
        if all(re.fullmatch(r":?-+:?", cell) for cell in row):
            heads = previous
        elif heads and len(row) == len(heads):
            yield from _row(heads, row, text)
        previous = row


def _row(
    heads: Sequence[str], row: Sequence[str], text: str
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    wanted = next((n for n, h in enumerate(heads) if _WANTED_HEAD.search(h)), -1)
    given = next((n for n, h in enumerate(heads) if _INPUT_HEAD.search(h) and n != wanted), 0)
    if wanted in (-1, given) or not row[wanted]:
        return
    value = value_source(row[wanted])
    unquoted = not value
    value = value or repr(row[wanted])
    if re.fullmatch(r"[\w.]+\(.*\)", row[given]):
        yield row[given], (value,), unquoted
        return
    argument = value_source(row[given])
    if not argument and not (unquoted and row[given]):
        return
    outside = "\n".join(line for line in text.split("\n") if not line.strip().startswith("|"))
    for name in names_in(outside):
        yield f"{name}({argument or repr(row[given])})", (value,), unquoted


def sentence_examples(
    sentence: str, near: str, names: Sequence[str]
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Calls that a sentence describes: "`f` returns 1 for 'a' and 2 for 'b' instead of 3".

    With each its expected values, and whether these are words without quotes.
    """
    inputs = [s for m in _INPUT.finditer(sentence) if (s := value_source(m.group(1)))]
    if not inputs:
        return
    listed = _LIST.search(sentence)
    several = (
        [s for m in re.finditer(VALUE, listed.group(0)) if (s := value_source(m.group(1)))]
        if listed
        else []
    )
    words = () if expected_in(near) or _ERROR.search(near) else words_in(near)
    wanted = expected_in(near) or results_in(near)
    if not wanted and not words and not _ERROR.search(near):
        return
    for at, given in enumerate(dict.fromkeys(inputs)):
        own = (several[at],) if len(several) == len(inputs) else words or wanted
        for name in names:
            yield f"{name}({given})", own, bool(words)


def pasted_tests(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], str]]:
    """The checks of tests that were pasted whole: expression, set-up, expected value, exception."""
    top = tuple(
        ast.unparse(n) for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom | ast.Assign)
    )
    for owner in ast.walk(tree):
        body = owner.body if isinstance(owner, ast.Module | ast.ClassDef) else []
        tests = [n for n in body if isinstance(n, ast.FunctionDef)]
        ready = [s for n in tests if n.name == "setUp" for s in n.body]
        # What setUp keeps on the test case stands on an object of the same name.
        first = ("import types", "self = types.SimpleNamespace()") if ready else ()
        before = (*top, *first, *(ast.unparse(s) for s in ready))
        for node in tests:
            if node.name.startswith("test"):
                for bound in _cases(node):
                    yield from _checks(node.body, (*before, *bound))


def _cases(test: ast.FunctionDef) -> Sequence[tuple[str, ...]]:
    """What parametrize binds for each case; one empty case without it."""
    for mark in test.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith("parametrize"):
            try:
                names = ast.literal_eval(mark.args[0])
            except (ValueError, IndexError):
                return []
            names = ", ".join(names) if not isinstance(names, str) else names
            values = mark.args[1] if len(mark.args) > 1 else None
            if isinstance(values, ast.List | ast.Tuple):
                return [(f"{names} = {ast.unparse(v)}",) for v in values.elts][:10]
    return [()]


def _checks(
    body: Sequence[ast.stmt], setup: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], str]]:
    for node in body:
        call = node.value if isinstance(node, ast.Expr) else None
        if isinstance(node, ast.Assert):
            test = node.test
            if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq | ast.Is):
                wanted = ast.unparse(test.comparators[0])
                yield ast.unparse(test.left), setup, (wanted,), ""
            else:
                yield f"bool({ast.unparse(test)})", setup, ("True",), ""
            if _calls(test):  # a later check may be about what it did
                setup = (*setup, ast.unparse(test))
        elif isinstance(call, ast.Call) and "self.assert" in ast.unparse(call.func):
            name = ast.unparse(call.func).removeprefix("self.")
            parts = [ast.unparse(a) for a in call.args]
            if name in ("assertEqual", "assertListEqual", "assertDictEqual") and len(parts) > 1:
                first = 1 if not _calls(call.args[0]) and _calls(call.args[1]) else 0
                yield parts[first], setup, (parts[1 - first],), ""
            elif name in ("assertTrue", "assertFalse") and parts:
                yield f"bool({parts[0]})", setup, (str(name == "assertTrue"),), ""
        elif isinstance(node, ast.With) and "aises" in ast.unparse(node.items[0].context_expr):
            opened = node.items[0].context_expr
            if isinstance(opened, ast.Call) and opened.args and len(node.body) == 1:
                error = ast.unparse(opened.args[0])
                yield ast.unparse(node.body[0]), setup, (), error
        elif isinstance(node, ast.Assign | ast.Expr | ast.AugAssign):
            setup = (*setup, ast.unparse(node))


def _calls(node: ast.expr) -> bool:
    return any(isinstance(n, ast.Call) for n in ast.walk(node))
