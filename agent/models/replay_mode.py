"""The ways in which a known fix is replayed. Apart from the replay, so that a command line that
only names them loads none of it.
"""

from typing import Literal

ReplayMode = Literal["whole", "narrow", "partial"]
"""How much of a fix is replayed: all of it; all of it, shown by one failing test only; or without
its last change of source, shown by all tests."""
