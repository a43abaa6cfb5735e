"""Test runners: which one a command calls, and how it is asked for results per test.

Sources: the documentation of pytest (`PYTEST_PLUGINS`, `--junitxml`), Node (`--test-reporter`),
`go help test` (`-json`), Jest and Vitest (`--json`, `--reporter=json`, `--outputFile`), Mocha (JSON
reporter), `cargo test` (libtest's text), Maven Surefire and Gradle (XML reports in the build
folder), node-tap (`--output-file`), tape (it prints TAP), AVA (`--tap`, `--match`), CTest
(`--output-junit`), Meson, PHPUnit (`--log-junit`), RSpec (`--format json`), rake's `TESTOPTS` with
Minitest and test-unit, `dotnet test` (`--logger trx`), nose2 (its JUnit XML plugin), Jasmine
(`--reporter`), uvu (its source), `bun test` and `deno test` (JUnit XML), Playwright (JSON
reporter), cargo-nextest (`--tool-config-file`), sbt (XML below `test-reports`), Pest
(`--log-junit`), GoogleTest (`GTEST_OUTPUT`, `GTEST_FILTER`), Catch2 (`--reporter junit`), ExUnit
(`--formatter`), Swift's package manager (`--xunit-output`).
"""

from __future__ import annotations

import re
import shlex
from typing import Literal

from agent.model import Record
from agent.testing import arguments
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
    "django",
    "nose2",
    "jasmine",
    "uvu",
    "bun",
    "deno",
    "playwright",
    "nextest",
    "sbt",
    "pest",
    "catch2",
    "exunit",
    "swift",
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
    "nose2",
    "records",
    "bun",
    "deno",
    "playwright",
    "nextest",
    "sbt",
    "catch2",
    "swift",
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
    ("django", arguments.DJANGO),
    ("nose2", r"(?:^|[\s/])nose2(?=\s|$)"),
    ("vitest", r"(?:^|[\s/])vitest(?=\s|$)"),
    ("jest", r"(?:^|[\s/])jest(?=\s|$)"),
    ("mocha", r"(?:^|[\s/])mocha(?=\s|$)"),
    ("node", r"(?:^|[\s/])node\s(?:\S+\s+)*?--test(?=\s|$)"),
    ("tape", r"(?:^|[\s/])tape(?=\s|$)"),
    ("tap", r"(?:^|[\s/])tap(?=\s|$)"),
    ("ava", r"(?:^|[\s/])ava(?=\s|$)"),
    ("jasmine", r"(?:^|[\s/])jasmine(?=\s|$)"),
    ("uvu", r"(?:^|[\s/])uvu(?=\s|$)"),
    ("playwright", r"(?:^|[\s/])playwright\s+test(?=\s|$)"),
    ("bun", r"(?:^|[\s/])bun\s+test(?=\s|$)"),
    ("deno", r"(?:^|[\s/])deno\s+test(?=\s|$)"),
    ("go", r"(?:^|\s)go\s+test(?=\s|$)"),
    ("cargo", r"(?:^|\s)cargo\s+(?:\+\S+\s+)?(?:test|t)(?=\s|$)"),
    ("nextest", r"(?:^|\s)cargo\s+(?:\+\S+\s+)?nextest\s+(?:run|r)(?=\s|$)"),
    ("maven", r"(?:^|[\s/])mvnw?(?=\s|$)"),
    ("gradle", r"(?:^|[\s/])gradlew?(?=\s|$)"),
    ("sbt", r"(?:^|[\s/])sbtx?(?=\s|$)"),
    ("ctest", r"(?:^|[\s/])ctest(?=\s|$)"),
    ("meson", r"(?:^|[\s/])meson\s+test(?=\s|$)"),
    ("phpunit", r"(?:^|[\s/])(?:phpunit|artisan\s+test)(?=\s|$)"),
    ("pest", r"(?:^|[\s/])pest(?=\s|$)"),
    ("rspec", r"(?:^|[\s/])rspec(?=\s|$)"),
    ("minitest", r"(?:^|[\s/])rake\s+test(?=\s|$)"),
    ("dotnet", r"(?:^|[\s/])dotnet\s+test(?=\s|$)"),
    ("exunit", r"(?:^|[\s/])mix\s+test(?=\s|$)"),
    ("swift", r"(?:^|[\s/])swift\s+test(?=\s|$)"),
    ("catch2", rf"\s{arguments.CATCH2_REPORTER}(?=\s|$)"),
)


class Invocation(Record):
    """How to run a test command so that it says what became of each test."""

    command: str
    format: Format
    report: str
    """Where the results will be: a file; for `surefire`, `meson`, `sbt` and `trx` a path pattern
    for `find`; empty for `go`, `cargo` and `minitest`, as they write to standard output."""
    googletest: str = ""
    """The folder into which programs made with GoogleTest write a report each; empty: none do."""
    own_junit: str = ""
    """The file into which a command that is not known may write JUnit XML; empty: it is known."""


def kind_of(command: str) -> Kind:
    """Which runner a command calls. What cannot be told (`make test`) is `other`."""
    return next((kind for kind, pattern in _CALLS if re.search(pattern, command)), "other")


_TITLED = (
    *("jest", "vitest", "mocha", "node", "tap", "tape", "ava"),
    *("ctest", "meson", "phpunit", "rspec", "minitest", "dotnet"),
    *("jasmine", "uvu", "bun", "deno", "playwright", "nextest", "sbt", "pest", "catch2", "exunit"),
)
"""Runners whose names of tests hold spaces."""

OWN_JUNIT = "PATCHWRIGHT_JUNIT"
"""The variable that tells a command which file it may write JUnit XML into."""
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
            if kind == "other" and chosen and all(map(arguments.is_googletest, chosen)):
                selection = ""
            separator = " --" if chosen and kind == "tox" else ""
            call = f"{bare}{separator} {selecting.quote_selection(selection)}".rstrip()
            if not plugin:
                line = f"{_pytest_options(report, scratch)}\n{call}"
                return Invocation(command=line, format="junit", report=report)
            line = f"{_pytest_plugin(report, scratch)}\n{call}"
            if kind != "other":
                return Invocation(command=line, format="pytest", report=report)
            folder = f"{scratch}/googletest"
            own = f"{scratch}/junit.xml"
            line = f"export {OWN_JUNIT}={own}\n{arguments.googletest(folder, chosen)}\n{line}"
            return Invocation(
                command=line, format="pytest", report=report, googletest=folder, own_junit=own
            )
        case "unittest":
            return Invocation(
                command=_unittest(command, chosen, report, scratch), format="junit", report=report
            )
        case "go":
            line = arguments.go(command, chosen)
            return Invocation(command=line, format="go", report="")
        case "cargo":
            return Invocation(command=arguments.cargo(command, chosen), format="cargo", report="")
        case "jest" | "vitest":
            line = arguments.jest(command, chosen, report, vitest=kind == "vitest")
            return Invocation(command=line, format="jest", report=report)
        case "mocha":
            own = re.sub(r"\s(?:--reporter|-R)[= ]\S+", "", command)
            line = arguments.after(
                own, "mocha", f"--reporter json --reporter-options output={report}"
            )
            return Invocation(command=line + arguments.mocha(chosen), format="mocha", report=report)
        case "node":
            asking = f"--test-reporter=junit --test-reporter-destination={report}"
            line = re.sub(r"--test(?=\s|$)", f"--test {asking}", command, count=1)
            return Invocation(command=line + arguments.node(chosen), format="node", report=report)
        case "tap":
            files = "".join(
                f" {shlex.quote(f)}" for f in dict.fromkeys(map(arguments.file, chosen))
            )
            line = arguments.after(command, "tap", f"--output-file={report}") + files
            return Invocation(command=line, format="tap", report=report)
        case "tape":
            # It takes neither titles nor, beside its own patterns, files: all of it runs.
            line = f"set -o pipefail; {{ {arguments.unformatted(command)}\n}} | tee {report}"
            return Invocation(command=line, format="tap", report=report)
        case "ava":
            call = arguments.after(command, "ava", "--tap") + arguments.ava(chosen)
            line = f"set -o pipefail; {{ {call}\n}} | tee {report}"
            return Invocation(command=line, format="ava", report=report)
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
            # A case of a program that is one test to CTest is chosen within it.
            whole = not chosen or any(map(arguments.is_googletest, chosen))
            only = "" if whole else f" -R {shlex.quote(arguments.any_of(chosen))}"
            line = arguments.after(command, "ctest", f"--output-junit {report}{only}")
            folder = f"{scratch}/googletest"
            line = f"{arguments.googletest(folder, chosen)}\n{line}"
            return Invocation(command=line, format="ctest", report=report, googletest=folder)
        case "meson":
            line = command + arguments.quoted(tuple(name.rpartition(" / ")[2] for name in chosen))
            return Invocation(command=line, format="meson", report="*/meson-logs/testlog.junit.xml")
        case "phpunit" | "pest":
            only = (
                f" --filter {shlex.quote('/' + arguments.any_of(chosen) + '/')}" if chosen else ""
            )
            line = arguments.after(
                command, r"(?:phpunit|artisan\s+test|pest)", f"--log-junit {report}{only}"
            )
            return Invocation(command=line, format="phpunit", report=report)
        case "rspec":
            asking = f"--format progress --format json --out {report}"
            line = arguments.after(command, "rspec", asking) + arguments.rspec(chosen)
            return Invocation(command=line, format="rspec", report=report)
        case "minitest":
            # rake hands this to a shell.
            pattern = arguments.any_of([name.rpartition("#")[2] for name in chosen])
            only = f" {shlex.quote(f'--name=/{pattern}/')}" if chosen else ""
            line = f"export TESTOPTS={shlex.quote('-v' + only)}\n{command}"
            return Invocation(command=line, format="minitest", report="")
        case "dotnet":
            only = "|".join(f"FullyQualifiedName={name}" for name in chosen)
            line = arguments.after(command, r"dotnet\s+test", "--logger trx")
            line += f" --filter {shlex.quote(only)}" if chosen else ""
            return Invocation(command=line, format="trx", report="*/TestResults/*.trx")
        case "django":
            line = arguments.django(command, chosen, f"{scratch}/unittest_report.py {report}")
            return Invocation(command=line, format="junit", report=report)
        case "nose2":
            asking = f"--plugin nose2.plugins.junitxml --junit-xml --junit-xml-path {report}"
            line = arguments.after(command, "nose2", asking) + arguments.quoted(chosen)
            return Invocation(command=line, format="nose2", report=report)
        case "jasmine":
            asking = f"--reporter={scratch}/jasmine_report.cjs"
            line = arguments.after(command, "jasmine", asking) + arguments.jasmine(chosen)
            line = f"export PATCHWRIGHT_TEST_REPORT={report}\n{line}"
            return Invocation(command=line, format="records", report=report)
        case "uvu":
            line = f"{arguments.uvu(chosen, f'{scratch}/uvu_report.cjs')}\n{command}"
            line = f"export PATCHWRIGHT_TEST_REPORT={report}\n{line}"
            return Invocation(command=line, format="records", report=report)
        case "playwright":
            own = re.sub(r"\s--reporter[= ]\S+", "", command)
            line = arguments.after(own, r"playwright\s+test", "--reporter=list,json")
            line = f"export PLAYWRIGHT_JSON_OUTPUT_NAME={report}\n{line}"
            line += arguments.playwright(chosen)
            return Invocation(command=line, format="playwright", report=report)
        case "bun":
            asking = f"--reporter=junit --reporter-outfile={report}"
            line = arguments.after(command, r"bun\s+test", asking) + arguments.bun(chosen)
            return Invocation(command=line, format="bun", report=report)
        case "deno":
            line = arguments.after(command, r"deno\s+test", f"--junit-path={report}")
            line = f"export NO_COLOR=1\n{line}{arguments.deno(chosen)}"
            return Invocation(command=line, format="deno", report=report)
        case "nextest":
            line = arguments.nextest(command, chosen, f"{scratch}/nextest.toml", report)
            return Invocation(command=line, format="nextest", report=report)
        case "sbt":
            line = arguments.sbt(command, chosen)
            return Invocation(command=line, format="sbt", report="*/target/*test-reports/*.xml")
        case "catch2":
            line = arguments.catch2(command, chosen, report)
            return Invocation(command=line, format="catch2", report=report)
        case "exunit":
            line = arguments.exunit(command, chosen, f"{scratch}/exunit_report.exs")
            line = f"export PATCHWRIGHT_TEST_REPORT={report}\n{line}"
            return Invocation(command=line, format="records", report=report)
        case "swift":
            # Without --parallel nothing is written of XCTest's tests.
            only = "".join(f" --filter {shlex.quote(f'^{re.escape(n)}(?:$|/)')}" for n in chosen)
            asking = f"--parallel --xunit-output {report}.xml{only}"
            line = arguments.after(command, r"swift\s+test", asking)
            return Invocation(command=line, format="swift", report=f"{report}.xml")


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
    return re.sub(r"\s--(?:junit-?xml[= ]|gtest_output=)\S+", "", command)


def _unittest(command: str, chosen: tuple[str, ...], report: str, scratch: str) -> str:
    """The same unittest call through a program that writes JUnit XML (`unittest_report.py`)."""
    calling = f"{shlex.quote(scratch + '/unittest_report.py')} {report}"
    replaced = re.sub(r"-m\s+unittest(?=\s|$)", lambda _: calling, command, count=1)
    if not chosen:
        return replaced
    before, _, _ = replaced.partition(calling)
    return f"{before}{calling} " + " ".join(shlex.quote(name) for name in chosen)
