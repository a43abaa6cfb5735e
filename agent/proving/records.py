"""What a proof of somebody's change is made from, and what it says."""

from __future__ import annotations

from typing import Literal

from agent.journal.events import GateJudged, HunkEvidence, ReproductionDeclared
from agent.model import Record
from agent.task import GatePolicy, Issue, KeptBase

Said = Literal[
    "shows the bug",
    "lacks a new name without the change",
    "passes without the change",
    "fails with the change",
    "is not loaded without the change",
    "is skipped",
    "is flaky",
]
"""What the runs say of one test; only the first two are red and then green."""
RED_THEN_GREEN: tuple[Said, ...] = ("shows the bug", "lacks a new name without the change")

Shows = Literal["", "a bug", "something new"]
"""What a change's tests are red for without it: wrong behaviour, or a name that it brings."""

ProofVerdict = Literal["proven", "unproven", "failed"]
"""`failed`: something that passed before fails now."""


class Change(Record):
    """A change that is to be proven. All of it is untrusted."""

    base: str
    """The commit that it applies to."""
    head: str
    """The commit that it leads to."""
    patch: str
    """What leads from one to the other, as git writes it."""
    issue: Issue
    """What it is about: an issue, or the words of its commits."""
    test_command: str = ""
    """Empty: found out from the base."""
    policy: GatePolicy = GatePolicy()
    test_timeout_s: float = 600.0
    degraded: str = ""
    """Why the environment is not the one that the repository asks for; empty: it is."""
    kept_base: KeptBase | None = None
    at_once: int = 1
    """How many sandboxes may run tests at the same time."""


class ShownTest(Record):
    """A test that the change adds, changes or makes pass, and what the runs say of it."""

    name: str
    said: Said
    message: str = ""
    """How it failed, on the side where it did; cut."""
    wanting: str = ""
    """The name that the change brings, and for want of which alone it fails without it."""


class Finding(Record):
    """A rule for changes that no person has looked at, and which this one breaks."""

    rule: str
    detail: str


class ChangeProof(Record):
    """What is proven of a change."""

    verdict: ProofVerdict
    base: str
    head: str
    test_command: str
    shows: Shows = ""
    """What is red without the change and green with it; empty: nothing."""
    written: ReproductionDeclared | None = None
    """What a model wrote from the issue, as the change brings no test."""
    files: tuple[str, ...] = ()
    """The files that the change touches."""
    tests: tuple[ShownTest, ...] = ()
    missing: tuple[str, ...] = ()
    """What a proof lacks, in sentences; empty where it is one."""
    broken: tuple[str, ...] = ()
    """Tests that pass without the change and fail with it, each time."""
    flaky: tuple[str, ...] = ()
    """Tests of the suite that failed with the change but not each time, or not only with it: they
    are not counted."""
    findings: tuple[Finding, ...] = ()
    left_out: tuple[str, ...] = ()
    """What was not looked at, and why, in sentences."""
    judged: GateJudged | None = None
    """The gate's verdict with all its checks; None where it was not asked."""
    image: str = ""
    """The digest of the image that it was judged in; empty: not known, or a model chose how it was
    made."""
    degraded: bool = False
    """Whether the environment was less than the repository asks for."""
    settings: str = ""
    """Names the settings that it was made under; the same name, the same settings."""

    @property
    def unneeded(self) -> tuple[HunkEvidence, ...]:
        """Hunks of source that no test was seen to need."""
        hunks = self.judged.hunks if self.judged is not None else ()
        return tuple(hunk for hunk in hunks if hunk.tried and not hunk.needed_by)

    @property
    def wanting(self) -> tuple[str, ...]:
        """The names that the change brings, and for want of which its tests fail without it."""
        return tuple(dict.fromkeys(test.wanting for test in self.tests if test.wanting))

    def named(self, said: Said) -> tuple[str, ...]:
        """The tests of which this is said."""
        return tuple(test.name for test in self.tests if test.said == said)
