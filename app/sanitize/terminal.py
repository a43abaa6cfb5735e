"""Text of others on a terminal: nothing in it moves a cursor, sets a title or turns words."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_KEPT = frozenset("\n\t\u200c\u200d\ufe0e\ufe0f")
"""Line ends and tabs; joiners and selectors, without which some scripts and emoji are not whole."""


class SafeConsole(Console):
    """A console that writes its own colours, and of what it is given only what can be seen."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """As rich's, with text made harmless."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


def visible(text: str) -> str:
    """The text with control, format and surrogate characters spelt out, as in `<U+001B>`."""
    return "".join(
        c if c in _KEPT or unicodedata.category(c)[0] != "C" else f"<U+{ord(c):04X}>" for c in text
    )
