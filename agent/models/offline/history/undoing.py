"""Candidate repairs out of a commit: each of its hunks undone, alone and together. Pure.

A hunk is undone by a three-way merge onto the file as it is now, so what was changed later around
it survives; a hunk that no longer merges is left out. A function is looked at on its own as well,
since it may have been moved to another place or file, by the commit or after it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from agent.models.offline.history.culprit import Culprit, FileChange
from agent.models.offline.history.merging import Change, changes, merge, merge_words
from agent.models.offline.mutations import Mutant, apply_changes, common_ends
from agent.models.offline.mutations.source import meaning_of

MOST_CANDIDATES = 120
MOST_HUNKS = 30
"""Of one file or function; a commit that changes more there is undone only as a whole."""
MOST_PAIRED = 8
"""Up to so many hunks, each two of them are undone together, and all but each one."""
MOST_FILES_COMBINED = 4
"""Of up to so many files, every choice is brought back together."""
MOST_LINES_BY_WORDS = 300
RAISED = 1.5
RAISED_NEARBY = 1.2
"""How much more suspicious lines are that the commit changed, and others of the same function."""

TRUST = {"hunk": 1.0, "function": 0.9, "hunks": 0.8, "file": 0.75, "commit": 0.7, "part": 0.6}
"""What is undone, by how much: the less, the sooner it is tried and believed."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file or one of its functions: before the commit, after it, and now."""

    path: str
    above: int
    """Lines of the file before it, as it is now."""
    indent: str
    """What each of its lines begins with in the file, and not here."""
    before: tuple[str, ...]
    after: tuple[str, ...]
    now: tuple[str, ...]
    kind: str
    """`file` or `function`."""


def candidates(culprit: Culprit, now: Mapping[str, str]) -> list[Mutant]:
    """Ways to undo the commit or parts of it, the smallest first, each once.

    `now`: the texts of other files as they are, to which a function may have been moved.
    """
    found: dict[tuple[object, ...], Mutant] = {}
    singles: list[list[Mutant]] = []
    whole: list[Mutant] = []
    whole_files = [c for c in culprit.changes if c.before and c.after and c.now]
    for change in whole_files:
        before, after, present = map(_lines, (change.before, change.after, change.now))
        piece = Piece(change.path, 0, "", before, after, present, "file")
        made = list(_of_piece(piece, culprit.commit))
        _add(found, made)
        singles.append([m for m in made if m.score == TRUST["hunk"]])
        whole += [m for m in made if m.score == TRUST["file"]] or singles[-1][:1]
    texts = dict(now) | {c.path: c.now for c in culprit.changes if c.now}
    for piece in _functions(culprit.changes, texts):
        _add(found, _of_piece(piece, culprit.commit))
    if sum(map(len, singles)) <= MOST_PAIRED:
        for one, other in combinations(singles, 2):
            _add(found, (_together(pair, "hunks", culprit) for pair in product(one, other)))
    for size in range(2, len(whole) + 1) if len(whole) <= MOST_FILES_COMBINED else [len(whole)]:
        if size > 1:
            chosen = combinations(whole, size)
            _add(found, (_together(some, "commit", culprit) for some in chosen))
    order = sorted(found.values(), key=lambda m: (-m.score, m.path, m.first, m.new or ""))
    return [m for m in order if all(_parses(p, texts[p.path]) for p in (m, *m.also))][
        :MOST_CANDIDATES
    ]


def _together(some: Sequence[Mutant], kind: str, culprit: Culprit) -> Mutant:
    """Changes of several files as one."""
    words = f"{len(some)} files as before {culprit.commit}"
    if kind == "hunks":
        words = f"{len(some)} hunks of {culprit.commit} undone"
    return replace(some[0], operator=words, also=tuple(some[1:]), score=TRUST[kind])


def raised(
    scores: Mapping[int, float], path: str, text: str, culprits: Sequence[Culprit]
) -> dict[int, float]:
    """Suspicion per line of a file, more where a culprit changed it, and a little more nearby."""
    changed = {
        line
        for culprit in culprits
        for change in culprit.changes
        if change.path == path
        for line in _changed_lines(change)
    }
    if not changed:
        return dict(scores)
    nearby: set[int] = set()
    for first, last, _ in _spans(text):
        inside = range(first, last + 1)
        nearby.update(inside if changed.intersection(inside) else ())
    factor = dict.fromkeys(nearby, RAISED_NEARBY) | dict.fromkeys(changed, RAISED)
    return {line: score * factor.get(line, 1.0) for line, score in scores.items()}


def _changed_lines(change: FileChange) -> Iterator[int]:
    """The lines, as the file is now, that a commit wrote, or between which it removed some."""
    after, now = _lines(change.after), _lines(change.now)
    moved: dict[int, int] = {}
    at = gone = 0
    for first, last, new in [*changes(after, now), (len(after), len(after), [])]:
        moved |= {line: line + gone for line in range(at, first)}
        at, gone = last, gone + len(new) - (last - first)
    for first, last, old in changes(after, _lines(change.before)):
        lines = range(first, last) if last > first else range(first - 1, first + 1) if old else ()
        yield from (moved[line] + 1 for line in lines if line in moved)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n"))


def _add(found: dict[tuple[object, ...], Mutant], made: Iterable[Mutant]) -> None:
    for mutant in made:
        key = tuple((m.path, m.first, m.last, m.new) for m in (mutant, *mutant.also))
        if key not in found or found[key].score < mutant.score:
            found[key] = mutant


def _parses(mutant: Mutant, text: str) -> bool:
    """Whether the file still is Python with it, if it was, and means something else."""
    if not mutant.path.endswith(".py"):
        return True
    return meaning_of(apply_changes(text, mutant)) not in (None, meaning_of(text))


def _of_piece(piece: Piece, commit: str) -> Iterator[Mutant]:
    """A piece's hunks undone one by one, in twos, all but one, all; and parts of them put back."""
    hunks = changes(piece.after, piece.before)
    if not hunks:
        return
    alone: dict[int, list[Mutant]] = {}
    if len(hunks) <= MOST_HUNKS:
        words = "a hunk of {} undone"
        alone = {n: [*_undone(piece, commit, (h,), "hunk", words)] for n, h in enumerate(hunks)}
        for made in alone.values():
            yield from made
        for hunk in hunks:
            for part in _parts(hunk):
                words = "lines that {} removed put back"
                yield from _undone(piece, commit, (part,), "part", words)
    if 2 < len(hunks) <= MOST_PAIRED:
        for some in [*combinations(hunks, 2), *combinations(hunks, len(hunks) - 1)]:
            yield from _undone(piece, commit, some, "hunks", f"{len(some)} hunks of {{}} undone")
    if len(hunks) > 1:
        words = f"all {len(hunks)} hunks of {{}} in this {piece.kind} undone"
        together = list(_undone(piece, commit, hunks, piece.kind, words))
        merging = [hunk for n, hunk in enumerate(hunks) if alone.get(n)]
        if not together and len(merging) > 1:
            words = f"the {len(merging)} hunks of {{}} that still merge undone"
            together = list(_undone(piece, commit, merging, piece.kind, words))
        yield from together


def _undone(
    piece: Piece, commit: str, hunks: Sequence[Change], kind: str, words: str
) -> Iterator[Mutant]:
    theirs: list[str] = []
    at = 0
    for first, last, old in hunks:
        theirs += [*piece.after[at:first], *old]
        at = last
    theirs += piece.after[at:]
    merged = merge(piece.after, piece.now, theirs, union=True)
    if merged is None and len(piece.now) <= MOST_LINES_BY_WORDS:
        joined = ["\n".join(lines) for lines in (piece.after, piece.now, theirs)]
        text = merge_words(*joined)
        merged = None if text is None else text.split("\n")
    if merged is None or merged == list(piece.now):
        return
    head, tail = common_ends(piece.now, merged)
    gone, come = (
        [f"{piece.indent}{line}" if line else "" for line in lines[head : len(lines) - tail]]
        for lines in (piece.now, merged)
    )
    first = piece.above + head + 1
    yield Mutant(
        piece.path,
        first,
        first + len(gone) - 1,
        "\n".join(gone),
        "\n".join(come) if come else None,
        words.format(commit),
        first,
        TRUST[kind],
        commit,
    )


def _parts(hunk: Change) -> Iterator[Change]:
    """Each statement that a hunk removed, put back alone before what replaced it, or after it."""
    first, last, old = hunk
    blocks = _blocks(old)
    if len(blocks) < 2 and (last == first or len(old) < 2):
        return  # the whole hunk, or a line beside the one that took its place
    for block in blocks:
        for at in dict.fromkeys((first, last)):
            yield (at, at, block)


def _blocks(lines: Sequence[str]) -> list[list[str]]:
    """Lines in groups that each begin at the least indentation, as statements do."""
    written = [line for line in lines if line.strip()]
    least = min((len(line) - len(line.lstrip()) for line in written), default=0)
    blocks: list[list[str]] = []
    for line in written:
        if not blocks or (len(line) - len(line.lstrip()) == least and line.strip()[0] not in ")]}"):
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def _functions(files: Sequence[FileChange], now: Mapping[str, str]) -> Iterator[Piece]:
    """The functions that a commit changed, wherever they were before, after it, and are now."""
    before = {f.path: f.before for f in files}
    after = {f.path: f.after for f in files}
    old, new, present = (_named(texts) for texts in (before, after, now))
    for name in sorted(old.keys() & new.keys() & present.keys()):
        if not len(old[name]) == len(new[name]) == len(present[name]) == 1:
            continue
        (_, _, _, was), (_, _, _, became), (path, above, indent, lines) = (
            each[name][0] for each in (old, new, present)
        )
        if was != became:
            yield Piece(path, above, indent, was, became, lines, "function")


_Found = tuple[str, int, str, tuple[str, ...]]
"""A path, the number of lines above, the indentation, and the lines without it."""


def _named(texts: Mapping[str, str]) -> dict[str, list[_Found]]:
    """The functions of some files by their names."""
    found: dict[str, list[_Found]] = {}
    for path, text in texts.items():
        lines = text.split("\n")
        for first, last, name in _spans(text) if path.endswith(".py") else ():
            own = lines[first - 1 : last]
            indent = own[0][: len(own[0]) - len(own[0].lstrip())]
            plain = tuple(line.removeprefix(indent) for line in own)
            found.setdefault(name, []).append((path, first - 1, indent, plain))
    return found


def _spans(text: str) -> Iterator[tuple[int, int, str]]:
    """First and last line of each function, with its name and its classes'."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        prefix, around = waiting.pop()
        for node in ast.iter_child_nodes(around):
            if isinstance(node, ast.ClassDef):
                waiting.append((f"{prefix}{node.name}.", node))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{prefix}{node.name}"
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                yield first, node.end_lineno or node.lineno, name
                waiting.append((f"{name}.", node))
            else:
                waiting.append((prefix, node))
