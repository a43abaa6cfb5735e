"""What a model says with a submission, for people to weigh: no claim makes a patch proven."""

from __future__ import annotations

from agent.journal.events import ContestedTest, HunkReason
from agent.model import Record


class Claims(Record):
    """Words of the model about its patch. Untrusted."""

    justification: str = ""
    """Why the fix must read the clock, use chance or be as long as it is."""
    contested: tuple[ContestedTest, ...] = ()
    """Tests that contradict the issue, and are changed for that."""
    hunks: tuple[HunkReason, ...] = ()
    """Why hunks belong that no test needs."""
