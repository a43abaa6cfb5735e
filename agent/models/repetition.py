"""Notice a model that writes the same thing without end."""

from __future__ import annotations

import re

LONGEST_PERIOD = 1_000
"""Characters: what repeats is at most this long."""
ENOUGH = 16_000
"""Characters of nothing but repetition before a stream is cut off."""


def repeats(text: str, enough: int = ENOUGH) -> bool:
    """Whether the last `enough` characters are one piece of text over and over."""
    if len(text) < enough:
        return False
    tail = text[-enough:]
    # Two periods of needle: the nearest earlier place of it then is a period of the tail's end.
    needle = tail[-2 * LONGEST_PERIOD :]
    earlier = tail.rfind(needle, 0, len(tail) - 1)
    if earlier == -1:
        return False
    period = len(tail) - len(needle) - earlier
    return period <= LONGEST_PERIOD and tail[period:] == tail[:-period]


DRIFTING = 8_000
"""Characters, about 2,000 tokens, of almost nothing new before prose is cut off."""
LEAST_NEW = 0.45
"""Share of different runs of three words. Our documents have 0.7 and more, code 0.65 and more; a
loop whose words are exchanged has 0.15 to 0.25, with a new sentence after every second one 0.34."""
LEAST_WORDS = 1_000
"""Fewer words than that in so much text are a table of numbers or no Latin script."""

_WORD = re.compile(r"[^\W\d_]+")


def drifts(prose: str) -> bool:
    """Whether the end of a text says nearly the same all the time, in words that vary a little.

    For reasoning and explanations; data and code may well look like this.
    """
    if len(prose) < DRIFTING:
        return False
    words = [word.lower() for word in _WORD.findall(prose[-DRIFTING:])]
    if len(words) < LEAST_WORDS:
        return False
    runs = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(runs)) < LEAST_NEW * len(runs)
