"""The proof of a change: its own tests are run without it and with it, then the gate judges it.

The reproduction that the gate asks for is not declared by anybody: it is the tests of the change
that fail without it and pass with it. Only where it brings none, a model may write one from the
issue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from agent.errors import AgentError
from agent.evaluation.hidden import split_files
from agent.evaluation.replay import MOST_NAMED, failing_command
from agent.gate.claims import Claims
from agent.gate.compare import file_of
from agent.gate.judge import Submission, judge, pytest_collection, texts_in_tree
from agent.gate.patch.changed_file import ChangedFile
from agent.gate.patch.parse import BadPatch, parse_patch
from agent.gate.proof import fresh_sandbox
from agent.gate.sandbox_runs import write_files
from agent.journal.events import ContestedTest, GateJudged, ReproductionDeclared
from agent.model import Record
from agent.proving.flaky import RepeatedRuns, ToldApart, tell_apart, unexplained_alone
from agent.proving.own_tests import (
    SeenRuns,
    contradicted_tests,
    edited_functions,
    shown_tests,
    telling_words,
    what_is_shown,
    why_nothing_is_shown,
)
from agent.proving.records import RED_THEN_GREEN, Change, ChangeProof, ShownTest
from agent.proving.reproduce import NothingWritten, WriteReproduction
from agent.proving.verdict import (
    HONEST_REPRODUCTION,
    REPRODUCTION,
    SUITE,
    findings_of,
    missing_in,
    of_written,
    suspected,
    verdict_of,
)
from agent.proving.wanting_names import NewNames
from agent.testing.paths import is_code, is_test
from agent.testing.report import SuiteRun
from agent.testing.runners import kind_of
from agent.testing.suite import NoTests, find_test_command, list_files, run_suite
from sandbox.errors import PatchRefused, SandboxGone
from sandbox.protocol import OpenSandbox, Sandbox

TIMES = 3
"""Runs on each side, each in a fresh sandbox."""
MOST_JUDGEMENTS = 3
"""So often the gate judges a change at most, each time without more tests that are flaky."""
_BY_FILE = ("pytest", "jest", "vitest", "mocha", "node", "tap")
"""Runners that can be asked for the tests of single files."""

Say = Callable[[str], None]


async def prove_change(
    change: Change,
    open_base: OpenSandbox,
    say: Say,
    write_reproduction: WriteReproduction | None = None,
) -> ChangeProof:
    """Prove a change. Never raises for what the change or the repository does.

    `open_base` opens a fresh sandbox with the tree of the change's base; `say` is told what begins.
    `write_reproduction` is asked only where the change brings no test; None: there is no issue or
    no model to write one from it.
    Raises `SandboxError` when sandboxes cannot be opened or die without the change in them.
    """
    patch, binary = without_binary_files(change.patch)
    left_out = (f"Binary files, which cannot be judged: {', '.join(binary)}.",) if binary else ()
    files = tuple(path for path, _ in split_files(change.patch))
    change = change.model_copy(update={"patch": patch})
    try:
        own = await _own_tests(change, open_base)
        if own.command:
            change = change.model_copy(update={"test_command": own.command})
        seen = await _see(change, own, open_base, say) if own.texts and own.command else None
    except (AgentError, PatchRefused) as error:
        return ChangeProof(
            verdict="unproven",
            base=change.base,
            head=change.head,
            test_command=change.test_command,
            files=files,
            missing=(str(error),),
            left_out=left_out,
        )
    tests: tuple[ShownTest, ...] = ()
    if seen is not None:
        new_names = NewNames(own.sources)
        tests = shown_tests(seen, edited_functions(own.files), new_names, own.texts)
    red = [test.name for test in tests if test.said in RED_THEN_GREEN]
    nothing = () if red else why_nothing_is_shown(tests, own.texts)
    if own.texts and not own.command:
        nothing = (own.why_no_command,)
    written: ReproductionDeclared | None = None
    if not own.texts and write_reproduction is not None:
        written, nothing = await _written(write_reproduction, open_base, say)
    submission = _submission(change, own, seen, red, written)
    judged, apart = await _judge_without_flaky(submission, change, own, open_base, say)
    if written is not None:
        judged = of_written(judged)
    return ChangeProof(
        verdict=verdict_of(
            judged, shows_a_bug=bool(red) or written is not None, broken=apart.broken
        ),
        base=change.base,
        head=change.head,
        test_command=change.test_command,
        shows="a bug" if _passes_with_it(judged, written) else what_is_shown(tests),
        written=written,
        files=files,
        tests=tests,
        missing=missing_in(judged, nothing),
        broken=apart.broken,
        flaky=apart.flaky,
        findings=findings_of(judged),
        left_out=(*left_out, *judged.left_out),
        judged=judged,
        image=change.kept_base.environment if change.kept_base else "",
        degraded=bool(change.degraded),
    )


async def _written(
    write_reproduction: WriteReproduction, open_base: OpenSandbox, say: Say
) -> tuple[ReproductionDeclared | None, tuple[str, ...]]:
    """What a model wrote to show the bug; else why nothing does, in sentences."""
    say("The change brings no test: the model writes a reproduction from the issue …")
    nothing = "Nothing shows the bug: the change adds or changes no test, and "
    try:
        written = await write_reproduction(open_base)
    except AgentError as error:
        return None, (f"{nothing}no reproduction could be written: {error}",)
    if isinstance(written, NothingWritten):
        limit = f" before {written.before}" if written.before else ""
        return None, (f"{nothing}the model found no reproduction of what the issue says{limit}.",)
    return written, ()


def _passes_with_it(judged: GateJudged, written: ReproductionDeclared | None) -> bool:
    """Whether what a model wrote was seen to fail without the change and to pass with it, within
    the rules for such."""
    ok = {check.name: check.ok for check in judged.checks}
    held = ok.get(REPRODUCTION, False) and ok.get(HONEST_REPRODUCTION, True)
    return written is not None and held


def without_binary_files(patch: str) -> tuple[str, tuple[str, ...]]:
    """A patch without its binary files, and the paths of these."""
    parts = split_files(patch)
    binary = [path for path, part in parts if _is_binary(part)]
    return "".join(part for path, part in parts if path not in binary), tuple(binary)


def _is_binary(part: str) -> bool:
    return "\nGIT binary patch\n" in part or "\nBinary files " in part


class _Died(AgentError):
    """A sandbox died with the change in it."""


class _OwnTests(Record):
    """The test files of a change."""

    files: tuple[ChangedFile, ...]
    sources: tuple[ChangedFile, ...]
    """What else the change touches, as far as it can be read."""
    command: str
    """What runs the repository's tests; empty: nothing was found."""
    why_no_command: str = ""

    @property
    def texts(self) -> dict[str, str]:
        """The files as the change has them, by path; without those that it deletes."""
        return {f.path: f.patched for f in self.files if f.patched is not None}

    @property
    def former(self) -> dict[str, str]:
        """The same files as the base has them, as far as it does."""
        return {f.path: f.base for f in self.files if f.base is not None}


async def _own_tests(change: Change, open_base: OpenSandbox) -> _OwnTests:
    changes = parse_patch(change.patch)
    async with fresh_sandbox(open_base) as sandbox:
        present = await list_files(sandbox)
        command, why = change.test_command, ""
        if not command:
            try:
                command = await find_test_command(sandbox)
            except NoTests as error:
                why = str(error)
        collection = await pytest_collection(sandbox, present, command)
        tests = [c for c in changes if is_test(c.path) or collection.takes_file(c.path)]
        files = await texts_in_tree(sandbox, tests, change.patch, collection)
        others = [c for c in changes if c not in tests]
        try:
            sources = await texts_in_tree(sandbox, others, change.patch, collection)
        except BadPatch:  # the gate says so
            sources = []
    return _OwnTests(
        files=tuple(files), sources=tuple(sources), command=command, why_no_command=why
    )


async def _see(change: Change, own: _OwnTests, open_base: OpenSandbox, say: Say) -> SeenRuns:
    """Run the change's test files on both sides. Raises `PatchRefused`."""
    some = asyncio.Semaphore(change.at_once)

    async def ran(*, patch: str, tests: Mapping[str, str], selection: str) -> SuiteRun:
        try:
            async with some, fresh_sandbox(open_base) as sandbox:
                return await _run(sandbox, change, patch, tests, selection)
        except SandboxGone:
            if not patch:
                raise
            raise _Died("The sandbox died while the tests ran with the change.") from None

    now = files_to_run(change.test_command, own.texts)
    former = files_to_run(change.test_command, own.former)
    say(f"Running the change's tests without it and with it, {TIMES} times each …")
    old_before: list[Coroutine[Any, Any, SuiteRun]] = []
    if own.former:
        old_before = [
            ran(patch="", tests={}, selection=former),
            ran(patch=change.patch, tests=own.former, selection=former),
        ]
    runs = await _together(
        *(ran(patch="", tests=own.texts, selection=now) for _ in range(TIMES)),
        *(ran(patch=change.patch, tests={}, selection=now) for _ in range(TIMES)),
        *old_before,
    )
    nothing = SuiteRun(command=change.test_command, exit_code=0, output="")
    own_before, old_after = runs[2 * TIMES :] if old_before else (nothing, nothing)
    return SeenRuns(
        own_before=own_before,
        before=tuple(runs[:TIMES]),
        after=tuple(runs[TIMES : 2 * TIMES]),
        old_after=old_after,
    )


async def _run(
    sandbox: Sandbox, change: Change, patch: str, tests: Mapping[str, str], selection: str
) -> SuiteRun:
    """Run a selection in a fresh sandbox with a patch, and then with these files."""
    if patch:
        await sandbox.apply(patch)
    await write_files(sandbox, tests, exact=True)
    return await run_suite(
        sandbox, change.test_command, selection, change.test_timeout_s, fixed_hashes=True
    )


async def _together(*work: Coroutine[Any, Any, SuiteRun]) -> list[SuiteRun]:
    """All results in their order; where one fails, none goes on."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def files_to_run(command: str, files: Mapping[str, str]) -> str:
    """The selection that runs the tests in some files; empty, for all, where there is no such."""
    code = [path for path in sorted(files) if is_code(path)]
    helpers = [path for path in files if path not in code or path.endswith("conftest.py")]
    return "" if helpers or kind_of(command) not in _BY_FILE else "\n".join(code)


def _submission(
    change: Change,
    own: _OwnTests,
    seen: SeenRuns | None,
    showing: Sequence[str],
    written: ReproductionDeclared | None,
) -> Submission:
    reproduction = written
    contested: tuple[ContestedTest, ...] = ()
    if seen is not None and showing:
        words = telling_words(seen, showing)
        reproduction = ReproductionDeclared(
            command=failing_command(change.test_command, showing, own.texts),
            files=own.texts,
            expected_failure=words,
            observed=words,
            accepted=True,
        )
        contested = tuple(
            ContestedTest(test=test, reason=change.issue.title)
            for test in contradicted_tests(seen, showing, own.files)
        )
    return Submission(
        patch=change.patch,
        reproduction=reproduction,
        issue=change.issue,
        test_command=change.test_command,
        policy=change.policy,
        test_timeout_s=change.test_timeout_s,
        reproduction_timeout_s=change.test_timeout_s,
        claims=Claims(contested=contested),
        degraded=change.degraded,
        holds_regression_test=True,
        kept_base=change.kept_base,
        at_once=change.at_once,
        shrink=False,
        rules_are_findings=True,
    )


async def _judge(submission: Submission, open_base: OpenSandbox, say: Say) -> GateJudged:
    """The gate's verdict; with the suite's runs, also where the reproduction does not hold."""

    def on_progress(what: str, number: int, of: int) -> None:
        say(f"Gate, {number} of {of}: {what} …")

    judged = await judge(submission, open_base, on_progress)
    if submission.reproduction is None or any(check.name == SUITE for check in judged.checks):
        return judged
    alone = await judge(
        submission.model_copy(update={"reproduction": None}), open_base, on_progress
    )
    suites = [check for check in alone.checks if check.name == SUITE]
    return judged.model_copy(update={"checks": (*judged.checks, *suites)})


async def _judge_without_flaky(
    submission: Submission,
    change: Change,
    own: _OwnTests,
    open_base: OpenSandbox,
    say: Say,
) -> tuple[GateJudged, ToldApart]:
    """The gate's verdict, and what repeated runs say of the tests that failed with the change.

    Where all of these are flaky, the gate judges again and does not count them.
    """
    flaky: tuple[str, ...] = ()
    for number in range(1, MOST_JUDGEMENTS + 1):
        judged = await _judge(submission, open_base, say)
        suspects = suspected(judged, own.texts)
        if not suspects:
            break
        apart = await _tell_apart(change, own, suspects, open_base, say)
        known = {*flaky, *apart.flaky}
        flaky = tuple(sorted(known))
        last = number == MOST_JUDGEMENTS or known <= submission.flaky
        if apart.broken or apart.unclear or last:
            return judged, apart.model_copy(update={"flaky": flaky})
        submission = submission.model_copy(update={"flaky": frozenset(known)})
    return judged, ToldApart(flaky=flaky)


async def _tell_apart(
    change: Change,
    own: _OwnTests,
    suspects: Sequence[str],
    open_base: OpenSandbox,
    say: Say,
) -> ToldApart:
    """Run suspected tests again on both sides: by themselves, and where that does not explain why
    they failed, in the whole suite."""
    say("Running once more the tests that no longer pass …")
    selection = names_to_run(change.test_command, suspects)
    edited = {file_of(name) for name in suspects} & own.former.keys()

    async def runs(chosen: str) -> RepeatedRuns:
        async def ran(patch: str, tests: Mapping[str, str]) -> SuiteRun:
            async with fresh_sandbox(open_base) as sandbox:
                return await _run(sandbox, change, patch, tests, chosen)

        return RepeatedRuns(
            before=tuple([await ran("", {}) for _ in range(TIMES)]),
            after=tuple([await ran(change.patch, {}) for _ in range(TIMES)]),
            old_after=tuple(
                [await ran(change.patch, own.former) for _ in range(TIMES if edited else 0)]
            ),
        )

    seen = await runs(selection)
    if selection and unexplained_alone(suspects, seen, edited):
        seen = await runs("")
    return tell_apart(suspects, seen, edited)


def names_to_run(command: str, tests: Sequence[str]) -> str:
    """The selection that runs some tests and perhaps others; empty: all."""
    kind, files = kind_of(command), dict.fromkeys(map(file_of, tests))
    if kind not in _BY_FILE or not all("::" in name for name in tests):
        return ""
    return "\n".join(tests if kind == "pytest" and len(tests) <= MOST_NAMED else files)
