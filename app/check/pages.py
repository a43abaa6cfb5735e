"""A check's report for people: as text, and as one HTML file that loads nothing."""

from __future__ import annotations

from pathlib import Path

from app.check.report import CheckReport
from app.journal_view.html import environment

_PAGES = environment(Path(__file__).parent / "templates")


NOT_ALWAYS = "Not in every run, as cases whose names are made from a set or the time"


def html_page(report: CheckReport) -> str:
    """The page; every text in it is escaped."""
    return _PAGES.get_template("check.html").render(
        report=report, rows=rows(report), not_always=NOT_ALWAYS
    )


PACKAGE_MANAGERS = ("npm", "pnpm", "Yarn")


def rows(report: CheckReport) -> list[tuple[str, str]]:
    """The report's facts as pairs of a name and a text."""
    counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(report.tests.items()))
    kept = " (the image was there already)" if report.cached else ""
    often = "once" if report.runs == 1 else f"{report.runs} times"
    found = [
        ("environment", report.environment),
        ("set-up", f"{report.setup_s:.1f} s{kept}"),
        ("test command", report.test_command or "none found"),
        ("suite", f"{report.suite_s:.1f} s, run {often}"),
        ("tests", counts or "no results per test"),
    ]
    for one in report.versions:
        stated = f"stated: {', '.join(one.stated[:4])}" if one.stated else ""
        # Images are not asked for package managers: set-up brings the one that is stated.
        absent = "" if one.tool in PACKAGE_MANAGERS else "not there"
        found.append((one.tool, "; ".join(filter(None, (one.present or absent, stated)))))
    if report.test_command:
        gate = f"{report.gate_least_s:.0f} to {report.gate_most_s:.0f} s for each patch"
        found.append(("gate", gate))
    return found


def text_report(report: CheckReport) -> str:
    """The report for a terminal."""
    width = max(len(name) for name, _ in rows(report))
    lines = [f"{report.repository} at {report.commit[:12]}", ""]
    lines += [f"{name:{width}}  {text}" for name, text in rows(report)]
    lines += _listed(f"Failing in every run ({report.failing_count})", report.failing)
    lines += _listed("Flaky", report.flaky)
    lines += _listed(NOT_ALWAYS, report.not_always)
    lines += _listed("Failing for want of a network", report.network)
    lines += _listed("Slowest", [f"{one.seconds:8.2f} s  {one.name}" for one in report.slowest])
    lines += _listed("Set-ups that failed", report.failed)
    lines += _listed("Environments that are worse", report.others)
    if report.recipe:
        lines += ["", "To keep this environment, in .github/patchwright.yml:", report.recipe]
    verdict = "Ready." if report.ready else f"Not ready: {report.degraded}"
    return "\n".join([*lines, "", verdict])


def _listed(title: str, names: tuple[str, ...] | list[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {name}" for name in names)] if names else []
