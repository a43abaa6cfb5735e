"""What became of each instance, as records that stand one a line in the results file."""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationError

from agent.journal.events import Outcome
from agent.model import Record, Usage


class HiddenVerdict(Record):
    """What the hidden tests say about one patch."""

    resolved: bool
    failed: tuple[str, ...] = ()
    """Of the tests that must pass, those that did not, also when run once more by themselves."""
    passed_alone: tuple[str, ...] = ()
    """Of them, those that failed at first and passed when run once more: load, or chance."""
    problem: str = ""
    """Why nothing could be judged: the patch or the tests do not apply, no test ran."""


class AttemptResult(Record):
    """One attempt at an instance."""

    number: int
    outcome: Outcome
    patch: str
    hidden: HiddenVerdict
    calls: int
    turns: int
    verdict: str = ""
    """The gate's last; empty where nothing was submitted."""
    reasons: tuple[str, ...] = ()
    """What it said, or how the attempt ended without it."""
    usage: Usage = Usage()
    model_s: float = 0.0
    """Seconds that the model took."""
    wall_s: float = 0.0
    changed_lines: int = 0
    changed_files: int = 0

    @property
    def proven(self) -> bool:
        """Whether the gate called it proven."""
        return self.outcome == "proven"


class InstanceResult(Record):
    """An instance when it is over."""

    instance_id: str
    status: Literal["done", "error"] = "done"
    error: str = ""
    """What kept it from being tried: image, mirror, model's server. Tried again at a resume."""
    attempts: tuple[AttemptResult, ...] = ()


class Prediction(Record):
    """A line of SWE-bench's predictions file."""

    instance_id: str
    model_name_or_path: str
    model_patch: str


def read_results(data: bytes) -> tuple[dict[str, InstanceResult], int]:
    """Results by instance, the last one wins; and the length of the whole lines in bytes.

    A last line without its end (the process was killed while it wrote) counts as not written.
    Raises `ValueError` for a whole line that is no result.
    """
    whole = data.rfind(b"\n") + 1
    found: dict[str, InstanceResult] = {}
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            result = InstanceResult.model_validate_json(line)
        except ValidationError:
            raise ValueError(f"line {number} is not a result of an evaluation") from None
        found[result.instance_id] = result
    return found, whole
