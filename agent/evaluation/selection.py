"""Which attempt is taken, by what the gate says and by nothing that hidden tests say."""

from __future__ import annotations

from collections.abc import Sequence

from agent.evaluation.results import AttemptResult, InstanceResult, Prediction

_RANK = {"proven": 0, "draft": 1, "diagnosis": 2, "stopped": 3, "failed": 4}


def chosen_attempt(attempts: Sequence[AttemptResult]) -> AttemptResult | None:
    """The attempt that a run would publish: the gate, then the smaller patch, then the earlier.

    The same order as `agent.best_of.preference`, on kept results.
    """
    return min(
        attempts,
        key=lambda a: (_RANK[a.outcome], a.changed_lines, a.changed_files, a.number),
        default=None,
    )


def prediction(result: InstanceResult, model: str) -> Prediction:
    """The chosen attempt's patch in SWE-bench's form; empty where there is none."""
    taken = chosen_attempt(result.attempts)
    patch = taken.patch if taken is not None else ""
    return Prediction(instance_id=result.instance_id, model_name_or_path=model, model_patch=patch)
