"""Code that reads otherwise than it runs, so that neither a rule nor a person sees what it does.

Statements that the gate's own Python cannot read, line ends that only some programs take for such,
characters that are not shown or that show the text in another order, and names that look like
others (https://trojansource.codes, https://www.unicode.org/reports/tr39).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from agent.gate.patch.changed_file import ChangedFile
from agent.testing.paths import is_code

_LINE_ENDS = re.compile("[\r\x0b\x85\u2028\u2029]")
"""What some languages take for the end of a line, or of a comment, and a diff does not. One
carriage return at the end of a line is part of that."""
_REORDERS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NOT_SHOWN = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\uffa0]"
    "|[\U000e0000-\U000e007f]|(?<!^)\ufeff|(?<=[A-Za-z0-9_$])[\u200c\u200d]|[\u200c\u200d](?=[A-Za-z0-9_$])"
)
"""Joiners are for emoji and for scripts that need them, not for names."""
_ESCAPED_LINE_END = re.compile(r"\\u+000[aAdD]")
"""In Java, also where it stands in a comment."""
_LIKE_LATIN = "\u0370-\u03ff\u0400-\u052f\u0530-\u058f\u13a0-\u13ff"
_MIXED = re.compile(rf"[A-Za-z][{_LIKE_LATIN}]|[{_LIKE_LATIN}][A-Za-z]")
_PROPER = re.compile("[\u0394\u03a3\u03a9\u03b1-\u03bb\u03bc\u03be\u03c0-\u03c4\u03c6-\u03c9]")
"""Greek letters of formulas (`Δx`), which look like no Latin one; Cyrillic ones may."""
_VERSION = f"Python {sys.version_info.major}.{sys.version_info.minor}"


def unreadable(files: Sequence[ChangedFile]) -> tuple[str, ...]:
    """Why code that a patch adds cannot be judged as it is read; empty if all can.

    A statement that could not be read in the base either may be changed (`unread_changes`): the
    repository is written for a later Python, and the honest way to change it is in its own words.
    """
    return tuple(reason for file in files for reason in _disguised(file)) + tuple(
        f"{file.path}:{line}: {_VERSION}, by which patches are judged, cannot read this "
        "statement. Write it more plainly, without newer syntax, deep nesting or huge numbers."
        for file in files
        if file.path.endswith(".py")
        for line, block in file.unjudged_patched
        if _head(block) not in {_head(old) for _, old in file.unjudged_base}
    )


def _disguised(file: ChangedFile) -> Iterator[str]:
    """Added lines of code that are not what they look like; what the file has already may stay."""
    if not is_code(file.path):
        return
    kinds = {
        "has a character at which only some programs end a line": _LINE_ENDS,
        "has a character that shows the text in another order": _REORDERS,
        "has a character that is not shown": _NOT_SHOWN,
    }
    if PurePosixPath(file.path).suffix in (".java", ".kt", ".scala", ".groovy"):
        kinds["ends a line by an escape"] = _ESCAPED_LINE_END
    if file.path.endswith(".py") and file.added and re.search("\r(?!\n)", file.base or ""):
        yield f"{file.path}: a carriage return ends a line there, so lines have other numbers."
    known: set[str] | None = None
    for number, line in file.added:
        if line.isascii() and "\r" not in line and "\x0b" not in line and "\\u" not in line:
            continue
        if known is None:
            known = set((file.base or "").split("\n"))
        if line in known:
            continue
        for what, pattern in kinds.items():
            found = pattern.search(line.removesuffix("\r"))
            if found is not None:
                yield (
                    f"{file.path}:{number}: the line {what} ({_spelt(found[0])}). Write it as an "
                    "escape, so that the code is what it looks like."
                )
        for word in re.findall(r"[^\W_]+", line) if not file.is_test else ():
            if not _MIXED.search(word) or _PROPER.sub("", word).isascii():
                continue
            yield (
                f"{file.path}:{number}: `{word[:80]}` mixes letters of alphabets that look alike "
                f"({_spelt(word[:80])})."
            )


def _spelt(text: str) -> str:
    """The characters of a text that are not plain ASCII, by their numbers."""
    odd = dict.fromkeys(c for c in text if not (c.isascii() and c.isprintable()))
    return ", ".join(f"U+{ord(c):04X}" for c in odd) or text


def unread_changes(files: Sequence[ChangedFile]) -> tuple[str, ...]:
    """Why a person has to look at a patch: it changes statements that could not be read before.

    Rules for texts see their added lines, rules for syntax trees see nothing, on one side or both.
    """
    return tuple(
        f"{file.path}:{line}: {_VERSION}, by which patches are judged, cannot read this statement "
        f"as it {'is with' if patched else 'was before'} the patch, so nothing compares what the "
        "patch makes of it. A person has to."
        for file in files
        if file.path.endswith(".py")
        for line, patched in _changed(file)
    )


def _changed(file: ChangedFile) -> Iterator[tuple[int, bool]]:
    """The first lines of unread statements that are not on both sides: of the patched text, and of
    the base's where no statement of that name is unread any more."""
    before = {_statement(block) for _, block in file.unjudged_base}
    after = {_statement(block) for _, block in file.unjudged_patched}
    heads = {_head(block) for _, block in file.unjudged_patched}
    for line, block in file.unjudged_patched:
        if _statement(block) not in before:
            yield line, True
    for line, block in file.unjudged_base:
        if _statement(block) not in after and _head(block) not in heads:
            yield line, False


def _statement(block: str) -> str:
    """A statement without the comments and empty lines that follow it."""
    lines = block.splitlines()
    while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
        lines.pop()
    return "\n".join(lines)


def _head(block: str) -> str:
    """What tells a statement from others across a change: its name, or its text if it has none."""
    lines = [
        line for line in block.splitlines() if not line.startswith(("@", "#")) and line.strip()
    ]
    first = lines[0] if lines else ""
    words = first.replace("(", " ").replace(":", " ").split()
    if words[:1] == ["async"]:
        words = words[1:]
    return " ".join(words[:2]) if words[:1] in (["def"], ["class"]) else block
