"""A run's attempts: each a sandbox and a loop, the status comment kept up to date meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from agent.gate.judge import judge
from agent.session import JudgeWith
from agent.task import Attachment

TOLD = {"reproduction_declared", "hypothesis_proposed", "hypothesis_resolved", "submitted"}
"""Events after which the status comment says something new."""


@dataclass(frozen=True, slots=True)
class AttemptPlan:
    """What attempts stand on."""

    tree: str
    """Commit whose tree the sandboxes hold."""
    first: int = 1
    """Number of the first attempt."""
    attempts: int = 1
    again: str = ""
    """Why there is another attempt; empty for the first."""
    feedback: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    judge_with: JudgeWith = judge
