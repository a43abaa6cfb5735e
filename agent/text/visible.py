"""Text of others made harmless to a terminal: what moves a cursor or turns words is spelt out."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = frozenset("\u200c\u200d\ufe0e\ufe0f")
"""Joiners and selectors, without which some scripts and emoji are not whole."""


FILLERS = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters without a look that are letters, marks or symbols by their category, for a class of a
regular expression: fillers, blanks, variation selectors (Unicode's Default_Ignorable_Code_Point).
A text can be hidden in them, a byte in each. U+FE0E and U+FE0F are in no such class: they belong to
emoji, but only one at a time (`REPEATED`)."""
REPEATED = "[\ufe0e\ufe0f]{2,}"

_FILLER = re.compile(f"[{FILLERS}]|{REPEATED}")
_HIDDEN_RUN = re.compile(
    f"(?:[{FILLERS}\ufe0e\ufe0f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb])+"
)
_OF_EMOJI = ("\ufe0e", "\ufe0f", "\u200d", "\u200c", "\ufe0f\u200d")
_NAMED = 8


def without_hidden(text: str) -> str:
    """The text with what no reader sees of it named, a few characters of each stretch.

    People decide by what they see whether a model is to read it; so it reads no more than that.
    """
    return _HIDDEN_RUN.sub(_name, text)


def _name(run: re.Match[str]) -> str:
    if run[0] in _OF_EMOJI:
        return run[0]
    names = " ".join(f"U+{ord(char):04X}" for char in run[0][:_NAMED])
    more = len(run[0]) - _NAMED
    return f"<{names} and {more} more>" if more > 0 else f"<{names}>"


def visible(text: str, kept: str = "\n\t") -> str:
    """The text with control, format, surrogate and line separator characters as in `<U+001B>`.

    `kept` stays as it is; where it has no line end, a text cannot begin a line of its own.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _FILLER.sub(lambda run: "".join(f"<U+{ord(c):04X}>" for c in run[0]), text)
    return "".join(
        c if c in kept or c in _JOINERS or not _is_unseen(c) else f"<U+{ord(c):04X}>" for c in text
    )


def _is_unseen(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "C" or category in ("Zl", "Zp")
