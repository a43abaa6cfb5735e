"""Text of others made harmless to a terminal: what moves a cursor or turns words is spelt out."""

from __future__ import annotations

import unicodedata

_JOINERS = frozenset("\u200c\u200d\ufe0e\ufe0f")
"""Joiners and selectors, without which some scripts and emoji are not whole."""


def visible(text: str, kept: str = "\n\t") -> str:
    """The text with control, format, surrogate and line separator characters as in `<U+001B>`.

    `kept` stays as it is; where it has no line end, a text cannot begin a line of its own.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c in kept or c in _JOINERS or not _is_unseen(c) else f"<U+{ord(c):04X}>" for c in text
    )


def _is_unseen(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "C" or category in ("Zl", "Zp")
