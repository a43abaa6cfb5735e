"""The runs that make a proof: one side without the patch, one with it, and the smallest patch."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import Field

from agent.gate.background import Background, SandboxesAhead, background
from agent.gate.base_results import keep_results, load_results
from agent.gate.chance import ONE_OF_TWENTY
from agent.gate.compare import (
    SHOWN_CHARS,
    ReproductionRun,
    complete_run,
    file_of,
    known_as_flaky,
    reproduction_check,
    suite_check,
    with_former_tests,
)
from agent.gate.patch.parse import Hunk, hunk_line, only_comments, parse_patch, without_hunks
from agent.gate.plain.check import plain_check, to_compare
from agent.gate.plain.records import PLAIN, PlainOutcome, PlainTests
from agent.gate.plain.run import nearby_tests, run_plain
from agent.gate.progress import Progress
from agent.gate.reachable_tests import tests_reaching
from agent.gate.regression_test import (
    NotPlaced,
    Placement,
    place,
    place_beside,
    tree_files,
    with_behaviour_names,
)
from agent.gate.rules.test_additions import addition_refusals
from agent.gate.sandbox_runs import (
    run_before,
    run_placed,
    run_reproduction,
    runs_needed,
    write_files,
)
from agent.gate.scope import Touched
from agent.journal.events import Check, ReproductionDeclared
from agent.model import Record
from agent.task import Issue, KeptBase
from agent.testing.collection import PytestCollection
from agent.testing.junit import cut
from agent.testing.paths import is_source, is_test
from agent.testing.report import SuiteRun
from agent.testing.suite import run_suite
from sandbox.errors import PatchRefused
from sandbox.protocol import WORKDIR, OpenSandbox, Sandbox

_MOST_HUNKS = 12
"""Patches of more hunks are not searched for unneeded ones: it would take too long."""


_PROSE = (".md", ".rst")
REGRESSION_TEST = "regression test"
_EXCEPTION = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Warning)\b")


class Case(Record):
    """What is the same in every run of one judgement."""

    reproduction: ReproductionDeclared | None
    """None: there is none to run."""
    issue: Issue
    test_command: str
    """Empty: the repository has no tests."""
    timeout_s: float
    """Of one run of the suite."""
    reproduction_timeout_s: float
    base_files: tuple[str, ...]
    base_tests: dict[str, str]
    """Existing test files that the patch touches, with their text before it."""
    tests_like_it: dict[str, str] = Field(default_factory=dict)
    """Test files of the base, with their texts, beside whose tests a new one may stand."""
    touched: tuple[Touched, ...] = ()
    """The source that the patch touches, with the tests that belong to it."""
    collection: PytestCollection = PytestCollection()
    """What pytest takes for tests."""
    holds_regression_test: bool = False
    """Whether the patch has its regression test already: then none is placed."""
    changed: frozenset[str] = frozenset()
    """All files that the patch touches."""
    kept_base: KeptBase | None = None
    """Where the base's results are kept; None: nowhere."""
    share: float = ONE_OF_TWENTY
    """Of the chance that luck alone makes a proof in a run (`agent.gate.chance`)."""
    contested: dict[str, str] = Field(default_factory=dict)
    """Test functions of which the submission says that they contradict the issue, each with the
    name that it has with the patch."""
    at_once: int = 1
    """How many sandboxes may run tests at the same time."""
    flaky: frozenset[str] = frozenset()
    """Tests that repeated runs have shown not to end the same way each time."""
    tests_may_go: bool = False
    """Whether the patch may take tests out of its test files, if they hold with it."""


class Before(Record):
    """What was seen without the patch."""

    reproduction: ReproductionRun | None
    placed: Placement | NotPlaced
    placed_run: SuiteRun | None
    suites: tuple[SuiteRun, ...] = ()
    """Runs of the suite; none before `prove` has waited for them."""
    next_place: int = 0
    """Which of `places` comes after this one."""


class Proof(Record):
    """What was seen with a patch."""

    patch: str
    """The whole change: the submitted patch and the regression test."""
    checks: tuple[Check, ...]
    placed_run: SuiteRun | None = None
    """The regression test's run with it, where it was moved or renamed."""
    base_suites: tuple[SuiteRun, ...] = ()
    """Runs of the suite without it."""
    suites: tuple[SuiteRun, ...] = ()
    """Runs of the suite with it."""
    old_tests: tuple[SuiteRun, ...] = ()
    """Runs with it and the base's version of the test files that it touches."""

    @property
    def holds(self) -> bool:
        """Whether every check is well."""
        return all(check.ok for check in self.checks)


BaseSuites = Background[tuple[SuiteRun, ...]]
"""The suite's runs without the patch, perhaps still under way."""


@dataclass(frozen=True, slots=True)
class Runs:
    """What all runs of one judgement share."""

    ahead: SandboxesAhead
    case: Case
    base: BaseSuites
    progress: Progress

    @property
    def open_fresh(self) -> OpenSandbox:
        """Opens a fresh sandbox, or gives one that was opened ahead."""
        return self.ahead.open


async def see_before(runs: Runs) -> Before:
    """What the reproduction does without the patch, and where it can stay as a test.

    In a separate sandbox: what it leaves outside of the tree could decide the suite's outcome.
    """
    case = runs.case
    if case.reproduction is None:
        none = NotPlaced(why="There is no reproduction.")
        return Before(reproduction=None, placed=none, placed_run=None)
    runs.progress.begins("reproduction without the patch")
    async with fresh_sandbox(runs.open_fresh) as sandbox:
        # For the reproduction with the patch, and for the suite where it runs beside it.
        runs.ahead.prepare(1 if runs.base.running else 2)
        base = await sandbox.snapshot()
        run = await run_before(sandbox, case.reproduction, case.reproduction_timeout_s, case.share)
        await sandbox.restore(base)
        if not run.as_claimed:
            unplaced = NotPlaced(why="It shows nothing without the patch.")
            return Before(reproduction=run, placed=unplaced, placed_run=None)
        if case.holds_regression_test:
            there = NotPlaced(why="The pull request had one already.")
            return Before(reproduction=run, placed=there, placed_run=None)
        return await _first_place(sandbox, case, run)


async def see_next_place(runs: Runs, before: Before) -> Before:
    """The same, with the regression test in the next place in which it fails without the patch."""
    if before.reproduction is None:
        return before
    async with fresh_sandbox(runs.open_fresh) as sandbox:
        found = await _first_place(sandbox, runs.case, before.reproduction, before.next_place)
    return found.model_copy(update={"suites": before.suites})


async def _first_place(
    sandbox: Sandbox, case: Case, reproduction: ReproductionRun, start: int = 0
) -> Before:
    """The first place, from `start` on, in which the regression test fails without the patch."""
    base = await sandbox.snapshot()
    why = "As a test of the suite it did not fail without the patch."
    if start:
        why = "As a test of the suite it failed with the patch, for a reason of its own."
    for at, placed in enumerate(places(case)[start:], start + 1):
        if isinstance(placed, NotPlaced) or not placed.moved:
            return Before(reproduction=reproduction, placed=placed, placed_run=None, next_place=at)
        run = await run_placed(sandbox, placed, case.timeout_s)
        if any(result.outcome == "failed" for result in run.results):
            return Before(reproduction=reproduction, placed=placed, placed_run=run, next_place=at)
        await sandbox.restore(base)
    return Before(reproduction=reproduction, placed=NotPlaced(why=why), placed_run=None)


def places(case: Case) -> list[Placement | NotPlaced]:
    """Where the reproduction may stay as a test, the best place first: joined to other tests, in a
    file of its own under a name that says what it asserts, or as it is."""
    if case.reproduction is None:
        return []
    alone = place(
        case.reproduction, case.base_files, case.test_command, case.issue, case.collection
    )
    named = None
    if isinstance(alone, Placement):
        named = with_behaviour_names(alone, case.base_files, case.issue, case.collection.prefix)
    return [*places_beside(case, case.reproduction), *([named] if named else []), alone]


def places_beside(case: Case, declared: ReproductionDeclared) -> list[Placement]:
    """Where the reproduction may join existing tests, without steering any of them."""
    proposed = place_beside(
        declared,
        case.base_files,
        case.test_command,
        case.issue,
        case.tests_like_it,
        case.collection,
    )
    return [
        one
        for one in proposed
        if not any(
            addition_refusals(path, case.tests_like_it[path], text)
            for path, text in one.files.items()
        )
    ]


async def base_suites(clean: Sandbox, case: Case, progress: Progress) -> tuple[SuiteRun, ...]:
    """The suite, twice, in a sandbox in which nothing but the base has run; or as it was kept."""
    if not case.test_command:
        return ()
    base = case.kept_base
    kept = load_results(base, case.test_command, case.timeout_s) if base is not None else ()
    progress.begins(f"test suite without the patch{' (kept from before)' if kept else ''}")
    if kept:
        return known_as_flaky(kept, case.flaky)
    suites = await _suites(clean, case, 2)
    if base is not None:
        keep_results(base, case.test_command, case.timeout_s, suites)
    return known_as_flaky(suites, case.flaky)


Meanwhile = Callable[[Callable[[], bool]], Coroutine[Any, Any, None]]
"""Work that may run beside the suite, as long as what it is given says so."""


def _always() -> bool:
    return True


async def prove(
    runs: Runs,
    before: Before,
    patch: str,
    meanwhile: Meanwhile | None = None,
    repeat: Callable[[], bool] = _always,
) -> Proof:
    """Everything that is run with a patch, reproduction and suite in a fresh sandbox each.

    `meanwhile` begins when the reproduction holds, where the machine has room for it beside the
    suite. `repeat`, asked once the suite holds: whether it is run again as far as it reaches the
    patch. Raises `PatchRefused` when the patch does not apply.
    """
    case = runs.case
    suite = partial(_prove_by_suite, runs, before, patch, repeat)
    beside = case.at_once > 1 and not runs.base.running
    async with background(suite, now=beside and bool(case.test_command)) as suites:
        if case.reproduction is not None:
            runs.progress.begins("reproduction with the patch")
        whole, checks, placed_run = await _prove_by_reproduction(runs, before, patch)
        if not all(c.ok or c.name == PLAIN for c in checks) or not case.test_command:
            return Proof(patch=whole, checks=checks, placed_run=placed_run)
        suites.begin()

        async def beside_the_suite() -> None:
            await runs.base.result()
            if meanwhile is not None and suites.running:
                await meanwhile(lambda: suites.running)

        async with background(beside_the_suite, now=case.at_once > 1) as more:
            after, old, shown = await suites.result()
            if more.running:
                await more.result()
    if not shown.ok:
        # A test that fails in the suite, too, is no sign of code that looks who is watching.
        checks = tuple(check for check in checks if check.name != PLAIN)
    return Proof(
        patch=whole,
        checks=(*checks, shown),
        placed_run=placed_run,
        base_suites=await runs.base.result(),
        suites=after,
        old_tests=old,
    )


async def _prove_by_reproduction(
    runs: Runs, before: Before, patch: str
) -> tuple[str, tuple[Check, ...], SuiteRun | None]:
    """The whole change; what the reproduction and the regression test do with it, and the latter's
    run, if it is not the reproduction as it was declared."""
    case = runs.case
    checks: list[Check] = []
    placed_run = None
    async with fresh_sandbox(runs.open_fresh) as sandbox:
        if case.reproduction is not None:
            # For the plain run, and for what may be done while the suite runs.
            runs.ahead.prepare(2 if len(source_hunks(patch, case)) > 1 else 1)
        whole, settled = await _apply_patch(sandbox, case, before, patch)
        if case.reproduction is not None and before.reproduction is not None:
            run = await run_reproduction(
                sandbox,
                case.reproduction,
                runs_needed(before.reproduction, case.share),
                case.reproduction_timeout_s,
                until_it_fails=True,
                tests=before.reproduction.tests,
            )
            await sandbox.restore(settled)
            checks.append(
                reproduction_check(case.reproduction, before.reproduction, run, case.share)
            )
            if checks[-1].ok:
                if isinstance(before.placed, Placement) and before.placed_run is not None:
                    placed_run = await run_placed(sandbox, before.placed, case.timeout_s)
                checks.append(_regression_check(before, placed_run))
                checks += await _prove_as_plain_program(runs, case.reproduction, before, patch)
    return whole, tuple(checks), placed_run


async def _prove_as_plain_program(
    runs: Runs, declared: ReproductionDeclared, before: Before, patch: str
) -> list[Check]:
    """What the tests do without a runner; the base is run only where something fails.

    Each time in a fresh sandbox: code may leave word there that it was tested a moment ago.
    """
    if before.reproduction is None:
        return []
    job = PlainTests(
        command=declared.command,
        suite=runs.case.test_command,
        declared=declared.files,
        others=nearby_tests(runs.case.touched),
        changed=tuple(sorted(runs.case.changed)),
        seed=1 + secrets.randbelow(1_000_000),
    )

    async def seen(*, with_patch: bool) -> dict[str, PlainOutcome]:
        async with fresh_sandbox(runs.open_fresh) as sandbox:
            if with_patch:
                await _apply_patch(sandbox, runs.case, before, patch)
            await write_files(sandbox, declared.files)
            return await run_plain(sandbox, job)

    patched = await seen(with_patch=True)
    if not patched:
        return []
    base = await seen(with_patch=False) if to_compare(patched) else {}
    said = before.reproduction.output
    shown = plain_check(declared.files, base, patched, said)
    if not shown.ok:
        # Once more, so that a flaky test is not taken for a difference.
        shown = plain_check(declared.files, base, await seen(with_patch=True), said)
    return [shown]


async def _prove_by_suite(
    runs: Runs, before: Before, patch: str, repeat: Callable[[], bool]
) -> tuple[tuple[SuiteRun, ...], tuple[SuiteRun, ...], Check]:
    """Runs of the suite with the patch, those of the base's tests with it, and what they say."""
    case = runs.case
    async with fresh_sandbox(runs.open_fresh) as sandbox:
        _, settled = await _apply_patch(sandbox, case, before, patch)
        runs.progress.begins("test suite with the patch")
        after = [*await _suites(sandbox, case, 1)]
        old = []
        changed_tests = _changed_test_files(case, after[0])
        if case.base_tests:
            old = [await _run_old_tests(sandbox, case, after[0], changed_tests, settled)]
        without = await runs.base.result()
        shown = _compare(case, without, after, old)
        alone = changed_tests and not shown.ok
        if alone and suite_check(without, _as_kept(case, after, old), (), case.contested).ok:
            # Tests may need what those of other files leave behind: only whole runs are alike.
            old = [await _run_old_tests(sandbox, case, after[0], None, settled)]
            shown = _compare(case, without, after, old)
        if shown.ok and repeat():
            changed = [c.path for c in parse_patch(patch) if not c.path.endswith(_PROSE)]
            files = await tests_reaching(sandbox, case.test_command, after[0], changed)
            runs.progress.begins("test suite with the patch, again")
            # What tests enter is watched beside it, which tells what can miss a hunk.
            watched = [
                path
                for path in changed
                if path.endswith(".py") and is_source(path) and not case.collection.takes_file(path)
            ]
            again = await _rerun_suite(sandbox, case, after[0], files, watched)
            shown = _compare(case, without, [*after, again], old)
            if not shown.ok and (watched or files is not None):
                await sandbox.restore(settled)
                again = await _rerun_suite(sandbox, case, after[0], None)
                shown = _compare(case, without, [*after, again], old)
            after.append(again)
    return tuple(after), tuple(old), shown


def _compare(
    case: Case, before: Sequence[SuiteRun], after: Sequence[SuiteRun], old: Sequence[SuiteRun]
) -> Check:
    return suite_check(before, _as_kept(case, after, old), old, case.contested)


def _as_kept(case: Case, after: Sequence[SuiteRun], old: Sequence[SuiteRun]) -> list[SuiteRun]:
    """The runs with the patch, with tests that it may have taken out."""
    return [with_former_tests(run, old) if case.tests_may_go else run for run in after]


async def _run_old_tests(
    sandbox: Sandbox, case: Case, whole: SuiteRun, files: tuple[str, ...] | None, settled: str
) -> SuiteRun:
    """The suite with the base's version of the test files that the patch touches."""
    await write_files(sandbox, case.base_tests, exact=True)
    run = await _rerun_suite(sandbox, case, whole, files)
    await sandbox.restore(settled)
    return run


def _changed_test_files(case: Case, run: SuiteRun) -> tuple[str, ...] | None:
    """The changed test files, if they are all there is to run again; None: run everything."""
    files = {file_of(result.name) for result in run.results}
    return tuple(sorted(case.base_tests)) if case.base_tests.keys() <= files else None


async def _rerun_suite(
    sandbox: Sandbox,
    case: Case,
    whole: SuiteRun,
    files: tuple[str, ...] | None,
    watched: Sequence[str] = (),
) -> SuiteRun:
    """One more run: of the tests in some files (None: all), the others as they were."""
    chosen = "\n".join(files or ())
    part = await run_suite(
        sandbox, case.test_command, chosen, case.timeout_s, watched, fixed_hashes=True
    )
    if files is None:
        return part
    return complete_run(whole, part, files)


async def _apply_patch(sandbox: Sandbox, case: Case, before: Before, patch: str) -> tuple[str, str]:
    """Bring a fresh sandbox to where the patch leads; returns the whole change and its snapshot."""
    await sandbox.apply(patch)
    await place_in_tree(sandbox, case, before.placed)
    return await sandbox.diff(), await sandbox.snapshot()


@asynccontextmanager
async def fresh_sandbox(open_fresh: OpenSandbox) -> AsyncIterator[Sandbox]:
    """A fresh sandbox that goes with the block."""
    sandbox = await open_fresh()
    try:
        yield sandbox
    finally:
        await sandbox.close()


def source_hunks(patch: str, case: Case) -> list[tuple[str, Hunk]]:
    """The hunks of source, with their files; not those of the reproduction, nor bare comments."""
    own = tree_files(case.reproduction) if case.reproduction is not None else {}
    return [
        (change.path, hunk)
        for change in parse_patch(patch)
        if is_source(change.path) and change.path not in own
        for hunk in change.hunks
        if not only_comments(hunk)
    ]


async def smallest_patch(
    sandbox: Sandbox, case: Case, before: Before, patch: str
) -> tuple[str, tuple[str, ...]]:
    """The patch without the hunks of source that nothing needs, and where those hunks were.

    Each hunk is left out by itself, in turn; it is unneeded if the reproduction and all tests
    still pass. The sandbox is at the base commit and is of no use afterwards.
    """
    if case.reproduction is None:
        return patch, ()
    candidates = source_hunks(patch, case)
    if not 2 <= len(candidates) <= _MOST_HUNKS:
        return patch, ()
    clean = await sandbox.snapshot()
    dropped: list[tuple[str, Hunk]] = []
    for path, hunk in candidates:
        if len(dropped) == len(candidates) - 1:
            break
        trial = without_hunks(patch, [h for _, h in dropped] + [hunk])
        await sandbox.restore(clean)
        if await _still_holds(sandbox, case, before, trial):
            dropped.append((path, hunk))
    return (
        without_hunks(patch, [h for _, h in dropped]),
        tuple(f"{path}:{hunk_line(hunk)}" for path, hunk in dropped),
    )


async def _still_holds(sandbox: Sandbox, case: Case, before: Before, patch: str) -> bool:
    if case.reproduction is None or before.reproduction is None:
        return False
    try:
        await sandbox.apply(patch)
    except PatchRefused:
        return False
    settled = await sandbox.snapshot()
    times = (
        1
        if before.reproduction.as_claimed == before.reproduction.runs
        else runs_needed(before.reproduction, case.share)
    )
    run = await run_reproduction(sandbox, case.reproduction, times, case.reproduction_timeout_s)
    if run.passed < run.runs:
        return False
    await sandbox.restore(settled)
    if not case.test_command:
        return True
    return suite_check(before.suites, await _suites(sandbox, case, 1)).ok


async def _suites(sandbox: Sandbox, case: Case, times: int) -> tuple[SuiteRun, ...]:
    if not case.test_command:
        return ()
    return tuple(
        [
            await run_suite(sandbox, case.test_command, timeout_s=case.timeout_s, fixed_hashes=True)
            for _ in range(times)
        ]
    )


async def place_in_tree(sandbox: Sandbox, case: Case, placed: Placement | NotPlaced) -> None:
    """Leave the reproduction in the tree as a test, or not at all; as the journal has it."""
    files = files_placed(case, placed)
    if gone := [path for path, text in files.items() if text is None]:
        await sandbox.run(f"cd {WORKDIR} && rm -f -- {shlex.join(gone)}")
    await write_files(sandbox, {path: text for path, text in files.items() if text is not None})


def files_placed(case: Case, placed: Placement | NotPlaced) -> dict[str, str | None]:
    """What `place_in_tree` writes, by path in the tree; None: it removes the file."""
    if case.reproduction is None:
        return {}
    own = tree_files(case.reproduction)
    replaced = placed.replaces if isinstance(placed, Placement) else ()
    if case.holds_regression_test:
        return {path: None for path in own if path not in case.changed | {*case.base_files}}
    tests = {p for p in own if is_test(p) or case.collection.takes_file(p)}
    kept = {p: None if p in replaced else text for p, text in own.items() if p in tests}
    gone = dict.fromkeys(p for p in own if p not in tests and p not in case.base_files)
    return {**gone, **kept, **(placed.files if isinstance(placed, Placement) else {})}


def _regression_check(before: Before, run: SuiteRun | None) -> Check:
    """The regression test with the patch. A note where there is none: that is no fault."""
    placed = before.placed
    if isinstance(placed, NotPlaced):
        return Check(name=REGRESSION_TEST, ok=True, detail=f"None was added. {placed.why}")
    where = ", ".join(sorted(placed.files))
    if before.placed_run is None or run is None:
        kept = f"The reproduction stays as the test {where}."
        return Check(name=REGRESSION_TEST, ok=True, detail=kept)
    good = bool(run.results) and all(r.outcome == "passed" for r in run.results)
    return Check(
        name=REGRESSION_TEST,
        ok=good,
        detail=f"{where} fails without the patch and passes with it."
        if good
        else f"{where} fails without the patch but does not pass with it.",
        command=run.command,
        before=cut(before.placed_run.output, SHOWN_CHARS),
        after=cut(run.output, SHOWN_CHARS),
    )


def fails_in_its_place(before: Before, proof: Proof) -> bool:
    """Whether the regression test fails with the patch for a reason that lies in its place.

    The reproduction passes with the patch, but the test made of it does not: a fixture or a name
    there means something else. It is no such reason if it fails just as it did without the patch
    and with an exception that the reproduction has shown, too: then the bug is still there.
    """
    failed = any(c.name == REGRESSION_TEST and not c.ok for c in proof.checks)
    if not failed or proof.placed_run is None or before.placed_run is None:
        return False
    now, was = _failures(proof.placed_run), _failures(before.placed_run)
    shown = before.reproduction.output if before.reproduction is not None else ""
    return now != was or not any(kind in shown for _, kind in now)


def _failures(run: SuiteRun) -> frozenset[tuple[str, str]]:
    """How the tests of a run failed: the last line of each one's text, and its exception."""
    found = set()
    for result in run.results:
        if result.outcome != "passed":
            kinds = _EXCEPTION.findall(result.message)
            lines = [line for line in result.message.splitlines() if line.startswith("E ")]
            last = (lines or result.message.strip().splitlines() or [""])[-1]
            found.add((last, kinds[-1] if kinds else ""))
    return frozenset(found)
