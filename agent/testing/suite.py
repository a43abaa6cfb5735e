"""Running tests in a sandbox, with results per test and without a trace in the tree."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from agent.errors import AgentError
from agent.testing import detect as detecting
from agent.testing import projects
from agent.testing.javascript_reports import parse_bun, parse_deno, parse_playwright
from agent.testing.junit import MAX_BYTES, merge_results, parse_junit, parse_surefire
from agent.testing.projects import Part
from agent.testing.report import SuiteRun, TestResult
from agent.testing.reports import (
    cargo_is_complete,
    parse_cargo,
    parse_entered,
    parse_go,
    parse_jest,
    parse_mocha,
    parse_pytest,
)
from agent.testing.ruby_reports import parse_minitest, parse_rspec
from agent.testing.runners import PLUGIN, Invocation, in_tree, invocation, kind_of, plugin_of
from agent.testing.selection import quote_selection
from agent.testing.tap import parse_ava, parse_tap
from agent.testing.xml_reports import (
    parse_catch2,
    parse_ctest,
    parse_googletest,
    parse_meson,
    parse_nextest,
    parse_nose2,
    parse_phpunit,
    parse_sbt,
    parse_swift,
    parse_trx,
)
from sandbox.byte_text import to_text
from sandbox.errors import FileMissing, FileRefused
from sandbox.protocol import WORKDIR, CommandResult, Sandbox

_WATCHED = "PATCHWRIGHT_WATCHED"
_REPORTERS_AT = Path(__file__).with_name("reporters")
_CANNOT_RUN = (126, 127)
"""How shells say that a program cannot be run, or is not there."""
_IN_ONE_FILE = ("pytest", "junit", "node", "jest", "mocha", "tap", "ava", "ctest", "phpunit",
                "rspec", "nose2", "records", "bun", "deno", "playwright", "nextest",
                "catch2")  # fmt: skip
"""Formats of reports that stand in one file."""
_ALONE = {
    "junit": parse_junit,
    "ctest": parse_ctest,
    "phpunit": parse_phpunit,
    "nose2": parse_nose2,
    "catch2": parse_catch2,
}
"""How reports are read that say all there is to know."""
_IN_FILES = {
    "surefire": parse_surefire,
    "meson": parse_meson,
    "trx": parse_trx,
    "sbt": parse_sbt,
}
"""How reports are read that stand in files of the tree."""
_REPORTERS: Mapping[str, tuple[str, ...]] = {
    "unittest": ("unittest_report.py",),
    "django": ("unittest_report.py",),
    "jasmine": ("jasmine_report.cjs",),
    "uvu": ("uvu_report.cjs",),
    "exunit": ("exunit_report.exs",),
}
"""Programs of ours that a runner loads, by its kind."""
_MAX_FILES = 50_000
_MAX_REPORTS = 2000
_MOST_ALONE = 20
"""Reports with one case each that are read before the rest are taken to be like them."""


class NoTests(AgentError):
    """The repository has no tests that could be found."""


class TestsCannotRun(AgentError):
    """The test command names a program that is not in the sandbox or cannot be run."""

    __test__ = False

    def __init__(self, command: str, output: str) -> None:
        why = why_not_started(output)
        super().__init__(
            f"The test command `{command}` cannot be run in the sandbox ({why}). Name another with "
            "--test-command or `test_command` in .github/patchwright.yml, or install what it needs."
        )


def why_not_started(output: str) -> str:
    """The runner's own words about why no test ran; at most 300 characters.

    pytest says first how it is used, then what is wrong, then what could be done.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(?:\S*: )?\S*(?:ERROR|[Ee]rror)", line)]
    telling = [line for line in errors if not re.match(r"(?:ERROR: )?usage:", line)]
    return " ".join(" ".join(telling[:2] or lines[-2:] or ["it printed nothing"]).split())[:300]


def cannot_start(run: SuiteRun) -> bool:
    """Whether a run ended before any test, for a reason that no change of the code removes.

    A program that is not there; options or plugins that pytest does not know, or an error of its
    own (2 to 4); a time limit that was reached without one result.
    """
    parts = run.parts or (run,)
    return all(not part.results and _failed_before_tests(part) for part in parts)


def _failed_before_tests(run: SuiteRun) -> bool:
    if run.timed_out or run.exit_code in _CANNOT_RUN:
        return True
    return kind_of(run.command) == "pytest" and run.exit_code in (2, 3, 4)


async def list_files(sandbox: Sandbox) -> tuple[str, ...]:
    """The tree's regular files, without what tools install or generate; sorted."""
    skipped = (".git", "node_modules", ".venv", "venv", ".tox", "__pycache__", "target")
    prune = " -o ".join(f"-name {name}" for name in skipped)
    found = await sandbox.run(
        f"(cd {WORKDIR} && find . -type d \\( {prune} \\) -prune -o -type f -print "
        f"| head -n {_MAX_FILES})"
    )
    return tuple(sorted(line[2:] for line in found.text.splitlines() if line.startswith("./")))


async def read_text(sandbox: Sandbox, path: str) -> str | None:
    """A file's text, or None if there is no such regular file (of at most 1 MiB)."""
    try:
        data = await sandbox.read(path, max_bytes=1024**2)
    except (FileMissing, FileRefused):
        return None
    return to_text(data)


async def find_test_command(sandbox: Sandbox) -> str:
    """The command that runs the repository's tests. Raises `NoTests`."""
    files = await list_files(sandbox)
    contents = {
        path: text
        for path in detecting.files_to_read(files)
        if (text := await read_text(sandbox, path)) is not None
    }
    probe = await sandbox.run("python3 -c 'import pytest' 2>/dev/null")
    has_nextest = False
    if any(path.endswith(detecting.NEXTEST_SETTINGS) for path in files):
        asked = await sandbox.run("(cd / && cargo nextest --version) >/dev/null 2>&1")
        has_nextest = asked.ok
    command = detecting.detect(files, contents, have_pytest=probe.ok, have_nextest=has_nextest)
    if command is None:
        raise NoTests(
            "No tests were found in the repository. Name the command that runs them with "
            "--test-command or `test_command` in .github/patchwright.yml."
        )
    return command


async def run_suite(
    sandbox: Sandbox,
    command: str,
    selection: str = "",
    timeout_s: float = 600,
    watched: Sequence[str] = (),
    *,
    fixed_hashes: bool = False,
) -> SuiteRun:
    """Run a test command on a selection (empty: all) and read what became of each test.

    `watched`: Python files of which the run says which functions each test entered, where pytest
    runs in one process; that makes it slower. `fixed_hashes`: Python's sets have the same order in
    each run, so that the names of cases made from a set mean the same in two runs.

    The command runs in a separate shell at the root of the tree, so nothing of it stays in the
    persistent one; one for several projects (`agent.testing.projects`) runs each in its folder.
    Files that it leaves in the tree are removed again and results are written outside, under a name
    that only this run knows. The tests' own process can still write what it likes there: results
    are as trustworthy as the code under test.
    """
    variables = {"PYTHONHASHSEED": "0"} if fixed_hashes else {}
    if watched:
        variables[_WATCHED] = ":".join((WORKDIR, *watched))
    parts = projects.split(command)
    shown = _as_typed(command, selection)
    runs = [
        await _run_part(sandbox, part, own, timeout_s, variables)
        for part, own in projects.route(parts, selection)
    ]
    if len(runs) == 1:
        run = runs[0]
        results = tuple(projects.named_from_root(result, run.folder) for result in run.results)
        return run.model_copy(update={"command": shown, "results": results})
    named = [
        run.model_copy(
            update={"results": tuple(projects.named_from_root(r, run.folder) for r in run.results)}
        )
        for run in runs
    ]
    return projects.combine_runs(shown, named)


async def _run_part(
    sandbox: Sandbox, part: Part, selection: str, timeout_s: float, variables: Mapping[str, str]
) -> SuiteRun:
    """One project's tests; once more in another way where nothing could be read.

    A run that cannot load our plugin is asked for the runner's own report instead; one that ends
    badly without any result, bare, so that what is said about it is true without us.
    """
    run = await _run_once(sandbox, part, selection, timeout_s, variables)
    if run.results or run.timed_out or kind_of(part.command) not in ("pytest", "tox", "other"):
        return run
    if PLUGIN in run.output:
        run = await _run_once(sandbox, part, selection, timeout_s, variables, "options")
    if run.results or kind_of(part.command) == "other" or run.exit_code in (0, 5, 126, 127, None):
        return run
    bare = await _run_once(sandbox, part, selection, timeout_s, variables, "bare")
    return run if bare.exit_code == run.exit_code else bare


async def _run_once(
    sandbox: Sandbox,
    part: Part,
    selection: str,
    timeout_s: float,
    variables: Mapping[str, str],
    how: Literal["plugin", "options", "bare"] = "plugin",
) -> SuiteRun:
    scratch = f"/tmp/tests-{secrets.token_hex(12)}"  # noqa: S108 - in the sandbox, unguessable
    call = invocation(part.command, selection, scratch, plugin=how == "plugin")
    line = _as_typed(part.command, quote_selection(selection)) if how == "bare" else call.command
    for name in _REPORTERS.get(kind_of(part.command), ()):
        await sandbox.write(f"{scratch}/{name}", (_REPORTERS_AT / name).read_bytes())
    if call.format == "pytest":
        await sandbox.write(
            f"{scratch}/{plugin_of(scratch)}.py", (_REPORTERS_AT / "pytest_report.py").read_bytes()
        )
    exports = "".join(f"export {n}={shlex.quote(v)}\n" for n, v in variables.items())
    before = await sandbox.snapshot()
    command = in_tree(f"{exports}{line}", f"touch {scratch}/start", part.folder)
    if call.format in _IN_ONE_FILE:
        command = _told_through_a_pipe(command, call.report)
    ran = await sandbox.run(f"mkdir -p {scratch}\n{command}", timeout_s=timeout_s)
    report = b""
    if call.format in _IN_ONE_FILE:
        report = await _told(sandbox, call, ran)
    results, output, complete = await _results(sandbox, call, ran, report, scratch, part.folder)
    if call.googletest:
        results = await _with_cases(sandbox, call.googletest, part, ran, results)
    if call.own_junit and not results:
        told = await asyncio.to_thread(parse_junit, await _report(sandbox, call.own_junit))
        results = _with_whole(part, ran, told)
    entered = parse_entered(report) if _WATCHED in variables else None
    # Not by a diff: what tests leave may be large.
    if await sandbox.snapshot() != before:
        await sandbox.restore(before)
    await sandbox.run(f"rm -rf {scratch}")
    return SuiteRun(
        command=part.command,
        exit_code=ran.exit_code,
        output=output,
        results=results,
        timed_out=ran.timed_out,
        duration_s=ran.duration_s,
        complete=complete,
        folder=part.folder,
        entered=entered,
    )


async def _results(
    sandbox: Sandbox,
    call: Invocation,
    ran: CommandResult,
    report: bytes,
    scratch: str,
    folder: str,
) -> tuple[tuple[TestResult, ...], str, bool]:
    """Results per test, what the run printed, and whether the runner went through all of it."""
    match call.format:
        case "pytest":
            results, complete = await asyncio.to_thread(parse_pytest, report)
            return results, ran.text, complete or not results
        case "records":
            plain = report.replace(f'"{WORKDIR}/'.encode(), b'"')
            results, complete = await asyncio.to_thread(parse_pytest, plain)
            return results, ran.text, complete or not results
        case "go":
            return *(await asyncio.to_thread(parse_go, ran.text)), True
        case "cargo":
            return parse_cargo(ran.text), ran.text, cargo_is_complete(ran.text)
        case "surefire" | "meson" | "trx" | "sbt":
            parse = _IN_FILES[call.format]
            return await _in_files(sandbox, parse, call.report, scratch, folder), ran.text, True
        case "ctest" | "phpunit" | "junit" | "nose2" | "catch2":
            return await asyncio.to_thread(_ALONE[call.format], report), ran.text, True
        case "nextest":
            results = await asyncio.to_thread(parse_nextest, report)
            if not results:
                # The repository's own settings name another file.
                where = "*/nextest/*/*.xml"
                results = await _in_files(sandbox, parse_nextest, where, scratch, folder)
            return results, ran.text, True
        case "swift":
            both = [
                await asyncio.to_thread(parse_swift, await _report(sandbox, path))
                for path in (call.report, call.report.replace(".xml", "-swift-testing.xml"))
            ]
            return merge_results(result for one in both for result in one), ran.text, True
        case "bun":
            return await asyncio.to_thread(parse_bun, report, ran.text), ran.text, True
        case "deno":
            return await asyncio.to_thread(parse_deno, report, ran.text), ran.text, True
        case "playwright":
            return await asyncio.to_thread(parse_playwright, report, WORKDIR), ran.text, True
        case "rspec":
            results, complete = await asyncio.to_thread(parse_rspec, report)
            return results, ran.text, complete
        case "minitest":
            return await asyncio.to_thread(parse_minitest, ran.text), ran.text, True
        case "node":
            plain = report.replace(f'"{WORKDIR}/'.encode(), b'"')
            return await asyncio.to_thread(parse_junit, plain), ran.text, True
        case "jest":
            return await asyncio.to_thread(parse_jest, report, WORKDIR), ran.text, True
        case "mocha":
            results = await asyncio.to_thread(parse_mocha, report, WORKDIR, ran.text)
            return results, ran.text, True
        case "tap":
            results, complete = await asyncio.to_thread(parse_tap, report)
            return results, ran.text, complete or not results
        case "ava":
            results, complete = await asyncio.to_thread(parse_ava, report)
            return results, ran.text, complete or not results


async def _in_files(
    sandbox: Sandbox,
    parse: Callable[[bytes], tuple[TestResult, ...]],
    pattern: str,
    scratch: str,
    folder: str,
) -> tuple[TestResult, ...]:
    reports = [
        await asyncio.to_thread(parse, await _report(sandbox, path))
        for path in await _new_files(sandbox, pattern, scratch, folder)
    ]
    return merge_results(result for report in reports for result in report)


async def _with_cases(
    sandbox: Sandbox,
    folder: str,
    part: Part,
    ran: CommandResult,
    results: tuple[TestResult, ...],
) -> tuple[TestResult, ...]:
    """With what became of the cases in programs that are made with GoogleTest.

    Such a program may be a single test to CTest, or a step of `make check`; that command as a whole
    is a test as well then, since its other steps may fail.
    """
    if results and kind_of(part.command) == "other":
        return results
    listed = await sandbox.run(f"find {folder} -name '*.xml' 2>/dev/null | head -n {_MAX_REPORTS}")
    paths = sorted(listed.text.splitlines())
    programs = {PurePosixPath(path).stem for path in paths}
    found: list[TestResult] = []
    alone = 0
    for path in paths:
        stem = PurePosixPath(path).stem
        # A program that is called again writes into another file with a number.
        first = re.sub(r"_\d+$", "", stem)
        program = first if first in programs else stem
        report = await _report(sandbox, path)
        cases = await asyncio.to_thread(parse_googletest, report, program)
        if results and len(cases) == 1:
            # CTest knows each case, and calls the program for each by itself.
            alone += 1
            if alone == _MOST_ALONE:
                break
            continue
        found += cases
    if found and not results:
        return _with_whole(part, ran, found)
    return merge_results((*results, *found))


def _with_whole(
    part: Part, ran: CommandResult, cases: Sequence[TestResult]
) -> tuple[TestResult, ...]:
    """The cases that a command told of, and the command as a whole: its other steps may fail."""
    if not cases:
        return ()
    passed = ran.exit_code == 0 and not ran.timed_out
    whole = TestResult(name=part.command, outcome="passed" if passed else "failed")
    return merge_results((whole, *cases))


def _told_through_a_pipe(command: str, report: str) -> str:
    """A command whose report is a pipe: what was written there can be added to, never changed.

    It is kept in the memory of a shell that runs none of the tests until the command has ended (or
    all is over: the byte 4). Another copy is for runs that the time limit stops.
    """
    return (
        f"(mkfifo {report} || exit 1\n"
        f"tee {report}-partly <{report} 2>/dev/null | "
        f"{{ IFS= read -r -d $'\\004' told; printf %s \"$told\" >{report}-whole; }} &\n"
        f"exec 8>{report}\n{command} 8>&-\nstatus=$?\n"
        "printf '\\004' >&8; exec 8>&-; wait $!; exit $status)"
    )


async def _told(sandbox: Sandbox, call: Invocation, ran: CommandResult) -> bytes:
    """What came through the pipe; what is in the file that a runner put in the pipe's place."""
    told = await _report(sandbox, f"{call.report}-{'partly' if ran.timed_out else 'whole'}")
    ours = call.format in ("pytest", "junit")
    return told if told or ours else await _report(sandbox, call.report)


async def _report(sandbox: Sandbox, path: str) -> bytes:
    try:
        return await sandbox.read(path, max_bytes=MAX_BYTES)
    except (FileMissing, FileRefused):
        return b""


async def _new_files(sandbox: Sandbox, pattern: str, scratch: str, folder: str) -> list[str]:
    where = shlex.quote(WORKDIR if folder == "." else f"{WORKDIR}/{folder}")
    found = await sandbox.run(
        f"find {where} -path {shlex.quote(pattern)} -newer {scratch}/start | head -n {_MAX_REPORTS}"
    )
    return found.text.splitlines()


def _as_typed(command: str, selection: str) -> str:
    """The command as a person would type it."""
    return f"{command} {selection}".strip()
