"""A test command for several projects of one tree, each run in its own folder.

Written as a shell would take it: `(cd api && python3 -m pytest -q) && (cd web && npm test)`. Every
part is run, whatever became of those before it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from agent.model import Record
from agent.testing import selection as selecting
from agent.testing.report import SuiteRun, TestResult

_PART = re.compile(r"\(cd ([A-Za-z0-9_./@+-]+) && (.+?)\)(?: && (?=\(cd )|$)")
_SPLITS = re.compile(r"pytest|unittest|go test|cargo")
_WITH_PATHS = re.compile(r"\.[cm]?[jt]sx?(?:::|$)")


class Part(Record):
    """The tests of one project."""

    folder: str
    """Below the root; "." is the root itself."""
    command: str


def join(parts: Sequence[Part]) -> str:
    """One command for all parts."""
    if len(parts) == 1 and parts[0].folder == ".":
        return parts[0].command
    return " && ".join(f"(cd {shlex.quote(p.folder)} && {p.command})" for p in parts)


def split(command: str) -> tuple[Part, ...]:
    """The parts of a command as `join` writes it; any other command is one part at the root."""
    parts, at = [], 0
    while found := _PART.match(command, at):
        folder = str(PurePosixPath(found[1]))
        if folder.startswith(("/", "..")) or "/../" in f"{folder}/":
            break
        parts.append(Part(folder=folder, command=found[2]))
        at = found.end()
    if not parts or at < len(command):
        return (Part(folder=".", command=command),)
    return tuple(parts)


def route(parts: Sequence[Part], selection: str) -> tuple[tuple[Part, str], ...]:
    """Which parts run for a selection, each with its own share of it.

    A test belongs to the part whose folder it begins with; what fits none goes to the root's, or
    to all where there is none.
    """
    if len(parts) == 1 or not selection.strip():
        return tuple((part, within(part.folder, selection)) for part in parts)
    if selection.strip().startswith("-"):
        return tuple((part, selection) for part in parts)
    # Titles of JavaScript tests hold spaces; names of other tests stand several in a line.
    whole = "\n" in selection or any(not _SPLITS.search(part.command) for part in parts)
    names = selecting.lines(selection) if whole else selecting.words(selection)
    shares: dict[Part, list[str]] = {}
    for name in names:
        nearest = [p for p in parts if p.folder != "." and _inside(name, p.folder)]
        at_root = [p for p in parts if p.folder == "."]
        chosen = [max(nearest, key=lambda p: len(p.folder))] if nearest else at_root or parts
        for part in chosen:
            shares.setdefault(part, []).append(_relative_name(name, part.folder))
    return tuple((part, "\n".join(own)) for part, own in shares.items())


def within(folder: str, selection: str) -> str:
    """A selection of names below the root as the runner of a folder takes it."""
    if folder == "." or selection.strip().startswith("-"):
        return selection
    return "\n".join(_relative_name(name, folder) for name in selecting.lines(selection))


def named_from_root(result: TestResult, folder: str) -> TestResult:
    """A result of a folder's runner with its name below the root."""
    if folder == "." or _inside(result.name, folder):
        return result
    joint = "/" if "/" in result.name or _is_path(result.name) else "::"
    return result.model_copy(update={"name": f"{folder}{joint}{result.name}"})


def combine_runs(command: str, runs: Sequence[SuiteRun]) -> SuiteRun:
    """The parts' runs as one.

    A part without results per test counts as one test that is called as its command: it passed if
    the command ended with status 0.
    """
    bad = [run for run in runs if run.exit_code != 0]
    return SuiteRun(
        command=command,
        exit_code=bad[0].exit_code if bad else 0,
        output="\n".join(f"$ cd {run.folder} && {run.command}\n{run.output}" for run in runs),
        results=tuple(result for run in runs for result in run.results or (_as_one(run),)),
        timed_out=any(run.timed_out for run in runs),
        duration_s=sum(run.duration_s for run in runs),
        complete=all(run.complete for run in runs),
        parts=tuple(runs),
    )


def _as_one(run: SuiteRun) -> TestResult:
    passed = run.exit_code == 0
    return TestResult(
        name=f"{run.folder}: {run.command}",
        outcome="passed" if passed else "error",
        message="" if passed else run.output[-2000:],
        duration_s=run.duration_s,
    )


def _inside(name: str, folder: str) -> bool:
    return name == folder or name.startswith((f"{folder}/", f"{folder}::"))


def _relative_name(name: str, folder: str) -> str:
    return name[len(folder) :].lstrip("/:") if folder != "." and _inside(name, folder) else name


def _is_path(name: str) -> bool:
    return ".py::" in name or name.endswith(".py") or _WITH_PATHS.search(name) is not None
