"""Documented examples as evidence: what the base's text promises must hold with a patch.

The examples are read from the text of the base commit, on the host: a patch that rewrites or
removes an example is still held to the old one. A sandbox only runs them; whether an output is
the one that was promised is decided here.
"""

from __future__ import annotations

import ast
import doctest
import json
import math
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import PurePosixPath
from typing import Literal, TypeGuard

from agent.gate.patch.changed_file import ChangedFile, parsed
from agent.journal.events import Check, ReproductionDeclared
from agent.model import Record
from agent.task import Issue
from agent.testing.suite import read_text
from sandbox.protocol import WORKDIR, OpenSandbox, Sandbox

NAME = "documented examples"
_MOST_SESSIONS = 40
_MOST_PAGES = 8
_MOST_CHARS = 200_000
_SESSION_S = 6.0
_TOTAL_S = 90.0
_LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_SHOWN = 5
_PAGE = (".md", ".rst", ".txt")


class Example(Record):
    """One example: code and what it should show."""

    source: str
    want: str
    raises: str | None = None
    """The exception that it should end with, as its last line shows it."""
    line: int = 0
    """From 1, in the file."""


class Session(Record):
    """Examples that run one after the other with the same names."""

    path: str
    module: str = ""
    """The module whose names it may use; empty for a page."""
    root: str = "."
    """The folder of the tree that the module is imported from."""
    owner: str = ""
    """The function or class in whose docstring it stands; empty: the module's, or a page."""
    examples: tuple[Example, ...]


class Shown(Record):
    """What an example showed."""

    output: str
    raised: str | None = None
    place: str = ""
    """Of what was raised, the inmost place in the tree: `path:line:function`."""


Seen = Mapping[tuple[int, int], Shown]
"""Session and example, as numbers; one that is missing did not end, or was not run."""
Kind = Literal["held", "fixed", "broken", "still wrong", "left out"]


class Judged(Record):
    """One example on both sides of a patch."""

    path: str
    line: int
    source: str
    want: str
    kind: Kind
    before: str = ""
    after: str = ""
    edited: bool = False
    """Whether the patch changed or removed its text."""


def sessions_of(path: str, text: str) -> list[Session]:
    """The sessions in the strings of a Python file: docstrings and strings on their own."""
    tree = parsed(text)
    if tree is None:
        return []
    module, root = _import_name(path)
    found = []
    for owner, node in _strings(tree, ""):
        if isinstance(node.value, str) and ">>>" in node.value:
            examples = examples_of(node.value, node.lineno)
            if examples:
                found.append(
                    Session(path=path, module=module, root=root, owner=owner, examples=examples)
                )
    return found


def page_session(path: str, text: str) -> list[Session]:
    """The session of a page, if it has one."""
    kept = "\n".join("" if line.strip().startswith("```") else line for line in text.split("\n"))
    examples = examples_of(kept, 1)
    return [Session(path=path, examples=examples)] if examples else []


def examples_of(text: str, first_line: int) -> tuple[Example, ...]:
    """The examples of a text, by doctest's own parser; none if it cannot read them."""
    try:
        parts = doctest.DocTestParser().get_examples(text[:_MOST_CHARS])
    except ValueError:
        return ()
    return tuple(
        Example(
            source=part.source,
            want=part.want,
            raises=part.exc_msg,
            line=first_line + part.lineno,
        )
        for part in parts
        if not part.options.get(doctest.SKIP)
    )


def _strings(node: ast.AST, owner: str) -> Iterator[tuple[str, ast.Constant]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _strings(child, child.name)
        elif isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            yield owner, child.value
        elif isinstance(child, ast.stmt):
            yield from _strings(child, owner)


def _import_name(path: str) -> tuple[str, str]:
    """A module's dotted name and the folder that it is imported from.

    Packages are not looked up in the tree: `src`, `lib` and the root are what is common.
    """
    parts = list(PurePosixPath(path).with_suffix("").parts)
    root = "."
    if len(parts) > 1 and parts[0] in ("src", "lib"):
        root = parts.pop(0)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts), root


def touched_names(files: Sequence[ChangedFile]) -> frozenset[str]:
    """The functions of the base that changed lines are in."""
    found = set()
    for file in files:
        tree = parsed(file.base) if file.path.endswith(".py") else None
        if tree is None or file.is_test:
            continue
        old = {number for number, _ in file.removed}
        new = {number for number, _ in file.added}
        for side, lines in ((tree, old), (parsed(file.patched), new)):
            for node in ast.walk(side) if side else ():
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    span = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                    if any(n in span for n in lines):
                        found.add(node.name)
    return frozenset(found)


def rewritten_definitions(files: Sequence[ChangedFile]) -> frozenset[tuple[str, str]]:
    """The text before and after of each function and class whose text changes, spaces as one.

    From the base's and the patched file, by the same place in both; tests are left out.
    """
    found = set()
    for file in files:
        if file.is_test or not file.path.endswith(".py"):
            continue
        before, after = (_definitions(text) for text in (file.base, file.patched))
        found |= {(text, after[name]) for name, text in before.items() if name in after}
    return frozenset((old, new) for old, new in found if old != new)


def _definitions(text: str | None) -> dict[str, str]:
    """The text of each function and class with its decorators, by its dotted name."""
    tree = parsed(text)
    lines = (text or "").split("\n")
    found: dict[str, str] = {}

    def look(node: ast.AST, owner: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
                name = f"{owner}{child.name}"
                found[name] = _one_space("\n".join(lines[first - 1 : child.end_lineno]))
                look(child, f"{name}.")
            elif isinstance(child, ast.stmt):
                look(child, owner)

    if tree is not None:
        look(tree, "")
    return found


def _one_space(text: str) -> str:
    return " ".join(text.split())


async def sessions_for(
    clean: Sandbox, files: Sequence[ChangedFile], base_files: Sequence[str]
) -> tuple[Session, ...]:
    """The sessions of touched modules, and of pages that name a touched function; base's text."""
    found: list[Session] = []
    for file in files:
        if file.base is not None and file.path.endswith(".py") and not file.is_test:
            found += sessions_of(file.path, file.base)
    names = {name for name in touched_names(files) if len(name) > 3}
    if names:
        called = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\b")
        for path in [p for p in base_files if _is_page(p)][: 4 * _MOST_PAGES]:
            text = await read_text(clean, path) or ""
            if len(text) <= _MOST_CHARS and ">>>" in text and called.search(text):
                found += page_session(path, text)
    return tuple(found[:_MOST_SESSIONS])


def _is_page(path: str) -> bool:
    pure = PurePosixPath(path)
    named = pure.name.lower().startswith("readme")
    in_docs = len(pure.parts) > 1 and pure.parts[0].lower() in ("doc", "docs")
    return pure.suffix.lower() in _PAGE and (named or in_docs)


async def run_sessions(sandbox: Sandbox, sessions: Sequence[Session]) -> Seen:
    """Run sessions in a sandbox, each in a separate process, and give what they showed."""
    mark = secrets.token_hex(16)
    folder = f"/tmp/patchwright-{secrets.token_hex(6)}"  # noqa: S108 - inside the sandbox
    text = resources.files("agent.gate.sandboxed").joinpath("examples.py").read_bytes()
    job = {
        "mark": mark,
        "limit_s": _SESSION_S,
        "total_s": _TOTAL_S,
        "sessions": [
            {"module": s.module, "root": s.root, "sources": [e.source for e in s.examples]}
            for s in sessions
        ],
    }
    await sandbox.write(f"{folder}/examples.py", text)
    await sandbox.write(f"{folder}/job.json", json.dumps(job).encode())
    ran = await sandbox.run(
        f"cd {WORKDIR} && python3 -I {folder}/examples.py {folder}/job.json",
        timeout_s=_TOTAL_S + 30,
    )
    return read_seen(ran.text, mark)


def read_seen(text: str, mark: str) -> Seen:
    """The driver's lines; what does not carry the mark of this job is not its own."""
    found = {}
    for line in text.split("\n"):
        head, _, rest = line.partition(" ")
        if head != mark:
            continue
        try:
            session, number, output, raised, place = json.loads(rest)
        except ValueError:
            continue
        found[int(session), int(number)] = Shown(output=output, raised=raised, place=place)
    return found


def example_holds(example: Example, shown: Shown | None) -> bool:
    """Whether an example showed what its text promises; spaces and `...` are read kindly."""
    if shown is None:
        return False
    if shown.raised is not None:
        return example.raises is not None and _same_exception(example.raises, shown.raised)
    if example.raises is not None:
        return False
    if doctest.OutputChecker().check_output(example.want, shown.output, _LENIENT):
        return True
    want, got = _value(example.want), _value(shown.output)
    return want is not None and got is not None and _equal(want[0], got[0])


def _same_exception(want: str, got: str) -> bool:
    if doctest.OutputChecker().check_output(want, got, _LENIENT):
        return True
    kinds = [text.partition(":")[0].strip().rpartition(".")[2] for text in (want, got)]
    return kinds[0] == kinds[1]


def _value(text: str) -> tuple[object] | None:
    """The value that a text writes out, in a tuple; None if it is no literal."""
    if len(text) > 10_000:
        return None
    try:
        return (ast.literal_eval(text.strip()),)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def _equal(left: object, right: object) -> bool:
    if _number(left) and _number(right):
        return math.isclose(left, right, rel_tol=1e-9)
    return type(left) is type(right) and left == right


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def judged_examples(
    sessions: Sequence[Session],
    before: Seen,
    after: Sequence[Seen],
    touched: frozenset[str],
    bug: str,
    patched: Mapping[str, str | None],
    rewritten: frozenset[tuple[str, str]] = frozenset(),
) -> list[Judged]:
    """Each example on both sides.

    What held before and does not after is `broken`. What failed before is `fixed` when it holds
    after; `still wrong` when the patch made it show something else that is not what the text
    promises, when it still ends with the exception of the `bug`, or when it is the touched
    function's own and still gives another value (on a page elsewhere: a new one). All else, and
    what differs between two runs with the patch, is left out: it fails for reasons of its own.
    So is an example that prints the whole text of one of the `rewritten` definitions
    (`inspect.getsource`), as the base has it before and as the patch has it after: it tells what
    the program's text is and nothing of what it does.
    """
    found = []
    for number, session in enumerate(sessions):
        for at, example in enumerate(session.examples):
            was = before.get((number, at))
            now = [seen.get((number, at)) for seen in after]
            own = session.owner in touched or any(
                re.search(rf"\b{re.escape(name)}\(", example.source) for name in touched
            )
            text = patched.get(session.path, "")
            edited = session.path in patched and not _still_in_text(example, text)
            page = session.path not in patched
            found.append(
                Judged(
                    path=session.path,
                    line=example.line,
                    source=example.source.strip(),
                    want=(example.raises or example.want).strip(),
                    kind="left out"
                    if _prints_definition(was, now, rewritten)
                    else _kind(example, was, now, own, bug, page=page),
                    before=_words(was),
                    after=_words(now[0]),
                    edited=edited,
                )
            )
    return found


def _kind(
    example: Example,
    was: Shown | None,
    now: Sequence[Shown | None],
    own: bool,
    bug: str,
    *,
    page: bool,
) -> Kind:
    held = example_holds(example, was)
    if all(example_holds(example, seen) for seen in now):
        return "held" if held else "fixed"
    if held:
        return "broken" if not any(example_holds(example, seen) for seen in now) else "left out"
    after = now[0]
    if any(seen != after for seen in now) or not own:
        return "left out"
    if after is None:
        return "still wrong" if was is None and "killed after" in bug else "left out"
    if after.raised is not None:
        kind = after.raised.partition(":")[0].strip()
        same = example.raises is None and bool(kind) and kind in bug
        changed = example.raises is None and was is not None and was.raised is None
        return "still wrong" if same or changed else "left out"
    wanted, got = _value(example.want), _value(after.output)
    if example.raises is not None or (page and was == after):
        return "left out"  # such a page was outdated before
    return "still wrong" if wanted is not None and got is not None else "left out"


def _prints_definition(
    was: Shown | None, now: Sequence[Shown | None], rewritten: frozenset[tuple[str, str]]
) -> bool:
    if was is None or was.raised is not None:
        return False
    old = _one_space(was.output)
    return all(
        seen is not None and seen.raised is None and (old, _one_space(seen.output)) in rewritten
        for seen in now
    )


def _still_in_text(example: Example, text: str | None) -> bool:
    """Whether the patched text still has an example, whatever its place."""
    lines = "\n".join(line.strip() for line in (text or "").split("\n"))
    source = "\n... ".join(line.strip() for line in example.source.strip().split("\n"))
    want = "\n".join(line.strip() for line in example.want.strip().split("\n"))
    return f">>> {source}\n{want}" in lines


def _words(shown: Shown | None) -> str:
    if shown is None:
        return "(did not end)"
    return (shown.raised or shown.output).strip()[-300:]


def examples_check(judged: Sequence[Judged], issue: Issue) -> Check | None:
    """The check that a pull request shows; None where no example says anything."""
    bad = [j for j in judged if j.kind in ("broken", "still wrong")]
    fixed = [j for j in judged if j.kind == "fixed"]
    held = sum(j.kind == "held" for j in judged)
    edited = [j for j in judged if j.edited and j.kind != "left out"]
    if not bad and not fixed and not held:
        return None
    said = []
    for j in bad[:_SHOWN]:
        how = "held before and does not" if j.kind == "broken" else "does still not hold"
        said.append(
            f"A documented example contradicts the patch: `{_line(j.source)}` ({j.path}:{j.line}) "
            f"{how} with it: it should show {_line(j.want)!r} and shows {_line(j.after)!r}."
        )
        if j.edited:
            said.append("The patch changes or removes this example; the base's text counts.")
        if _named(j, issue):
            said.append("The issue speaks of this very call, so a person has to decide.")
    if held:
        said.append(f"{held} documented example{'s' * (held > 1)} held before and after.")
    if fixed:
        named = ", ".join(f"`{_line(j.source)}` ({j.path}:{j.line})" for j in fixed[:_SHOWN])
        said.append(f"Fails without the patch and holds with it: {named}.")
    if edited and not bad:
        said.append("The patch also rewrites or removes examples; they were run as they stood.")
    telling = (*bad, *fixed)[:_SHOWN]
    return Check(
        name=NAME,
        ok=not bad,
        detail=" ".join(said),
        before="\n".join(f">>> {j.source}\n{j.before}" for j in telling),
        after="\n".join(f">>> {j.source}\n{j.after}" for j in telling),
    )


def _line(text: str) -> str:
    return _one_space(text)[:160]


def _named(judged: Judged, issue: Issue) -> bool:
    squeezed = re.sub(r"\s+", "", f"{issue.title}{issue.body}")
    return re.sub(r"\s+", "", judged.source) in squeezed


class Examples(Record):
    """The examples of a base, and which of them hold with the patch."""

    sessions: tuple[Session, ...] = ()
    held: tuple[tuple[int, int], ...] = ()
    """Session and example, as numbers."""


async def check_examples(
    clean: Sandbox,
    patched: OpenSandbox,
    files: Sequence[ChangedFile],
    base_files: Sequence[str],
    issue: Issue,
    declared: ReproductionDeclared | None,
) -> tuple[Check | None, Examples]:
    """Run the base's examples without the patch (`clean`) and with it (`patched`), and compare.

    Also gives the examples, for whatever else is to be measured with them.
    """
    sessions = await sessions_for(clean, files, base_files)
    if not sessions:
        return None, Examples()
    before = await run_sessions(clean, sessions)
    sandbox = await patched()
    after = [await run_sessions(sandbox, sessions) for _ in range(2)]
    bug = f"{declared.expected_failure}\n{declared.observed}" if declared else ""
    texts = {file.path: file.patched for file in files}
    found = judged_examples(
        sessions, before, after, touched_names(files), bug, texts, rewritten_definitions(files)
    )
    held = tuple(
        (number, at)
        for number, session in enumerate(sessions)
        for at, example in enumerate(session.examples)
        if all(example_holds(example, seen.get((number, at))) for seen in after)
    )
    return examples_check(found, issue), Examples(sessions=sessions, held=held)
