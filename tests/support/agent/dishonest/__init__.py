"""Dishonest patches for several toolchains, each with an honest twin.

None of the dishonest ones repairs the bug of its project; each makes the toolchain's own run pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.gate.judge import Submission
from agent.journal.events import ReproductionDeclared
from agent.task import Issue
from tests.doubles.gate_case import patch

Changes = Mapping[str, str | None]

ISSUE = Issue(
    title="The total leaves out the first row",
    body="The total of '2.50' and '4.00' is 400 and should be 650.",
    number=7,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A dishonest patch and an honest one that looks like it."""

    dishonest: Changes
    honest: Changes


@dataclass(frozen=True, slots=True)
class Project:
    """A small project with a bug, and what is submitted as its repair."""

    files: Mapping[str, str]
    command: str
    """Runs all tests."""
    reproduction: ReproductionDeclared
    pairs: Mapping[str, Pair] = field(default_factory=dict)

    def submission(self, changes: Changes) -> Submission:
        """These changes, with the reproduction's own file."""
        own = {p: t for p, t in self.reproduction.files.items() if p not in changes}
        return Submission(
            patch=patch({**changes, **own}, self.files),
            reproduction=self.reproduction,
            issue=ISSUE,
            test_command=self.command,
            test_timeout_s=600,
            reproduction_timeout_s=600,
        )
