"""What tests did as plain programs, and what a plain run is asked for."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Literal

from agent.model import Record

PLAIN = "plain run"
"""Name of the check."""
ENDED = "Ended"
"""Stands for an exception: the process ended itself before the test did."""
REACHED = " (reached)"
"""After the name of an event, which stands for a test that fails."""
ELSEWHERE = " (elsewhere)"
"""After the name of a test that ran in another folder."""
TOTAL_S = 20.0
"""For all tests of one such run; what is not reached by then says nothing."""
BUILD_S = 60.0
"""For building what is not interpreted; what is not built by then says nothing."""
LIMIT_S = 10.0
"""Of one file."""
MOST_FILES = 12


class PlainOutcome(Record):
    """What a test did as a plain program."""

    outcome: Literal["passed", "failed", "left out"]
    raised: str = ""
    """Name of the exception's class, `ENDED`; empty where the language has none."""
    line: int = 0
    """The inmost line of the test's own file in the traceback; 0: none."""


def built(files: Iterable[str], *, ok: bool) -> dict[str, PlainOutcome]:
    """Whether the programs of some test files could be built, as outcomes of their own."""
    seen = PlainOutcome(outcome="passed" if ok else "left out")
    return {f"{file}::(building)": seen for file in files}


class PlainTests(Record):
    """The tests of one plain run."""

    command: str
    """The reproduction's."""
    suite: str = ""
    """The command that runs all tests."""
    declared: Mapping[str, str]
    """The reproduction's files with their texts, by their paths."""
    others: tuple[str, ...] = ()
    """Test files of the base."""
    changed: tuple[str, ...] = ()
    """Files that the patch changes."""
    seed: int = 1
    """Of Python's hashes where it is not the usual one."""


def some_user() -> str:
    """A user's name for one run: code should not know a plain run by it."""
    return secrets.choice(("anna", "app", "dev", "maria", "node", "sam", "tom", "web", "worker"))


def whole(path: str, root: str) -> str:
    """A path from the root of the file system; `root` is the tree's."""
    return path if path.startswith("/") else f"{root}/{path}"
