"""The part of a Python text that can be judged here, where another Python would run all of it.

The gate reads syntax trees with the Python that it runs on. The repository may be for a later one:
a statement of that one must not keep the rest of its file from being judged.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

_MOST_DIGITS = 4000
"""Of a number; Python writes no longer ones out."""
_MOST_BITS = 3 * _MOST_DIGITS
_LONG_WORD = re.compile(rf"\w{{{_MOST_BITS // 4}}}")
"""A number with more bits is at least as long as this, even in hexadecimal digits."""
_CONTINUES = ("else", "elif", "except", "finally", ")", "]", "}")


def can_be_judged(text: str) -> bool:
    """Whether this Python can read a text, whole, and write its numbers out."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not _LONG_WORD.search(text):
        return True
    return not any(
        isinstance(node, ast.Constant)
        and isinstance(node.value, int)
        and node.value.bit_length() > _MOST_BITS
        for node in ast.walk(tree)
    )


def readable(text: str | None) -> str | None:
    """The text, with statements of its top level left blank that cannot be judged here."""
    return without_statements(text, unjudged(text))


def without_statements(text: str | None, left_out: Sequence[tuple[int, str]]) -> str | None:
    """The text with statements left blank; each is given with its first line."""
    if text is None or not left_out:
        return text
    blank = {line for first, block in left_out for line in range(first, first + block.count("\n"))}
    lines = text.splitlines(keepends=True)
    return "".join("\n" if n in blank else line for n, line in enumerate(lines, 1))


def unjudged(text: str | None) -> list[tuple[int, str]]:
    """The statements of the top level that cannot be judged here, each with its first line."""
    if text is None or can_be_judged(text):
        return []
    return [(first, block) for first, block in _blocks(text) if not can_be_judged(block)]


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces that begin at its margin, with the number of their first line."""
    first, block = 1, ""
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        begins = not line[0].isspace() and not line.startswith((*_CONTINUES, "#"))
        if begins and block.strip() and not block.rstrip().rpartition("\n")[2].startswith("@"):
            yield first, block
            first, block = number, ""
        block += line
    if block:
        yield first, block if block.endswith("\n") else block + "\n"
