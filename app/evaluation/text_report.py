"""An evaluation's report and comparison for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.evaluation.compare import Comparison
from agent.evaluation.replay import ReplayReport
from agent.evaluation.report import Report, explanation
from agent.evaluation.results import HiddenVerdict
from agent.evaluation.statistics import Mean, Share

WORDS = {
    "resolved": "instances whose patch passes the hidden tests",
    "proven": "instances that the gate calls proven",
    "gate precision": "proven patches that the hidden tests confirm",
    "gate recall": "right patches that the gate calls proven",
}


def share_text(share: Share) -> str:
    """`12/30 = 40.0 % (95 %: 24.6 to 57.7)`."""
    if share.value is None:
        return "0/0"
    return (
        f"{share.count}/{share.of} = {share.value:.1%} "
        f"(95 %: {share.low * 100:.1f} to {share.high * 100:.1f})"
    )


def mean_text(mean: Mean) -> str:
    """`40.0 % (95 %: 24.6 to 57.7)`."""
    return f"{mean.value:.1%} (95 %: {mean.low * 100:.1f} to {mean.high * 100:.1f})"


def shares(report: Report) -> list[tuple[str, Share]]:
    """The report's shares by name."""
    verdicts = report.verdicts
    values = (verdicts.resolved, verdicts.proven, verdicts.precision, verdicts.recall)
    return list(zip(WORDS, values, strict=True))


def efforts(report: Report) -> list[tuple[str, str]]:
    """Calls, tokens, time and cost, as rows of a table."""
    took = report.effort
    usage = took.usage
    rows = [
        ("calls", f"{took.calls:,} (median {took.median_calls:g} per attempt)"),
        (
            "tokens",
            f"{usage.prompt_tokens:,} read ({usage.cached_tokens:,} from the cache), "
            f"{usage.completion_tokens:,} written",
        ),
        ("time", f"{took.wall_s:,.0f} s (median {took.median_wall_s:.0f} s per attempt)"),
    ]
    if took.gpu_s:
        rows.append(("GPU time", f"{took.gpu_s:,.0f} s"))
    if took.cost is not None:
        each = f", {took.cost_per_resolved:.2f} per fix" if took.cost_per_resolved else ""
        rows.append(("cost", f"{took.cost:.2f}{each}"))
    return rows


def report_text(report: Report) -> RenderableType:
    """The report as tables."""
    verdicts = report.verdicts
    rows = Table("instance", "outcome", "hidden tests", "calls", "note")
    for row in verdicts.rows:
        hidden = "pass" if row.resolved else "-" if row.status == "error" else "fail"
        if report.attempts > 1 and row.attempts:
            hidden += f" ({row.right_attempts}/{row.attempts})"
        cells = (row.instance_id, row.status, hidden, str(row.calls), row.note[:100])
        rows.add_row(*map(Text, cells))
    sums = Table(show_header=False)
    for name, share in shares(report):
        sums.add_row(Text(name), Text(share_text(share)), Text(WORDS[name]))
    for name, text in efforts(report):
        sums.add_row(Text(name), Text(text), "")
    parts: list[RenderableType] = [rows, sums]
    if report.attempts > 1:
        ks = Table("k", "pass@k", "gate-selected@k")
        for at in verdicts.at_k:
            ks.add_row(str(at.k), mean_text(at.passed), mean_text(at.selected))
        parts.append(ks)
    if report.replay is not None:
        parts += _replay(report.replay)
    parts += [
        Text(
            f"false proof: {f.instance_id}, attempt {f.attempt}: "
            f"{_failure_reason(f.failed, f.problem)}"
        )
        for f in verdicts.false_proofs
    ]
    if verdicts.errors:
        parts.append(Text(f"{verdicts.errors} could not be tried; --resume tries them again."))
    return Group(*parts)


def _replay(replay: ReplayReport) -> list[RenderableType]:
    table = Table("replayed fix", "gate", "hidden tests", "source as replayed", "reasons")
    for row in replay.rows:
        yes = ("pass" if row.right else "fail", "yes" if row.same_source else "no")
        cells = (row.instance_id, row.verdict, *yes, " ".join(row.reasons)[:200])
        table.add_row(*map(Text, cells))
    wrong = ", ".join(replay.made_wrong) or "none"
    return [
        table,
        Text(
            f"proven or contested, of the fixes replayed ({replay.mode}): "
            f"{share_text(replay.accepted)}"
        ),
        Text(f"right fixes that the gate made wrong: {wrong}"),
        Text(
            f"called proven, of those that hidden tests refute: {share_text(replay.wrong_proven)}"
        ),
    ]


def _failure_reason(failed: tuple[str, ...], problem: str) -> str:
    return explanation(HiddenVerdict(resolved=False, failed=failed, problem=problem))


def comparison_text(found: Comparison) -> RenderableType:
    """The comparison as a table and a sentence."""
    table = Table("", "resolved", "only this one")
    table.add_row(
        Text(f"A {found.a}"), Text(share_text(found.resolved_a)), str(found.paired.only_a)
    )
    table.add_row(
        Text(f"B {found.b}"), Text(share_text(found.resolved_b)), str(found.paired.only_b)
    )
    return Group(
        table,
        Text(
            f"Both: {found.paired.both}, neither: {found.paired.neither}, "
            f"{found.instances} instances ({found.left_out} left out)."
        ),
        Text(verdict_of(found)),
        *(Text(f"only A: {name}") for name in found.only_a),
        *(Text(f"only B: {name}") for name in found.only_b),
    )


def verdict_of(found: Comparison) -> str:
    """What the test says, in a sentence."""
    p = f"McNemar, exact: p = {found.paired.p:.3g}"
    if not found.significant:
        return f"{p}. The difference may well be chance."
    better = "A" if found.paired.only_a > found.paired.only_b else "B"
    return f"{p}. {better} is better, and this is unlikely to be chance."
