"""Text of others on a terminal: nothing in it moves a cursor, sets a title or turns words."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from agent.text.visible import visible

__all__ = ["SafeConsole", "visible"]


class SafeConsole(Console):
    """A console that writes its own colours, and of what it is given only what can be seen."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """As rich's, with text made harmless."""
        for segment in super().render(renderable, options):
            style = segment.style
            if style is not None and style.link and not style.link.isprintable():
                # The address stands inside an escape sequence, which it could end.
                style = style.update_link(visible(style.link, kept=""))
            if segment.control or (segment.text.isprintable() and style is segment.style):
                yield segment
            else:
                yield Segment(visible(segment.text), style)
