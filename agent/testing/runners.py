"""Test runners: which one a command calls, and how it is asked for results per test.

Sources: the documentation of pytest (`--junitxml`, `PYTEST_ADDOPTS`), `go help test` (`-json`),
Jest and Vitest (`--json`, `--reporter=json`, `--outputFile`), Mocha's JSON reporter, `cargo test`
(libtest's text), Maven Surefire and Gradle (XML reports in the build folder).
"""

from __future__ import annotations

import re
import shlex
from typing import Literal

from agent.model import Record
from agent.testing import selection as selecting
from sandbox.protocol import WORKDIR

Kind = Literal[
    "pytest",
    "unittest",
    "tox",
    "go",
    "cargo",
    "jest",
    "vitest",
    "mocha",
    "maven",
    "gradle",
    "other",
]

Format = Literal["junit", "surefire", "jest", "mocha", "go", "cargo"]

PYTHON_ENVIRONMENT = (
    "export PYTHONDONTWRITEBYTECODE=1 "
    f'PYTHONPATH="{WORKDIR}:{WORKDIR}/src${{PYTHONPATH:+:$PYTHONPATH}}"'
)
"""Shell words that let Python code import the repository's packages, installed or not.

A folder that is not there does no harm in `PYTHONPATH`.
"""


def in_tree(command: str, first: str = "true") -> str:
    """A command in a shell of its own at the root of the tree that finds the repository's packages.

    A mere subshell could be closed by the command's text, and what it then defines would stay.
    `first`: words that must succeed before it.
    """
    own = f"exec bash -c {shlex.quote(command)}"
    return f"({first} && cd {WORKDIR} && {PYTHON_ENVIRONMENT}\n{own}\n)"


_CALLS: tuple[tuple[Kind, str], ...] = (
    ("tox", r"(?:^|[\s/])(?:tox|nox)(?=\s|$)"),
    ("pytest", r"(?:^|[\s/])(?:pytest|py\.test)(?=\s|$)"),
    ("unittest", r"-m\s+unittest(?=\s|$)"),
    ("vitest", r"(?:^|[\s/])vitest(?=\s|$)"),
    ("jest", r"(?:^|[\s/])jest(?=\s|$)"),
    ("mocha", r"(?:^|[\s/])mocha(?=\s|$)"),
    ("go", r"(?:^|\s)go\s+test(?=\s|$)"),
    ("cargo", r"(?:^|\s)cargo\s+(?:\+\S+\s+)?(?:test|t)(?=\s|$)"),
    ("maven", r"(?:^|[\s/])mvnw?(?=\s|$)"),
    ("gradle", r"(?:^|[\s/])gradlew?(?=\s|$)"),
)


class Invocation(Record):
    """How to run a test command so that it says what became of each test."""

    command: str
    format: Format
    report: str
    """Where the results will be: a file, for `surefire` a path pattern for `find`, for `go` and
    `cargo` empty, as they write to standard output."""


def kind_of(command: str) -> Kind:
    """Which runner a command calls. What cannot be told (`make test`) is `other`."""
    return next((kind for kind, pattern in _CALLS if re.search(pattern, command)), "other")


def invocation(command: str, selection: str, scratch: str) -> Invocation:
    """The shell command for a selection (empty: all tests), with its results under `scratch`.

    `scratch` is a folder outside the tree that only this run knows. A selection that the runner
    has no argument for is appended to the command as it is.
    """
    kind = kind_of(command)
    titled = kind in ("jest", "vitest", "mocha")  # their titles hold spaces
    chosen = selecting.lines(selection) if titled else selecting.words(selection)
    report = f"{scratch}/report"
    match kind:
        case "pytest" | "tox" | "other":
            bare = _without_own_report(command)
            if chosen and kind == "pytest":
                bare = selecting.without_paths(bare)
            separator = " --" if chosen and kind == "tox" else ""
            asked = f"{bare}{separator} {selecting.quoted(selection)}".rstrip()
            line = f"{_pytest_settings(report, scratch)}\n{asked}"
            return Invocation(command=line, format="junit", report=report)
        case "unittest":
            return Invocation(
                command=_unittest(command, chosen, report, scratch), format="junit", report=report
            )
        case "go":
            line = _go(command, chosen)
            return Invocation(command=line, format="go", report="")
        case "cargo":
            return Invocation(command=_cargo(command, chosen), format="cargo", report="")
        case "jest" | "vitest":
            line = _jest(command, chosen, report, vitest=kind == "vitest")
            return Invocation(command=line, format="jest", report=report)
        case "mocha":
            line = f"{command} --reporter json --reporter-option output={report}"
            return Invocation(command=line + _by_title(chosen, "-g"), format="mocha", report=report)
        case "maven":
            only = "".join(f" {shlex.quote('-Dtest=' + ','.join(chosen))}" if chosen else "")
            line = f"{command} -Dsurefire.failIfNoSpecifiedTests=false{only}"
            return Invocation(
                command=line, format="surefire", report="*/target/surefire-reports/TEST-*.xml"
            )
        case "gradle":
            only = "".join(f" --tests {shlex.quote(name.replace('#', '.'))}" for name in chosen)
            return Invocation(
                command=f"{command} --continue{only}",
                format="surefire",
                report="*/build/test-results/*/TEST-*.xml",
            )


def _pytest_settings(report: str, scratch: str) -> str:
    """Options by environment reach pytest through `make test`, tox and the like as well.

    The cache moves out of the tree instead of being switched off, because a project's own
    options may need it. `--rootdir=.` makes names relative to where the command runs.
    One file that cannot be imported does not hide the tests of the others.
    """
    options = (
        f"--junitxml={report} -o junit_family=xunit1 -o cache_dir={scratch}/cache "
        "--rootdir=. --color=no --maxfail=0 --continue-on-collection-errors"
    )
    return (
        f"export PYTEST_ADDOPTS='{options}' TOX_OVERRIDE='testenv.pass_env+=PYTEST_*,PYTHON*' "
        f"COVERAGE_FILE={scratch}/coverage HYPOTHESIS_STORAGE_DIRECTORY={scratch}/hypothesis"
    )


def _without_own_report(command: str) -> str:
    return re.sub(r"\s--junit-?xml[= ]\S+", "", command)


def _unittest(command: str, chosen: tuple[str, ...], report: str, scratch: str) -> str:
    """The same unittest call through a program that writes JUnit XML (`unittest_report.py`)."""
    calling = f"{shlex.quote(scratch + '/unittest_report.py')} {report}"
    replaced = re.sub(r"-m\s+unittest(?=\s|$)", lambda _: calling, command, count=1)
    if not chosen:
        return replaced
    before, _, _ = replaced.partition(calling)
    return f"{before}{calling} " + " ".join(shlex.quote(name) for name in chosen)


def _go(command: str, chosen: tuple[str, ...]) -> str:
    asked = re.sub(r"(go\s+test)(?=\s|$)", r"\1 -json", command, count=1)
    if not chosen:
        return asked
    flags = [word for word in command.partition(" test")[2].split() if word.startswith("-")]
    head = " ".join(["go test -json", *map(shlex.quote, flags)])
    packages = sorted({name.split("::")[0] for name in chosen if "::" in name}) or ["./..."]
    patterns = sorted({_go_pattern(name.rpartition("::")[2]) for name in chosen})
    joined = patterns[0] if len(patterns) == 1 else "|".join(p.split("/")[0] for p in patterns)
    return f"{head} {' '.join(map(shlex.quote, packages))} -run {shlex.quote(joined)}"


def _go_pattern(test: str) -> str:
    return "/".join(f"^{re.escape(part)}$" for part in test.split("/"))


def _cargo(command: str, chosen: tuple[str, ...]) -> str:
    asked = command if "--no-fail-fast" in command else _cargo_whole_run(command)
    if not chosen:
        return asked
    names = " ".join(shlex.quote(name) for name in chosen)
    return f"{asked} -- --exact {names}" if " -- " not in asked else f"{asked} --exact {names}"


def _cargo_whole_run(command: str) -> str:
    return re.sub(r"(cargo\s+(?:\+\S+\s+)?(?:test|t))(?=\s|$)", r"\1 --no-fail-fast", command)


def _jest(command: str, chosen: tuple[str, ...], report: str, *, vitest: bool) -> str:
    asking = f"--reporter=json --outputFile={report}" if vitest else f"--json --outputFile={report}"
    files = sorted({name.split("::")[0] for name in chosen})
    titles = tuple(name.split("::", 1)[1] for name in chosen if "::" in name)
    paths = "".join(f" {shlex.quote(path)}" for path in files)
    return f"{command} {asking}{paths}{_by_title(titles, '-t')}"


def _by_title(names: tuple[str, ...], option: str) -> str:
    titles = [name.split("::", 1)[-1] for name in names]
    if not titles:
        return ""
    return f" {option} {shlex.quote('|'.join(f'^{re.escape(t)}$' for t in titles))}"
