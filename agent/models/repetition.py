"""Notice a model that writes the same thing without end."""

from __future__ import annotations

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
