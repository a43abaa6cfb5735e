"""Test runners: which one a command calls, and how it is asked for results per test.

Sources: the documentation of pytest (`PYTEST_PLUGINS`, `--junitxml`), Node (`--test-reporter`),
`go help test` (`-json`), Jest and Vitest (`--json`, `--reporter=json`, `--outputFile`), Mocha (JSON
reporter), `cargo test` (libtest's text), Maven Surefire and Gradle (XML reports in the build
folder), node-tap (`--output-file`), tape (it prints TAP), AVA (`--tap`, `--match`), CTest
(`--output-junit`), Meson, PHPUnit (`--log-junit`), RSpec (`--format json`), rake's `TESTOPTS` with
Minitest and test-unit, `dotnet test` (`--logger trx`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
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
    "node",
    "tap",
    "tape",
    "ava",
    "maven",
    "gradle",
    "ctest",
    "meson",
    "phpunit",
    "rspec",
    "minitest",
    "dotnet",
    "other",
]

Format = Literal[
    "pytest",
    "junit",
    "node",
    "surefire",
    "jest",
    "mocha",
    "tap",
    "ava",
    "go",
    "cargo",
    "ctest",
    "meson",
    "phpunit",
    "rspec",
    "minitest",
    "trx",
]

PYTHON_ENVIRONMENT = (
    "export PYTHONDONTWRITEBYTECODE=1 "
    f'PYTHONPATH="{WORKDIR}:{WORKDIR}/src${{PYTHONPATH:+:$PYTHONPATH}}"'
)
"""Shell words that let Python code import the repository's packages, installed or not.

A folder that is not there does no harm in `PYTHONPATH`.
"""


def in_tree(command: str, first: str = "true", folder: str = ".") -> str:
    """A command in a separate shell at the root of the tree that finds the repository's packages.

    A mere subshell could be closed by the command's text, and what it then defines would stay.
    `first`: words that must succeed before it. `folder`: where below the root. Programs that npm
    put into the project are found after all others, as in its own scripts.
    """
    own = f"exec bash -c {shlex.quote(command)}"
    where, nearer = WORKDIR, ""
    if folder != ".":
        where = shlex.quote(f"{WORKDIR}/{folder}")
        nearer = ' && export PYTHONPATH="$PWD:$PWD/src:$PYTHONPATH"'
    programs = ' && export PATH="$PATH:$PWD/node_modules/.bin"'
    return f"({first} && cd {where} && {PYTHON_ENVIRONMENT}{nearer}{programs}\n{own}\n)"


_CALLS: tuple[tuple[Kind, str], ...] = (
    ("tox", r"(?:^|[\s/])(?:tox|nox)(?=\s|$)"),
    ("pytest", r"(?:^|[\s/])(?:pytest|py\.test)(?=\s|$)"),
    ("unittest", r"-m\s+unittest(?=\s|$)"),
    ("vitest", r"(?:^|[\s/])vitest(?=\s|$)"),
    ("jest", r"(?:^|[\s/])jest(?=\s|$)"),
    ("mocha", r"(?:^|[\s/])mocha(?=\s|$)"),
    ("node", r"(?:^|[\s/])node\s(?:\S+\s+)*?--test(?=\s|$)"),
    ("tape", r"(?:^|[\s/])tape(?=\s|$)"),
    ("tap", r"(?:^|[\s/])tap(?=\s|$)"),
    ("ava", r"(?:^|[\s/])ava(?=\s|$)"),
    ("go", r"(?:^|\s)go\s+test(?=\s|$)"),
    ("cargo", r"(?:^|\s)cargo\s+(?:\+\S+\s+)?(?:test|t)(?=\s|$)"),
    ("maven", r"(?:^|[\s/])mvnw?(?=\s|$)"),
    ("gradle", r"(?:^|[\s/])gradlew?(?=\s|$)"),
    ("ctest", r"(?:^|[\s/])ctest(?=\s|$)"),
    ("meson", r"(?:^|[\s/])meson\s+test(?=\s|$)"),
    ("phpunit", r"(?:^|[\s/])phpunit(?=\s|$)"),
    ("rspec", r"(?:^|[\s/])rspec(?=\s|$)"),
    ("minitest", r"(?:^|[\s/])rake\s+test(?=\s|$)"),
    ("dotnet", r"(?:^|[\s/])dotnet\s+test(?=\s|$)"),
)


class Invocation(Record):
    """How to run a test command so that it says what became of each test."""

    command: str
    format: Format
    report: str
    """Where the results will be: a file, for `surefire`, `meson` and `trx` a path pattern for
    `find`, for `go`, `cargo` and `minitest` empty, as they write to standard output."""


def kind_of(command: str) -> Kind:
    """Which runner a command calls. What cannot be told (`make test`) is `other`."""
    return next((kind for kind, pattern in _CALLS if re.search(pattern, command)), "other")


_TITLED = (
    *("jest", "vitest", "mocha", "node", "tap", "tape", "ava"),
    *("ctest", "meson", "phpunit", "rspec", "minitest", "dotnet"),
)
"""Runners whose names of tests hold spaces."""

PLUGIN = "patchwright_report_"
"""The plugin's module is called so, with the run's own letters behind."""


def plugin_of(scratch: str) -> str:
    """The name of the plugin's module in a run with this scratch folder."""
    return PLUGIN + re.sub(r"\W", "_", scratch.rpartition("-")[2] or "run")


def invocation(command: str, selection: str, scratch: str, *, plugin: bool = True) -> Invocation:
    """The shell command for a selection (empty: all tests), with its results under `scratch`.

    `scratch` is a folder outside the tree that only this run knows. A selection that the runner
    has no argument for is appended to the command as it is. Without `plugin` pytest writes its own
    XML report, for the rare set-up that cannot import a plugin from a folder of ours.
    """
    kind = kind_of(command)
    chosen = selecting.lines(selection) if kind in _TITLED else selecting.words(selection)
    report = f"{scratch}/report"
    match kind:
        case "pytest" | "tox" | "other":
            bare = _without_own_report(command)
            if chosen and kind == "pytest":
                bare = selecting.without_paths(bare)
            separator = " --" if chosen and kind == "tox" else ""
            call = f"{bare}{separator} {selecting.quote_selection(selection)}".rstrip()
            if not plugin:
                line = f"{_pytest_options(report, scratch)}\n{call}"
                return Invocation(command=line, format="junit", report=report)
            line = f"{_pytest_plugin(report, scratch)}\n{call}"
            return Invocation(command=line, format="pytest", report=report)
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
            own = re.sub(r"\s(?:--reporter|-R)[= ]\S+", "", command)
            line = _after(own, "mocha", f"--reporter json --reporter-option output={report}")
            return Invocation(command=line + _mocha(chosen), format="mocha", report=report)
        case "node":
            asking = f"--test-reporter=junit --test-reporter-destination={report}"
            line = re.sub(r"--test(?=\s|$)", f"--test {asking}", command, count=1)
            return Invocation(command=line + _node(chosen), format="node", report=report)
        case "tap":
            files = "".join(f" {shlex.quote(f)}" for f in dict.fromkeys(map(_file, chosen)))
            line = _after(command, "tap", f"--output-file={report}") + files
            return Invocation(command=line, format="tap", report=report)
        case "tape":
            # It takes neither titles nor, beside its own patterns, files: all of it runs.
            line = f"set -o pipefail; {{ {_unformatted(command)}\n}} | tee {report}"
            return Invocation(command=line, format="tap", report=report)
        case "ava":
            line = f"set -o pipefail; {{ {_after(command, 'ava', '--tap')}{_ava(chosen)}\n}}"
            return Invocation(command=f"{line} | tee {report}", format="ava", report=report)
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
        case "ctest":
            only = f" -R {shlex.quote(_any_of(chosen))}" if chosen else ""
            line = _after(command, "ctest", f"--output-junit {report}{only}")
            return Invocation(command=line, format="ctest", report=report)
        case "meson":
            line = command + _quoted(tuple(name.rpartition(" / ")[2] for name in chosen))
            return Invocation(command=line, format="meson", report="*/meson-logs/testlog.junit.xml")
        case "phpunit":
            only = f" --filter {shlex.quote('/' + _any_of(chosen) + '/')}" if chosen else ""
            line = _after(command, "phpunit", f"--log-junit {report}{only}")
            return Invocation(command=line, format="phpunit", report=report)
        case "rspec":
            asking = f"--format progress --format json --out {report}"
            line = _after(command, "rspec", asking) + _rspec(chosen)
            return Invocation(command=line, format="rspec", report=report)
        case "minitest":
            # rake hands this to a shell.
            pattern = _any_of([name.rpartition("#")[2] for name in chosen])
            only = f" {shlex.quote(f'--name=/{pattern}/')}" if chosen else ""
            line = f"export TESTOPTS={shlex.quote('-v' + only)}\n{command}"
            return Invocation(command=line, format="minitest", report="")
        case "dotnet":
            only = "|".join(f"FullyQualifiedName={name}" for name in chosen)
            line = _after(command, r"dotnet\s+test", "--logger trx")
            line += f" --filter {shlex.quote(only)}" if chosen else ""
            return Invocation(command=line, format="trx", report="*/TestResults/*.trx")


def _kept_outside(scratch: str) -> str:
    return f"COVERAGE_FILE={scratch}/coverage HYPOTHESIS_STORAGE_DIRECTORY={scratch}/hypothesis"


def _pytest_plugin(report: str, scratch: str) -> str:
    """A plugin by environment reaches pytest through `make test`, tox and the like as well.

    No option is set: one that the project has switched off, or that another plugin reads
    otherwise, would change the run or stop it.
    """
    return (
        f"export PYTEST_PLUGINS={plugin_of(scratch)}${{PYTEST_PLUGINS:+,$PYTEST_PLUGINS}} "
        f'PATCHWRIGHT_TEST_REPORT={report} PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}{scratch}" '
        "TOX_OVERRIDE='testenv.pass_env+=PYTEST_*,PYTHON*,PATCHWRIGHT_TEST_REPORT' "
        f"{_kept_outside(scratch)}"
    )


def _pytest_options(report: str, scratch: str) -> str:
    """The XML report of pytest itself, by options that few projects forbid."""
    options = (
        f"--junitxml={report} -o junit_family=xunit1 -o junit_logging=no --rootdir=. "
        "--color=no --maxfail=0 --continue-on-collection-errors"
    )
    return (
        f"export PYTEST_ADDOPTS='{options}' TOX_OVERRIDE='testenv.pass_env+=PYTEST_*,PYTHON*' "
        f"{_kept_outside(scratch)}"
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
    call = re.sub(r"(go\s+test)(?=\s|$)", r"\1 -json", command, count=1)
    if not chosen:
        return call
    flags = [word for word in command.partition(" test")[2].split() if word.startswith("-")]
    head = " ".join(["go test -json", *map(shlex.quote, flags)])
    packages = sorted({name.split("::")[0] for name in chosen if "::" in name}) or ["./..."]
    patterns = sorted({_go_pattern(name.rpartition("::")[2]) for name in chosen})
    joined = patterns[0] if len(patterns) == 1 else "|".join(p.split("/")[0] for p in patterns)
    return f"{head} {' '.join(map(shlex.quote, packages))} -run {shlex.quote(joined)}"


def _go_pattern(test: str) -> str:
    return "/".join(f"^{re.escape(part)}$" for part in test.split("/"))


def _cargo(command: str, chosen: tuple[str, ...]) -> str:
    call = command if "--no-fail-fast" in command else _cargo_whole_run(command)
    if not chosen:
        return call
    names = " ".join(shlex.quote(name) for name in chosen)
    return f"{call} -- --exact {names}" if " -- " not in call else f"{call} --exact {names}"


def _cargo_whole_run(command: str) -> str:
    return re.sub(r"(cargo\s+(?:\+\S+\s+)?(?:test|t))(?=\s|$)", r"\1 --no-fail-fast", command)


def _after(command: str, runner: str, options: str) -> str:
    """The options right behind the runner's name: what follows may be for another program."""
    pattern = rf"((?:^|[\s/]){runner})(?=\s|$)"
    return re.sub(pattern, lambda found: f"{found[1]} {options}", command, count=1)


def _mocha(chosen: tuple[str, ...]) -> str:
    """Whole files by path, single tests by title (one regular expression for all)."""
    files = "".join(f" {shlex.quote(line)}" for line in chosen if "::" not in line)
    return files + _by_title(tuple(line for line in chosen if "::" in line), "-g")


def _node(chosen: tuple[str, ...]) -> str:
    files = sorted({line.split("::")[0] for line in chosen})
    titles = [line.split("::", 1)[1] for line in chosen if "::" in line]
    patterns = "".join(f" --test-name-pattern={shlex.quote(f'^{re.escape(t)}$')}" for t in titles)
    return patterns + "".join(f" {shlex.quote(path)}" for path in files)


def _ava(chosen: tuple[str, ...]) -> str:
    """Files by path; of a test all of its title that follows the file's own words."""
    files = "".join(f" {shlex.quote(name)}" for name in chosen if _AVA_FILE.search(name))
    titles = [name.split(" › ", 1)[-1] for name in chosen if not _AVA_FILE.search(name)]
    # A pattern's `*` and `!` have a meaning, and match themselves as a `*`.
    patterns = [re.sub(r"[*!]", "*", title) for title in titles]
    return files + "".join(f" --match={shlex.quote(p)}" for p in dict.fromkeys(patterns))


_AVA_FILE = re.compile(r"^\S+\.[cm]?[jt]sx?$")


def _quoted(chosen: Sequence[str]) -> str:
    return "".join(f" {shlex.quote(name)}" for name in chosen)


def _any_of(names: Sequence[str]) -> str:
    """A regular expression for exactly these names, as CMake, PCRE and Ruby read it."""
    escaped = (re.sub(r"([^\w\s#:@,;=!%&<>~\"'-])", r"\\\1", name) for name in names)
    return f"^({'|'.join(escaped)})$"


def _rspec(chosen: tuple[str, ...]) -> str:
    """Whole files by path, single examples by their full title in their files."""
    files = dict.fromkeys(_file(name) for name in chosen)
    titles = [name.split("::", 1)[1] for name in chosen if "::" in name]
    return _quoted(tuple(files)) + "".join(f" -e {shlex.quote(title)}" for title in titles)


def _file(name: str) -> str:
    return name.split("::")[0]


def _unformatted(command: str) -> str:
    """A command without the pipe into a program that makes TAP pleasant to read."""
    return re.sub(r"\|\s*(?:npx\s+)?[\w@./-]*(?:\btap|faucet)[\w-]*\s*$", "", command).rstrip()


def _jest(command: str, chosen: tuple[str, ...], report: str, *, vitest: bool) -> str:
    asking = f"--reporter=json --outputFile={report}" if vitest else f"--json --outputFile={report}"
    files = sorted({name.split("::")[0] for name in chosen})
    titles = tuple(name.split("::", 1)[1] for name in chosen if "::" in name)
    paths = "".join(f" {shlex.quote(path)}" for path in files)
    runner = r"vitest(?:\s+run)?" if vitest else "jest"
    return f"{_after(command, runner, asking)}{paths}{_by_title(titles, '-t')}"


def _by_title(names: tuple[str, ...], option: str) -> str:
    titles = [name.split("::", 1)[-1] for name in names]
    if not titles:
        return ""
    return f" {option} {shlex.quote('|'.join(f'^{re.escape(t)}$' for t in titles))}"
