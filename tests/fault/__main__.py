"""Random faults against real processes, real sandboxes and both databases; prints a table.

Half of the runs and of the faults go to each database. The same seed gives the same faults at the
same points of the work; which line of code they hit is up to the machine.

    python -m tests.fault [--database both] [--runs 20] [--faults 40] [--seed 7] [--keep FOLDER]

Ends with status 1 when anything was lost, doubled or left behind.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.fault.harness import Plan, Report, go


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fault",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--faults", type=int, default=40)
    parser.add_argument("--seed", type=int, default=None, help="of everything; else drawn by lot")
    parser.add_argument("--keep", type=Path, help="an empty folder for states and logs")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # with all processes ended
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1_000_000)
    names = ("sqlite", "postgresql") if asked.database == "both" else (asked.database,)
    console = Console(width=110)
    holds = True
    for name in names:
        runs, faults = asked.runs // len(names), asked.faults // len(names)
        console.print(f"{name}: {runs} runs, {faults} faults, seed {seed}")
        plan = Plan(name == "postgresql", runs, faults, seed)
        folder = asked.keep / name if asked.keep else None
        if folder:
            folder.mkdir(parents=True)
        report = go(plan, folder)
        print_report(report, console)
        holds = holds and report.verdict.holds
    return 0 if holds else 1


def print_report(report: Report, console: Console) -> None:
    """The table, and each thing that is wrong."""
    plan = report.plan
    kind = "PostgreSQL, a service and two workers" if plan.postgresql else "SQLite, one process"
    table = Table("", "", title=f"{kind}; seed {plan.seed}", show_header=False)
    table.add_row("faults", str(report.faults.total()))
    for name, times in sorted(report.faults.items()):
        table.add_row(f"  {name}", str(times))
    for name, figure in report.verdict.figures.items():
        table.add_row(name, figure)
    table.add_row("minutes", f"{report.seconds / 60:.1f}")
    table.add_section()
    for name, found in report.verdict.wrong.items():
        table.add_row(name, str(len(found)), style="red" if found else "green")
    console.print(table)
    for name, found in report.verdict.wrong.items():
        for what in found:
            console.print(f"{name}: {what}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
