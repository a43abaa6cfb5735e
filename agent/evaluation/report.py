"""What an evaluation says: shares with intervals, the gate's precision, effort and cost.

Nothing in `Verdicts` depends on how long anything took, so an evaluation that was killed and
resumed says the same as one in one go; what was measured in time is in `Effort`.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence

from agent.evaluation.cost import Prices, cost, gpu_seconds
from agent.evaluation.replay import ReplayReport
from agent.evaluation.results import AttemptResult, HiddenVerdict, InstanceResult
from agent.evaluation.selection import chosen_attempt
from agent.evaluation.statistics import Mean, Share, mean, pass_at_k, share
from agent.model import Record, Usage


class Row(Record):
    """One instance."""

    instance_id: str
    status: str
    """The chosen attempt's outcome, or `error`."""
    resolved: bool
    attempt: int
    """The chosen one; 0 where there is none."""
    calls: int
    """Of the chosen attempt."""
    right_attempts: int
    attempts: int
    note: str = ""


class FalseProof(Record):
    """A patch that the gate called proven and that hidden tests refute."""

    instance_id: str
    attempt: int
    failed: tuple[str, ...]
    problem: str
    patch: str
    merged: str = ""
    """The fix that was merged, where it is known."""


class AtK(Record):
    """Means over the instances for k attempts."""

    k: int
    passed: Mean
    """pass@k: some attempt is right (an oracle would choose it)."""
    selected: Mean
    """The attempt that the gate chooses is right."""


class Verdicts(Record):
    """What is decided, independent of time."""

    resolved: Share
    """Instances whose chosen patch passes the hidden tests, of all that were asked for."""
    proven: Share
    """Instances with a proof, of all that were asked for."""
    precision: Share
    """Attempts whose patch passes the hidden tests, of those that the gate called proven."""
    recall: Share
    """Attempts that the gate called proven, of those whose patch passes the hidden tests."""
    errors: int
    at_k: tuple[AtK, ...]
    false_proofs: tuple[FalseProof, ...]
    rows: tuple[Row, ...]


class Effort(Record):
    """What it took, over all attempts."""

    attempts: int
    calls: int
    turns: int
    usage: Usage
    wall_s: float
    model_s: float
    median_calls: float
    median_wall_s: float
    gpu_s: float
    cost: float | None
    """None without prices."""
    cost_per_resolved: float | None


class Report(Record):
    """An evaluation as a whole."""

    name: str
    model: str
    prompt_version: str
    attempts: int
    verdicts: Verdicts
    effort: Effort
    replay: ReplayReport | None = None
    """What the gate said about merged fixes, where these were replayed."""


def verdicts(
    ids: Sequence[str],
    results: Mapping[str, InstanceResult],
    attempts: int,
    merged: Mapping[str, str] | None = None,
) -> Verdicts:
    """What the results say about these instances; one without a result counts as an error.

    `merged` are the fixes that were merged, by instance; nothing is judged by them.
    """
    rows = tuple(_row(name, results.get(name)) for name in ids)
    tried = [results[name] for name in ids if name in results]
    every = [a for result in tried for a in result.attempts]
    proven = [a for a in every if a.proven]
    right = [a for a in every if a.hidden.resolved]
    both = sum(a.hidden.resolved for a in proven)
    return Verdicts(
        resolved=share(sum(r.resolved for r in rows), len(rows)),
        proven=share(sum(r.status == "proven" for r in rows), len(rows)),
        precision=share(both, len(proven)),
        recall=share(both, len(right)),
        errors=sum(r.status == "error" for r in rows),
        at_k=at_k([r.attempts for r in tried if len(r.attempts) == attempts], attempts),
        false_proofs=tuple(
            _false_proof(result.instance_id, a, (merged or {}).get(result.instance_id, ""))
            for result in tried
            for a in result.attempts
            if a.proven and not a.hidden.resolved
        ),
        rows=rows,
    )


def at_k(tries: Sequence[Sequence[AttemptResult]], attempts: int) -> tuple[AtK, ...]:
    """Both measures for k from 1 on, each a mean over all choices of k of the attempts."""
    if not tries:
        return ()
    return tuple(
        AtK(
            k=k,
            passed=mean(
                [pass_at_k(attempts, sum(a.hidden.resolved for a in own), k) for own in tries]
            ),
            selected=mean([_selected(own, k) for own in tries]),
        )
        for k in range(1, attempts + 1)
    )


def _selected(own: Sequence[AttemptResult], k: int) -> float:
    picks = [chosen_attempt(some) for some in itertools.combinations(own, k)]
    return statistics.fmean(bool(a and a.hidden.resolved) for a in picks)


def _row(name: str, result: InstanceResult | None) -> Row:
    taken = chosen_attempt(result.attempts) if result is not None else None
    if result is None or result.status == "error" or taken is None:
        note = result.error if result is not None else "not tried yet"
        return Row(
            instance_id=name,
            status="error",
            resolved=False,
            attempt=0,
            calls=0,
            right_attempts=0,
            attempts=0,
            note=note,
        )
    return Row(
        instance_id=name,
        status=taken.outcome,
        resolved=taken.hidden.resolved,
        attempt=taken.number,
        calls=taken.calls,
        right_attempts=sum(a.hidden.resolved for a in result.attempts),
        attempts=len(result.attempts),
        note=_note(taken),
    )


def _note(taken: AttemptResult) -> str:
    if not taken.patch:
        return "no patch"
    return "" if taken.hidden.resolved else explanation(taken.hidden)


def explanation(hidden: HiddenVerdict) -> str:
    """In a line why hidden tests refute a patch."""
    if hidden.problem:
        return hidden.problem
    first = ", ".join(hidden.failed[:3])
    more = f" and {len(hidden.failed) - 3} more" if len(hidden.failed) > 3 else ""
    return f"fails {first}{more}" if first else ""


def _false_proof(name: str, attempt: AttemptResult, merged: str) -> FalseProof:
    return FalseProof(
        instance_id=name,
        attempt=attempt.number,
        failed=attempt.hidden.failed,
        problem=attempt.hidden.problem,
        patch=attempt.patch,
        merged=merged,
    )


def effort(results: Sequence[InstanceResult], resolved: int, prices: Prices) -> Effort:
    """What all attempts took together."""
    every = [a for result in results for a in result.attempts]
    usage = total([a.usage for a in every])
    model_s = sum(a.model_s for a in every)
    paid = cost(usage, model_s, prices) if prices.known else None
    return Effort(
        attempts=len(every),
        calls=sum(a.calls for a in every),
        turns=sum(a.turns for a in every),
        usage=usage,
        wall_s=sum(a.wall_s for a in every),
        model_s=model_s,
        median_calls=statistics.median([a.calls for a in every]) if every else 0.0,
        median_wall_s=statistics.median([a.wall_s for a in every]) if every else 0.0,
        gpu_s=gpu_seconds(model_s, prices),
        cost=paid,
        cost_per_resolved=paid / resolved if paid is not None and resolved else None,
    )


def total(usages: Sequence[Usage]) -> Usage:
    """Tokens added up."""
    return Usage(
        prompt_tokens=sum(u.prompt_tokens for u in usages),
        completion_tokens=sum(u.completion_tokens for u in usages),
        cached_tokens=sum(u.cached_tokens for u in usages),
    )
