"""Running things on one side of a patch, in a sandbox, and saying what they did."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from agent.errors import AgentError
from agent.gate.chance import (
    MOST_RUNS,
    ONE_OF_TWENTY,
    RUNS_IF_FLAKY,
    passes_needed,
    steady_runs,
)
from agent.gate.compare import ReproductionRun
from agent.gate.regression_test import Placement
from agent.journal.events import ReproductionDeclared
from agent.testing.report import SuiteRun
from agent.testing.runners import in_tree, kind_of
from agent.testing.suite import run_suite
from agent.testing.vacuous import why_vacuous
from sandbox.byte_text import to_bytes
from sandbox.errors import FileRefused
from sandbox.protocol import Sandbox

_KILLED = re.compile(r"killed after [\d.]+ s")


class CannotWrite(AgentError):
    """A file of the reproduction cannot be written into the tree."""


async def write_files(sandbox: Sandbox, files: Mapping[str, str], *, exact: bool = False) -> None:
    """Write files as the journal has them. Raises `CannotWrite`.

    `exact`: the texts are of files of the tree, in whatever encoding (`sandbox.byte_text`).
    """
    for path, text in files.items():
        try:
            data = to_bytes(text) if exact else text.encode("utf-8", errors="surrogateescape")
            await sandbox.write(path, data)
        except FileRefused as error:
            raise CannotWrite(f"A file of the reproduction cannot be written: {error}") from error


async def run_before(
    sandbox: Sandbox,
    declared: ReproductionDeclared,
    timeout_s: float,
    share: float = ONE_OF_TWENTY,
) -> ReproductionRun:
    """Run the reproduction without the patch; more often if it does not always fail.

    `share`: of the chance that luck alone makes a proof (`agent.gate.chance`).
    """
    steady = steady_runs(share)
    first = await run_reproduction(sandbox, declared, steady, timeout_s)
    if first.as_claimed in (0, steady):
        tests = await _failing_tests(sandbox, declared, timeout_s) if first.as_claimed else ()
        return first.model_copy(update={"tests": tests})
    more = await run_reproduction(sandbox, declared, RUNS_IF_FLAKY - steady, timeout_s)
    return ReproductionRun(
        runs=first.runs + more.runs,
        as_claimed=first.as_claimed + more.as_claimed,
        passed=first.passed + more.passed,
        output=first.output,
    )


def runs_needed(before: ReproductionRun, share: float = ONE_OF_TWENTY) -> int:
    """How often the reproduction is run with the patch; too seldom where luck cannot be excluded.

    That it must pass each time, and whether that is enough, `reproduction_check` says.
    """
    return min(MOST_RUNS, passes_needed(before.runs, before.as_claimed, share))


async def run_reproduction(
    sandbox: Sandbox,
    declared: ReproductionDeclared,
    times: int,
    timeout_s: float,
    *,
    until_it_fails: bool = False,
    tests: Collection[str] = (),
) -> ReproductionRun:
    """Run the reproduction several times; its files are rewritten before each run.

    `tests` must be among the results of the last run, and pass: an exit status alone can come from
    code that ends the process.
    """
    as_claimed = passed = done = 0
    told = last = ""
    for number in range(times):
        await write_files(sandbox, declared.files)
        named = tests if number == times - 1 else ()
        run = await _once(sandbox, declared.command, timeout_s, by_test=bool(named))
        done += 1
        failed = run.failed
        empty = failed and why_vacuous(run.command, run.exit_code, run.output)
        claimed = failed and not empty and says_expected_words(run, declared.expected_failure)
        lost = [test for test in named if run.outcomes.get(test) != "passed"]
        good = not failed and _ran_tests(run) and not lost
        as_claimed, passed = as_claimed + claimed, passed + good
        last = (
            run.output if good or failed else f"{run.output}\n[no test ran, or some were skipped]"
        )
        told = told or (last if claimed or not good else "")
        if until_it_fails and not good:
            break
    return ReproductionRun(runs=done, as_claimed=as_claimed, passed=passed, output=told or last)


async def run_placed(sandbox: Sandbox, placement: Placement, timeout_s: float) -> SuiteRun:
    """Write the regression test into the tree and run it alone."""
    await write_files(sandbox, placement.files)
    return await run_suite(sandbox, placement.command, placement.selection, timeout_s)


async def _failing_tests(
    sandbox: Sandbox, declared: ReproductionDeclared, timeout_s: float
) -> tuple[str, ...]:
    """The tests in which the reproduction fails, where its runner can be asked for each test."""
    if _gives_results(declared.command) or kind_of(declared.command) in ("tox", "other"):
        return ()
    await write_files(sandbox, declared.files)
    return (await _once(sandbox, declared.command, timeout_s, by_test=True)).failing


async def _once(
    sandbox: Sandbox, command: str, timeout_s: float, *, by_test: bool = False
) -> SuiteRun:
    if by_test or _gives_results(command):
        return await run_suite(sandbox, command, timeout_s=timeout_s)
    before = await sandbox.snapshot()
    ran = await sandbox.run(in_tree(command), timeout_s=timeout_s)
    if await sandbox.snapshot() != before:
        await sandbox.restore(before)
    return SuiteRun(
        command=command,
        exit_code=ran.exit_code,
        output=ran.text,
        timed_out=ran.timed_out,
        duration_s=ran.duration_s,
    )


def says_expected_words(run: SuiteRun, expected: str) -> bool:
    """Whether a run's output holds the words that were claimed.

    The claim may be about how the command ends (`[exit 3]`, `[killed after 120 s]`), as tool
    results show it; the limit's length is not compared.
    """
    ending = "[killed after 0 s]" if run.timed_out else f"[exit {run.exit_code}]"
    said = "\n".join([run.output, *(r.message for r in run.results), ending])
    return _KILLED.sub("killed after 0 s", expected) in said


def _gives_results(command: str) -> bool:
    return kind_of(command) in ("pytest", "unittest")


def _ran_tests(run: SuiteRun) -> bool:
    """Whether a run that ended with status 0 really ran tests, where it is a run of tests.

    An exit in the middle, or a skip, ends with status 0 as well.
    """
    if not _gives_results(run.command):
        return True
    passed = all(r.outcome == "passed" for r in run.results)
    return bool(run.results) and passed and run.complete
