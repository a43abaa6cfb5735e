"""How far the gate has come with a patch, for people who watch."""

from __future__ import annotations

from collections.abc import Callable

Tell = Callable[[str, int, int], None]
"""Takes what begins, its number and of how many."""


class Progress:
    """Counts the gate's runs as they begin."""

    def __init__(self, tell: Tell | None, *, reproduction: bool, suite: bool) -> None:
        """What there is to run says how many runs there will be, further evidence included."""
        self._tell = tell
        self._begun = 0
        self._total = 4 * reproduction + 3 * suite

    def begins(self, what: str) -> None:
        """One of the runs begins."""
        self._begun += 1
        if self._tell is not None:
            self._tell(what, self._begun, max(self._begun, self._total))
