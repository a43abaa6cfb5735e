"""What an issue's text shows of a bug: calls, what they gave and what was expected.

Nothing here is believed: each example is tried in the sandbox, and of the values that the text
names as results only one that the program does not give can be the expected one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.models.offline.issue_forms import (
    in_english,
    names_in,
    pasted_tests,
    sentence_examples,
    table_examples,
    with_prompts,
)
from agent.models.offline.issue_values import (
    VALUE,
    expected_in,
    literals_in,
    results_in,
    value_source,
    whole_literals,
    words_in,
)

FENCE = re.compile(r"^[ ]{0,3}```[^\n]*\n(.*?)^[ ]{0,3}```[ ]*$", re.S | re.M)
_FENCED = re.compile(r"(^[ ]{0,3}```[^\n]*\n.*?^[ ]{0,3}```[ ]*$)", re.S | re.M)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
EXPECT = re.compile(
    r"(?:expect(?:ed|s|ing|ation)?|should|instead of|rather than|want(?:ed)?|supposed to|correct"
    r"|ought to|must)\b",
    re.I,
)
RAISES = re.compile(
    r"(?:raise[sd]?|throw[sn]?|reject(?:ed|s)?\s+with|raising)\s+(?:an?\s+)?`?([A-Z]\w+)"
)
AWAITED = re.compile(
    r"\b`?([A-Z]\w*(?:Error|Exception|Warning))`?[ ]+(?:is|was|would be|should be|should have been)"
    r"[ ]+(?:expected|raised|wanted|thrown|right|correct)|\b[Ee]xpected:?[ ]+(?:an?[ ]+)?`?"
    r"([A-Z]\w*(?:Error|Exception))"
)
FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+), in (\S+)[ ]*\n(?:[ \t]+(\S.*))?', re.M)
MESSAGE = re.compile(
    r"^[^\S\n]*[\w.]*(?:Error|Exception): .*$"
    r"|`[\w.]*(?:Error|Exception|Warning): [^`\n]*`"
    r"|\b[\w.]*(?:Error|Exception): [^`\n]*?(?=[.!?](?:\s|$)|`|$)",
    re.M,
)
"""What an exception says, which may well be what was expected of an input ("must be 1-12")."""
TRACE = re.compile(r"^(Traceback \(most recent call last\):[ ]*)\n(?:[ \t]+\S.*\n)+(?=\w)", re.M)
LAST = re.compile(
    r"^(\w+(?:\.\w+)*(?:Error|Exception|Exit|Interrupt|Iteration|Warning|\w*))(?::[ ]*(.*))?$"
)


@dataclass(frozen=True, slots=True)
class Example:
    """One expression of the issue, the statements before it, and the results it might have."""

    expr: str
    setup: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    """Expressions of values that the text names, the most likely expected one first."""
    printed: bool = False
    """Whether the results are what is printed, not the value."""
    raises: tuple[str, ...] = ()
    """Exceptions that the text says it should raise."""
    crashed: str = ""
    """The exception that the text shows it to raise."""
    unquoted: bool = False
    """Whether the results stand as words without quotes, which may be text or anything else."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A traceback in the issue."""

    exception: str
    message: str
    frames: tuple[tuple[str, int, str, str], ...]
    """Outermost first: path, line, function, code of the line."""


@dataclass(frozen=True, slots=True)
class IssueReport:
    """All that could be read out of the issue."""

    examples: tuple[Example, ...] = ()
    traces: tuple[Trace, ...] = ()
    literals: tuple[str, ...] = ()
    """Literals named anywhere, as source."""
    words: frozenset[str] = frozenset()
    """Identifier-like words."""
    wanted: tuple[str, ...] = ()
    """Values that the text as a whole says were expected."""
    text: str = ""


@dataclass(slots=True)
class _Session:
    """Statements gathered from the blocks so far."""

    setup: list[str] = field(default_factory=list)
    found: list[Example] = field(default_factory=list)
    guessed: list[Example] = field(default_factory=list)
    """Calls put together from sentences: tried last."""


def read_issue(text: str) -> IssueReport:
    """Parse an issue's title and body."""
    original, text = text, with_prompts(text)
    text = "".join(
        part if place % 2 else in_english(part) for place, part in enumerate(_FENCED.split(text))
    )
    traces = _traces(original)
    session = _Session()
    spans = [(m.start(), m.end(), m.group(1)) for m in FENCE.finditer(text)]
    # The code that a traceback shows is no example of a call and what it gives.
    plain = text if spans else TRACE.sub(r"\1\n", text)
    blocks = spans or _indented_blocks(plain)
    for at, (_, end, block) in enumerate(blocks):
        stop = blocks[at + 1][0] if at + 1 < len(blocks) else len(plain)
        prose = plain[end:stop]
        start = blocks[at - 1][1] if at else 0
        following = blocks[at + 1][2] if at + 1 < len(blocks) else ""
        shown = [
            literal
            for n in range(at + 1, min(at + 4, len(blocks)))
            if EXPECT.search(plain[blocks[n - 1][1] : blocks[n][0]]) and ">>>" not in blocks[n][2]
            for literal in whole_literals(blocks[n][2])
        ]
        _read_block(session, block, plain[start : blocks[at][0]], prose, following, tuple(shown))
    outside = TRACE.sub(r"\1\n", FENCE.sub("\n", text))
    prose_text = MESSAGE.sub("", outside)
    if ">>>" in outside:
        _read_doctest(session, outside, outside)
    else:
        _read_bare(session, outside)
    for expr, wanted, unquoted in table_examples(text):
        if _is_call(expr):
            found = Example(expr, tuple(session.setup), wanted, unquoted=unquoted)
            session.found.append(found)
    _read_prose(session, prose_text)
    words = frozenset(re.findall(r"[A-Za-z_]\w{2,}", text))
    return IssueReport(
        tuple(_unique([*session.found, *session.guessed])),
        traces,
        tuple(dict.fromkeys(literals_in(FRAME.sub("", text)))),
        words,
        expected_in(prose_text),
        original,
    )


def _indented_blocks(text: str) -> list[tuple[int, int, str]]:
    pattern = re.compile(r"(?:^(?:[ ]{4}|\t).*\n?(?:[ \t]*\n(?=[ ]{4}|\t))*)+", re.M)
    return [
        (m.start(), m.end(), re.sub(r"^(?:[ ]{4}|\t)", "", m.group(0), flags=re.M))
        for m in pattern.finditer(text)
    ]


def _unique(examples: list[Example]) -> list[Example]:
    seen: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Example] = {}
    for example in examples:
        seen.setdefault((example.expr, example.setup, example.expected), example)
    return list(seen.values())


def _read_block(
    session: _Session,
    block: str,
    before: str,
    after: str,
    following: str,
    shown: tuple[str, ...] = (),
) -> None:
    if "Traceback (most recent call last)" in block and ">>>" not in block:
        return
    if ">>>" in block:
        _read_doctest(session, block, before + "\n" + after, shown)
        return
    try:
        tree = ast.parse(block)
    except SyntaxError:
        return
    if not any(isinstance(n, ast.Call | ast.Import | ast.ImportFrom) for n in ast.walk(tree)):
        return
    tests = list(pasted_tests(tree))
    for expr, before_it, value, error in tests:
        inherited = (*session.setup, *before_it)
        session.found.append(Example(expr, inherited, value, raises=(error,) if error else ()))
    if tests:
        return
    named = shown + expected_in(after) + expected_in(before) + whole_literals(following)
    lines = block.split("\n")
    setup: list[str] = []
    for place, node in enumerate(tree.body):
        end = node.end_lineno or node.lineno
        comment = _comment(
            lines,
            end,
            tree.body[place + 1].lineno if place + 1 < len(tree.body) else len(lines) + 1,
        )
        source = "\n".join(lines[node.lineno - 1 : end])
        inherited = (*session.setup, *setup)
        rest = tree.body[place + 1 :]
        last = not any(isinstance(n, ast.Call) for other in rest for n in ast.walk(other))
        wanted = (named if last else ()) + expected_in(comment, marked=True)
        if isinstance(node, ast.Assert):
            session.found.append(_assertion(node, inherited))
            continue
        if isinstance(node, ast.Expr) and any(isinstance(n, ast.Call) for n in ast.walk(node)):
            session.found.append(
                _example_of_value(node.value, inherited, wanted, comment + "\n" + after)
            )
        elif (
            isinstance(node, ast.Assign) and (comment or last) and isinstance(node.value, ast.Call)
        ):
            expr = ast.unparse(node.value)
            session.found.append(
                Example(expr, inherited, wanted, raises=_expected_exceptions(comment + after))
            )
        setup.append(source)
    session.setup += [s for s in setup if _is_definition(s)]


def _comment(lines: list[str], end: int, next_line: int) -> str:
    """The comment that belongs to a statement: on its last line, or alone on the lines after."""
    found = re.findall(r"#(.*)$", lines[end - 1])
    for line in lines[end : next_line - 1]:
        if line.strip().startswith("#"):
            found.append(line.strip().lstrip("#"))
    return "\n".join(found)


def _is_definition(source: str) -> bool:
    return bool(re.match(r"(?:from|import|class|def|@|\w+\s*=)", source))


def _assertion(node: ast.Assert, setup: tuple[str, ...]) -> Example:
    test = node.test
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        return Example(ast.unparse(test.left), setup, (ast.unparse(test.comparators[0]),))
    return Example(f"bool({ast.unparse(test)})", setup, ("True",))


def _example_of_value(
    value: ast.expr, setup: tuple[str, ...], wanted: tuple[str, ...], around: str
) -> Example:
    printed = (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id == "print"
        and len(value.args) == 1
    )
    if printed and isinstance(value, ast.Call):
        return Example(
            ast.unparse(value.args[0]), setup, wanted, True, _expected_exceptions(around)
        )
    return Example(ast.unparse(value), setup, wanted, raises=_expected_exceptions(around))


def _expected_exceptions(text: str) -> tuple[str, ...]:
    """Exceptions that the text wants: those named after `should`, `expected` and the like."""
    names = []
    for hit in RAISES.finditer(text):
        sentence = text[max(0, hit.start() - 80) : hit.start()]
        if EXPECT.search(sentence):
            names.append(hit.group(1))
    names += [m.group(1) or m.group(2) for m in AWAITED.finditer(text)]
    return tuple(dict.fromkeys(names))


def _read_bare(session: _Session, text: str) -> None:
    """Lines of a session without prompts, each followed by what it gave."""
    paragraphs = re.split(r"\n\s*\n", text)
    for at, paragraph in enumerate(paragraphs):
        around = "\n".join(paragraphs[at : at + 3])
        setup: list[str] = []
        for line in paragraph.split("\n"):
            try:
                body = ast.parse(line).body
            except (SyntaxError, ValueError):
                continue
            for node in body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    session.setup.append(ast.unparse(node))
                elif isinstance(node, ast.Assign):
                    setup.append(ast.unparse(node))
                elif isinstance(node, ast.Expr) and _is_call(ast.unparse(node)):
                    named = expected_in(around)
                    inherited = (*session.setup, *setup)
                    session.found.append(_example_of_value(node.value, inherited, named, around))


def _read_doctest(session: _Session, block: str, around: str, wanted: tuple[str, ...] = ()) -> None:
    """A session with prompts; `wanted`: values of later blocks that say what was expected."""
    setup: list[str] = []
    shown: list[tuple[str, str]] = []
    lines = block.split("\n")
    at = 0
    while at < len(lines):
        if not lines[at].lstrip().startswith(">>>"):
            at += 1
            continue
        source = [re.sub(r"^\s*>>> ?", "", lines[at])]
        at += 1
        while at < len(lines) and re.match(r"^\s*\.\.\.(?: |$)", lines[at]):
            source.append(re.sub(r"^\s*\.\.\. ?", "", lines[at]))
            at += 1
        want: list[str] = []
        while at < len(lines) and lines[at].strip() and not lines[at].lstrip().startswith(">>>"):
            want.append(lines[at].strip())
            at += 1
        shown.append(("\n".join(source), "\n".join(want)))
    # Where a traceback ends the session, the text around it is about that.
    crashed = len(shown) > 1 and "Traceback" in shown[-1][1]
    for place, (code, given) in enumerate(shown):
        is_last = place == len(shown) - 1
        about = around if is_last or not crashed else ""
        _read_prompt(session, code, given, setup, about, wanted if is_last else ())


def _read_prompt(
    session: _Session,
    source: str,
    want: str,
    setup: list[str],
    around: str,
    wanted: tuple[str, ...] = (),
) -> None:
    code, _, comment = source.partition("  #")
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return
    for statement in body[:-1]:  # several on one line
        kept = session.setup if isinstance(statement, ast.Import | ast.ImportFrom) else setup
        kept.append(ast.unparse(statement))
    if len(body) > 1:
        body = body[-1:]
        code = ast.unparse(body[0])
    inherited = (*session.setup, *setup)
    setup.append(code)
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        if body and isinstance(body[0], ast.Import | ast.ImportFrom):
            session.setup.append(code)
            setup.pop()
        return
    crash = next((m.group(1) for m in map(LAST.match, want.split("\n")[::-1]) if m), "")
    traced = "Traceback" in want
    marked = (() if traced else expected_in(want)) + expected_in(comment, marked=True)
    around = MESSAGE.sub("", around)
    shown = () if traced or marked else whole_literals(re.sub(r"\s*#.*", "", want))
    value = body[0].value
    printed = (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id == "print"
    )
    named = wanted + marked + expected_in(around) + shown
    if printed and isinstance(value, ast.Call) and value.args:
        texts = tuple(repr(w) for w in [want.split("\n")[0]] if w and not traced)
        expr = ast.unparse(value.args[0])
        session.found.append(Example(expr, inherited, named + texts, True))
        return
    session.found.append(
        Example(
            ast.unparse(value),
            inherited,
            named,
            raises=_expected_exceptions(around + comment + want if not traced else around),
            crashed=crash if traced else "",
        )
    )


def _read_prose(session: _Session, text: str) -> None:
    for paragraph in re.split(r"\n\s*\n", text):
        sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z`])|\n(?=[-*] )", paragraph)
        for at, sentence in enumerate(sentences):
            following = sentences[at + 1] if at + 1 < len(sentences) else ""
            # Each item of a list has its own call and its own values.
            is_item = following.startswith(("- ", "* ")) and _calls_in(following)
            near = sentence + "\n" + ("" if is_item else following)
            raises = _expected_exceptions(near)
            if not _calls_in(sentence):
                for expr, named, unquoted in sentence_examples(sentence, near, names_in(text)):
                    found = Example(
                        expr, tuple(session.setup), named, raises=raises, unquoted=unquoted
                    )
                    session.guessed.append(found)
            for expr in _calls_in(sentence):
                wanted = expected_in(near)
                words = () if wanted or raises else words_in(near)
                named = tuple(dict.fromkeys(words or wanted + results_in(near)))
                given = (*session.setup, *_bound_in(sentence, expr))
                session.found.append(
                    Example(expr, given, named, raises=raises, unquoted=bool(words))
                )


def _bound_in(sentence: str, expr: str) -> Iterator[str]:
    """What a sentence binds of a call's names: "given a = [1] and b = 2, `f(a, b)` is …"."""
    read = {n.id for n in ast.walk(ast.parse(expr.strip())) if isinstance(n, ast.Name)}
    for hit in re.finditer(rf"(?<![\w.(,])`?([a-z]\w*) ?= ?{VALUE}", sentence):
        if hit.group(1) in read and (value := value_source(hit.group(2))):
            yield f"{hit.group(1)} = {value}"


def _calls_in(sentence: str) -> list[str]:
    found = [s for s in INLINE.findall(sentence) if _is_call(s)]
    for hit in re.finditer(r"(?<![\w.`])[A-Za-z_][\w.]*\(", re.sub(r"`[^`]*`", " ", sentence)):
        plain = re.sub(r"`[^`]*`", " ", sentence)[hit.start() :]
        for end in range(len(hit.group(0)), min(len(plain), 200) + 1):
            if plain[end - 1] == ")" and _is_call(plain[:end]):
                found.append(plain[:end])
                break
    return list(dict.fromkeys(found))


def _is_call(text: str) -> bool:
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return False
    return any(
        isinstance(n, ast.Call) and (n.args or n.keywords or n is not node) for n in ast.walk(node)
    )


def _traces(text: str) -> tuple[Trace, ...]:
    found = []
    for part in text.split("Traceback (most recent call last):")[1:]:
        frames = tuple(
            (m.group(1), int(m.group(2)), m.group(3), (m.group(4) or "").strip())
            for m in FRAME.finditer(part)
        )
        tail = re.sub(FRAME, "", part)
        for line in tail.split("\n"):
            hit = LAST.match(line.strip())
            if hit and re.search(r"(Error|Exception|Exit|Iteration|Warning)$", hit.group(1)):
                found.append(Trace(hit.group(1).split(".")[-1], hit.group(2) or "", frames))
                break
    return tuple(found)
