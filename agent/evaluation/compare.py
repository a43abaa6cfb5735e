"""Two evaluations of the same instances, side by side."""

from __future__ import annotations

from agent.errors import AgentError
from agent.evaluation.report import Report
from agent.evaluation.statistics import Paired, Share, compare_pairs, share
from agent.model import Record


class NothingShared(AgentError):
    """Two evaluations have no instance in common."""


class Comparison(Record):
    """A against B on the instances that both have a result of."""

    a: str
    b: str
    instances: int
    left_out: int
    """Instances that only one of them has, or where one has an error."""
    resolved_a: Share
    resolved_b: Share
    paired: Paired
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    @property
    def significant(self) -> bool:
        """Whether so uneven a split would come by chance in fewer than 5 of 100 cases."""
        return self.paired.p < 0.05


def compare(a: Report, b: Report) -> Comparison:
    """Pair the results by instance. Raises `NothingShared`."""
    rows_a = {r.instance_id: r for r in a.verdicts.rows}
    rows_b = {r.instance_id: r for r in b.verdicts.rows}
    both = [
        name
        for name, row in rows_a.items()
        if row.status != "error" and name in rows_b and rows_b[name].status != "error"
    ]
    if not both:
        raise NothingShared("the two evaluations have no finished instance in common")
    right_a = [rows_a[name].resolved for name in both]
    right_b = [rows_b[name].resolved for name in both]
    pairs = list(zip(both, right_a, right_b, strict=True))
    return Comparison(
        a=a.name,
        b=b.name,
        instances=len(both),
        left_out=len(rows_a.keys() | rows_b.keys()) - len(both),
        resolved_a=share(sum(right_a), len(both)),
        resolved_b=share(sum(right_b), len(both)),
        paired=compare_pairs(right_a, right_b),
        only_a=tuple(name for name, x, y in pairs if x and not y),
        only_b=tuple(name for name, x, y in pairs if y and not x),
    )
