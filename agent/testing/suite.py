"""Running tests in a sandbox, with results per test and without a trace in the tree."""

from __future__ import annotations

import secrets
import shlex
from pathlib import Path, PurePosixPath

from agent.errors import AgentError
from agent.testing import detect as detecting
from agent.testing.junit import MAX_BYTES, merged, parse_junit, parse_surefire
from agent.testing.report import SuiteRun, TestResult
from agent.testing.reports import parse_cargo, parse_go, parse_jest, parse_mocha
from agent.testing.runners import Invocation, in_tree, invocation, kind_of
from sandbox.errors import FileMissing, FileRefused
from sandbox.protocol import WORKDIR, CommandResult, Sandbox

_UNITTEST_REPORT = Path(__file__).with_name("unittest_report.py")
_MAX_FILES = 50_000
_MAX_TEST_FILES_READ = 200
_MAX_REPORTS = 2000


class NoTests(AgentError):
    """The repository has no tests that could be found."""


class TestsCannotRun(AgentError):
    """The test command names a program that is not in the sandbox or cannot be run."""

    __test__ = False

    def __init__(self, command: str, output: str) -> None:
        last = " ".join(output.split())[-300:]
        super().__init__(
            f"The test command `{command}` cannot be run in the sandbox ({last}). Name another "
            "with --test-command or `test_command` in .github/patchwright.yml, or install what "
            "it needs."
        )


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
    return data.decode("utf-8", errors="replace")


async def find_test_command(sandbox: Sandbox) -> str:
    """The command that runs the repository's tests. Raises `NoTests`."""
    files = await list_files(sandbox)
    wanted = [f for f in detecting.MANIFESTS if f in files]
    tests = detecting.python_tests(files)[:_MAX_TEST_FILES_READ]
    packages = {f"{PurePosixPath(f).parent}/__init__.py" for f in tests} & set(files)
    contents = {
        path: text
        for path in (*wanted, *tests, *sorted(packages))
        if (text := await read_text(sandbox, path)) is not None
    }
    probe = await sandbox.run("python3 -c 'import pytest' 2>/dev/null")
    command = detecting.detect(files, contents, have_pytest=probe.ok)
    if command is None:
        raise NoTests(
            "No tests were found in the repository. Name the command that runs them with "
            "--test-command or `test_command` in .github/patchwright.yml."
        )
    return command


async def run_suite(
    sandbox: Sandbox, command: str, selection: str = "", timeout_s: float = 600
) -> SuiteRun:
    """Run a test command on a selection (empty: all) and read what became of each test.

    The command runs in a shell of its own at the root of the tree, so nothing of it stays in the
    persistent one. Files that it leaves in the tree are removed again and results are written
    outside, under a name that only this run knows. The tests' own process can still write what
    it likes there: results are as trustworthy as the code under test.
    """
    scratch = f"/tmp/tests-{secrets.token_hex(12)}"  # noqa: S108 - in the sandbox, unguessable
    asked = invocation(command, selection, scratch)
    if kind_of(command) == "unittest":
        await sandbox.write(f"{scratch}/unittest_report.py", _UNITTEST_REPORT.read_bytes())
    before = await sandbox.snapshot()
    ran = await sandbox.run(
        in_tree(asked.command, f"mkdir -p {scratch} && touch {scratch}/start"),
        timeout_s=timeout_s,
    )
    results, output = await _results(sandbox, asked, ran, scratch)
    # Not by a diff: what tests leave may be large.
    if await sandbox.snapshot() != before:
        await sandbox.restore(before)
    await sandbox.run(f"rm -rf {scratch}")
    return SuiteRun(
        command=_shown(command, selection),
        exit_code=ran.exit_code,
        output=output,
        results=results,
        timed_out=ran.timed_out,
        duration_s=ran.duration_s,
    )


async def _results(
    sandbox: Sandbox, asked: Invocation, ran: CommandResult, scratch: str
) -> tuple[tuple[TestResult, ...], str]:
    match asked.format:
        case "go":
            return parse_go(ran.text)
        case "cargo":
            return parse_cargo(ran.text), ran.text
        case "surefire":
            reports = [
                parse_surefire(await _report(sandbox, path))
                for path in await _new_files(sandbox, asked.report, scratch)
            ]
            return merged(result for report in reports for result in report), ran.text
        case "junit":
            return parse_junit(await _report(sandbox, asked.report)), ran.text
        case "jest":
            return parse_jest(await _report(sandbox, asked.report), WORKDIR), ran.text
        case "mocha":
            return parse_mocha(await _report(sandbox, asked.report), WORKDIR), ran.text


async def _report(sandbox: Sandbox, path: str) -> bytes:
    try:
        return await sandbox.read(path, max_bytes=MAX_BYTES)
    except (FileMissing, FileRefused):
        return b""


async def _new_files(sandbox: Sandbox, pattern: str, scratch: str) -> list[str]:
    found = await sandbox.run(
        f"find {WORKDIR} -path {shlex.quote(pattern)} -newer {scratch}/start | "
        f"head -n {_MAX_REPORTS}"
    )
    return found.text.splitlines()


def _shown(command: str, selection: str) -> str:
    """The command as a person would type it."""
    return f"{command} {selection}".strip()
