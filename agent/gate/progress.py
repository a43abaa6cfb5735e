"""How far the gate has come with a patch, for people who watch."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""Takes what begins, its number and of how many."""


class Progress:
    """Counts the gate's runs as they begin."""

    def __init__(self, on_progress: OnProgress | None, *, reproduction: bool, suite: bool) -> None:
        """What there is to run says how many runs there will be, further evidence included."""
        self._on_progress = on_progress
        self._begun = 0
        self._total = 4 * reproduction + 3 * suite

    def begins(self, what: str) -> None:
        """One of the runs begins."""
        self._begun += 1
        if self._on_progress is not None:
            self._on_progress(what, self._begun, max(self._begun, self._total))
