"""The gate for later rounds: it proves the pull request's whole change, not just what is new."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agent.gate.judge import Submission, judge
from agent.gate.progress import OnProgress
from agent.journal.events import Check, GateJudged, ReproductionDeclared
from app.git.mirror import Mirror, PatchUnusable
from sandbox.protocol import OpenSandbox


@dataclass(frozen=True, slots=True)
class WiderProof:
    """Judges what an attempt adds to a pull request.

    The whole change against the pull request's base, by the reproduction that the issue's fix was
    proven with. When the attempt declared another one (a failed check, say), what it adds is proven
    by that as well, against the pull request's head.
    """

    mirror: Mirror
    base: str
    head: str
    open_base: OpenSandbox
    """A fresh sandbox with the tree of `base`."""
    carried: ReproductionDeclared | None
    """The reproduction of the patch in the pull request."""

    async def __call__(
        self, submission: Submission, open_head: OpenSandbox, on_progress: OnProgress | None = None
    ) -> GateJudged:
        """Judge on the pull request's base and, if the reproduction is new, on its head too."""
        added = submission.model_copy(update={"shrink": False, "kept_base": None, "rules": None})
        checks: tuple[Check, ...] = ()
        declared = submission.reproduction
        if self._is_new(declared) and submission.patch.strip():
            judged = await judge(added, open_head, on_progress)
            if judged.verdict != "proven":
                return judged
            added, checks = added.model_copy(update={"patch": judged.patch}), judged.checks
        try:
            whole = await asyncio.to_thread(
                self.mirror.diff_with, self.base, self.head, added.patch
            )
        except PatchUnusable as error:
            reasons = (str(error),)
            return GateJudged(attempt=submission.attempt, verdict="refused", reasons=reasons)
        carried = self.carried if self.carried and self.carried.command else None
        judged = await judge(
            added.model_copy(
                update={
                    "patch": whole,
                    "rules": submission.rules,
                    "reproduction": carried or declared,
                    "holds_regression_test": carried is not None,
                }
            ),
            self.open_base,
            on_progress,
        )
        return judged.model_copy(update={"checks": (*checks, *judged.checks)})

    def _is_new(self, declared: ReproductionDeclared | None) -> bool:
        if declared is None or not declared.command or self.carried is None:
            return False
        return (declared.command, declared.files) != (self.carried.command, self.carried.files)
