"""Offline repair of regressions, without the history and with it, side by side.

The projects (`tests/support/agent/regressions`) are made with a history in which one commit broke
something. `python -m bench.offline_histories [--sandbox docker|local] [--unseen] [NAME …]`. Of the
tests that judge a repair neither the model nor the gate sees anything.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.journal.events import CommitTried, CulpritSearched, ToolFinished
from agent.journal.store import MemoryStore
from agent.task import Issue
from app.git.commit_history import CommitHistories
from app.git.local import mirror_history
from bench.offline_repairs import Case, Open, Row, repair, sandboxes
from tests.support.agent.histories import GitPast, files_at
from tests.support.agent.regressions.records import Regression
from tests.support.agent.regressions.tuned import TUNED
from tests.support.agent.regressions.unseen import UNSEEN


@dataclass(frozen=True)
class Repair:
    """One regression, repaired or not."""

    row: Row
    runs: int
    """How often the reproduction was run to find out: on changes, and at older commits."""
    commits: int
    """At how many older commits."""
    found: str
    """What the search through the history says; empty without one."""
    exact: bool
    """Whether it names the commit that broke it."""


async def repair_regression(
    regression: Regression, open_with: Open, *, history: bool, trace: bool = False
) -> Repair:
    """Repair one regression at its newest commit."""
    title, _, body = regression.issue.partition("\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "repository"
        tip, culprit = regression.write(folder)
        case = Case(
            name=regression.name,
            kind=regression.kind,
            fixable=True,
            layout="",
            part=0,
            issue=Issue(title=title, body=body),
            files=files_at(folder, tip),
            hidden={"tests/test_hidden.py": regression.hidden.encode()},
        )
        past = GitPast(folder, open_with=open_with) if history else None
        if past is not None:
            kept = _history(folder, Path(scratch), tip)
            case = replace(case, files=case.files | kept)
        store = MemoryStore()
        row = await repair(case, open_with, trace, past, store)
    events = [recorded.event for recorded in store.events(case.name)]
    told = next((e for e in events if isinstance(e, CulpritSearched)), None)
    tried = [e for e in events if isinstance(e, CommitTried)]
    outputs = [e.output for e in events if isinstance(e, ToolFinished)]
    screened = [int(n) for o in outputs for n in re.findall(r"^screened (\d+) of", o, re.M)]
    return Repair(
        row,
        sum(screened) + len(tried),
        len(tried),
        told.finding if told else "",
        bool(told and told.finding == "found" and told.commit == culprit),
    )


def _history(folder: Path, scratch: Path, tip: str) -> dict[str, bytes]:
    """The history as files of the tree, as a run's sandbox has it."""
    mirror = mirror_history(folder, scratch / "mirror")
    made = CommitHistories(mirror, scratch / "histories").of(tip)
    assert made is not None
    found = {p.relative_to(made.folder): p for p in made.folder.rglob("*") if p.is_file()}
    # An empty folder is in no list of files, and without `refs` it is no repository to git.
    files = {".git/refs/heads/main": f"{tip}\n".encode()}
    return files | {f".git/{name}": path.read_bytes() for name, path in found.items()}


HEAD = (
    f"{'regression':<18} {'without':<10} {'hidden':<7} {'runs':>5} {'s':>6}   "
    f"{'with':<10} {'hidden':<7} {'runs':>5} {'s':>6}  culprit"
)


def line(without: Repair, with_it: Repair) -> str:
    """Both repairs of one regression."""
    cells = [f"{without.row.case.name:<18}"]
    for each in (without, with_it):
        hidden = "-" if not each.row.fixed else "pass" if each.row.right else "FAIL"
        cells.append(f"{each.row.outcome:<10} {hidden:<7} {each.runs:>5} {each.row.seconds:>6.1f} ")
    exact = "exact" if with_it.exact else with_it.found or "-"
    return " ".join(cells) + f" {exact} ({with_it.commits} commits tried)"


def summary(name: str, repairs: Iterable[Repair]) -> str:
    """What one column comes to."""
    listed = list(repairs)
    proven = [r for r in listed if r.row.fixed]
    right = sum(r.row.right for r in proven)
    runs = sum(r.runs for r in listed)
    return (
        f"{name}: {right} of {len(listed)} resolved; {len(proven)} proven, {right} of them right; "
        f"{runs} runs"
    )


async def measure(chosen: Sequence[Regression], sandbox: str, trace: bool, patches: bool) -> None:
    """Print a line for each regression, and what they come to."""
    print(HEAD, flush=True)
    both: list[tuple[Repair, Repair]] = []
    async with sandboxes(sandbox) as open_with:
        for regression in chosen:
            without, with_it = [
                await repair_regression(regression, open_with, history=history, trace=trace)
                for history in (False, True)
            ]
            both.append((without, with_it))
            print(line(without, with_it), flush=True)
            if patches:
                for each in (without, with_it):
                    print(each.row.patch or each.row.diagnosis)
    print(summary("without history", (without for without, _ in both)))
    print(summary("with history", (with_it for _, with_it in both)))


async def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sandbox", choices=("docker", "local"), default="docker")
    parser.add_argument("--unseen", action="store_true", help="also those that are set aside")
    parser.add_argument("--trace", action="store_true", help="print the journals too")
    parser.add_argument("--patches", action="store_true", help="print patches and diagnoses too")
    options = parser.parse_args()
    for name, listed in (("built with", TUNED), ("set aside", UNSEEN if options.unseen else ())):
        chosen = [r for r in listed if not options.names or r.name in options.names]
        if chosen:
            print(f"\n{name}")
            await measure(chosen, options.sandbox, options.trace, options.patches)


if __name__ == "__main__":
    asyncio.run(main())
