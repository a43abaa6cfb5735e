"""Evidence beyond reproduction and suite: steps that run, in order, once a patch holds by those.

A step looks at one thing (each hunk, documented examples, small variants of the patch, …) and gives
checks and typed records. A check that fails makes the verdict `unproven`; a record only shows.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.gate.patch.changed_file import ChangedFile
from agent.gate.progress import Progress
from agent.gate.proof import Before, Case
from agent.journal.events import Check, HunkEvidence, HunkReason, Strength
from agent.model import Record
from agent.task import GatePolicy, ProjectRules
from agent.testing.report import SuiteRun
from sandbox.errors import SandboxGone
from sandbox.protocol import OpenSandbox, Sandbox


class Evidence(Record):
    """What one step, or all of them, found. Each field but `checks` is one of `GateJudged`."""

    checks: tuple[Check, ...] = ()
    hunks: tuple[HunkEvidence, ...] = ()
    strength: tuple[Strength, ...] = ()
    left_out: tuple[str, ...] = ()
    """What was not looked at, and why, in sentences."""


@dataclass(slots=True)
class Allowance:
    """How long the steps together may still take."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    @property
    def used_up(self) -> bool:
        """Whether nothing more should be started."""
        return self.left_s <= 0

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self.began)


@dataclass(frozen=True, slots=True)
class HeldPatch:
    """A patch whose reproduction and suite hold, with what a step may need."""

    open_fresh: OpenSandbox
    clean: Sandbox
    """A sandbox in which only the base and its tests have run; the last step may use it up."""
    case: Case
    before: Before
    submitted: str
    """The patch as it was submitted."""
    patch: str
    """The whole change: with the regression test."""
    files: Sequence[ChangedFile]
    policy: GatePolicy
    after: Sequence[SuiteRun]
    """Runs of the suite with the patch."""
    reasons: Sequence[HunkReason]
    """What the submission says about hunks that no test needs."""
    allowance: Allowance
    progress: Progress
    rules: ProjectRules | None
    """None: the project's rules are not asked for."""
    fails_without: Mapping[int, bool]
    """Whether the reproduction fails without a hunk of source, by its number, as far as that was
    seen already."""


Step = Callable[[HeldPatch], Awaitable[Evidence]]


async def look_for_more(held: HeldPatch, steps: Sequence[Step]) -> Evidence:
    """Run the steps one after the other; all that they found, in their order."""
    return merge_evidence([await _run_step(held, step) for step in steps])


async def _run_step(held: HeldPatch, step: Step) -> Evidence:
    """A step's evidence; one whose sandbox dies says nothing for or against the patch."""
    try:
        return await step(held)
    except SandboxGone as error:
        return Evidence(left_out=(f"Some evidence, as a sandbox died ({error}).",))


def merge_evidence(found: Sequence[Evidence]) -> Evidence:
    """Several steps' evidence as one."""
    return Evidence.model_validate(
        {
            name: tuple(value for one in found for value in getattr(one, name))
            for name in Evidence.model_fields
        }
    )
