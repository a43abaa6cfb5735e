"""A check's report as Markdown for GitHub: everything of the repository is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from app.check.pages import NOT_ALWAYS, rows
from app.check.report import CheckReport
from app.repo_config.schema import PATH
from app.sanitize.markdown import COMMENT_LIMIT, Markdown, code, fenced, fit, inline, prose

FOLDED_FROM = 4
"""Lists longer than this are folded."""


def report_comment(report: CheckReport, room: int = COMMENT_LIMIT - 500) -> Markdown:
    """The whole report, long lists folded, in at most so many characters."""
    return Markdown(fit("\n\n".join(_parts(report)), room))


def _parts(report: CheckReport) -> list[str]:
    verdict = "**Ready.**"
    if not report.ready:
        verdict = f"**Not ready:** {prose(report.degraded, 2000)}"
    cells = [f"| {name} | {inline(text, 500)} |" for name, text in rows(report)]
    parts = [
        f"{verdict}\n\nChecked at {report.commit[:12]}.",
        "\n".join(["| | |", "|---|---|", *cells]),
        _listed(f"Failing in every run: {report.failing_count}", report.failing),
        _listed("Flaky", report.flaky),
        _listed(NOT_ALWAYS, report.not_always),
        _listed("Failing for want of a network, which a run has not", report.network),
        _listed("Slowest", [f"{one.seconds:.2f} s {one.name}" for one in report.slowest]),
        _listed("Set-ups that failed", report.failed),
        _listed("Environments that are worse", report.others),
    ]
    if report.recipe:
        recipe = fenced(report.recipe, "yaml")
        parts.append(_folded(f"To keep this environment, in {code(PATH)}", recipe))
    return [part for part in parts if part]


def _listed(title: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    lines = "\n".join(f"- {inline(name, 300)}" for name in names)
    return f"{title}:\n\n{lines}" if len(names) < FOLDED_FROM else _folded(title, lines)


def _folded(title: str, text: str) -> str:
    return f"<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>"
