"""What each hunk of source is there for: it is left out, and something must miss it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from agent.gate.background import background
from agent.gate.compare import SHOWN_CHARS, ReproductionRun, named_like
from agent.gate.entered_functions import changed_functions, entering_tests
from agent.gate.patch.apply import patched_text
from agent.gate.patch.parse import Hunk, hunk_line, parse_patch, without_hunks
from agent.gate.proof import Before, Case, fresh_sandbox, place_in_tree, source_hunks
from agent.gate.reachable_tests import tests_reaching
from agent.gate.regression_test import tree_files
from agent.gate.sandbox_runs import run_reproduction, runs_needed
from agent.gate.steps import Evidence, HeldPatch
from agent.journal.events import HunkEvidence, HunkReason, ReproductionDeclared
from agent.testing.report import SuiteRun
from agent.testing.suite import run_suite
from sandbox.errors import PatchRefused, SandboxGone
from sandbox.protocol import OpenSandbox, Sandbox

REPRODUCTION = "the reproduction"
SUITE = "the test suite"


async def evidence_of_hunks(held: HeldPatch) -> Evidence:
    """Leave each hunk of source out, as long as there is time, and see what fails without it.

    Two sandboxes share the hunks where the machine has room for both.
    """
    candidates = source_hunks(held.submitted, held.case)
    if not candidates or held.case.reproduction is None:
        return Evidence()
    if needed := _only_hunk(held, candidates):
        return Evidence(hunks=(needed,))
    held.progress.begins("each hunk left out")
    needed_by = {
        number: needs
        for number, (path, hunk) in enumerate(candidates)
        if (needs := _known_of(held, number, path, hunk)) is not None
    }
    waiting = deque(one for one in enumerate(candidates) if one[0] not in needed_by)
    side_by_side = held.case.at_once > 1 and len(waiting) > 1

    async def try_those_waiting() -> None:
        if not waiting:
            return
        async with fresh_sandbox(held.open_fresh) as sandbox:
            clean = await sandbox.snapshot()
            while waiting and not held.allowance.used_up:
                number, (path, hunk) = waiting.popleft()
                missed = await _needed_by(sandbox, clean, held, number, path, hunk)
                if missed is not None:
                    needed_by[number] = missed
                await sandbox.restore(clean)

    async with background(try_those_waiting, now=side_by_side) as other:
        await try_those_waiting()
        if side_by_side:
            await other.result()
    found = [
        HunkEvidence(
            path=path,
            line=hunk_line(hunk),
            tried=number in needed_by,
            needed_by=needed_by.get(number, ""),
            reason=reason_for(path, hunk, held.reasons),
        )
        for number, (path, hunk) in enumerate(candidates)
    ]
    untried = [f"{hunk.path}:{hunk.line}" for hunk in found if not hunk.tried]
    left_out = f"Hunks that were not left out to see what needs them: {', '.join(untried)}."
    return Evidence(hunks=tuple(found), left_out=(left_out,) if untried else ())


async def try_with_reproduction(
    open_fresh: OpenSandbox,
    case: Case,
    before: Before,
    patch: str,
    fails: dict[int, bool],
    go_on: Callable[[], bool],
) -> None:
    """See whether the reproduction fails without each hunk of source, as long as `go_on`.

    This needs no result of the suite, so it can be done while that runs. `fails` is filled by the
    hunks' numbers; what it lacks was not tried.
    """
    hunks = source_hunks(patch, case)
    seen = before.reproduction
    if case.reproduction is None or seen is None or _is_all_of_it(hunks, case, seen, patch):
        return
    with suppress(SandboxGone):
        async with fresh_sandbox(open_fresh) as sandbox:
            clean = await sandbox.snapshot()
            for number, (_, hunk) in enumerate(hunks):
                if number in fails:
                    continue
                if not go_on():
                    break
                with suppress(PatchRefused):
                    await sandbox.apply(without_hunks(patch, [hunk]))
                    fails[number] = await _fails(sandbox, case, case.reproduction, seen)
                await sandbox.restore(clean)


def _is_all_of_it(
    hunks: Sequence[tuple[str, Hunk]], case: Case, before: ReproductionRun, patch: str
) -> bool:
    """Whether a patch's one hunk is all of it but tests: without it the reproduction fails, as it
    always did without the patch."""
    if len(hunks) != 1 or case.reproduction is None or before.as_claimed < before.runs:
        return False
    own = tree_files(case.reproduction)
    return not [c for c in parse_patch(without_hunks(patch, [hunks[0][1]])) if c.path not in own]


def all_needed(case: Case, before: Before, patch: str, fails: Mapping[int, bool]) -> bool:
    """Whether it is known by now that the reproduction needs every hunk of source."""
    hunks, seen = source_hunks(patch, case), before.reproduction
    if seen is None:
        return False
    return _is_all_of_it(hunks, case, seen, patch) or all(map(fails.get, range(len(hunks))))


async def _fails(
    sandbox: Sandbox, case: Case, declared: ReproductionDeclared, before: ReproductionRun
) -> bool:
    times = 1 if before.as_claimed == before.runs else runs_needed(before, case.share)
    limit = case.reproduction_timeout_s
    run = await run_reproduction(sandbox, declared, times, limit, until_it_fails=True)
    return run.passed < run.runs


def _known_of(held: HeldPatch, number: int, path: str, hunk: Hunk) -> str | None:
    """What needs a hunk, where that is known without a run; None: it is not."""
    fails = held.fails_without.get(number)
    if fails is None:
        return None
    if fails:
        return REPRODUCTION
    if not held.case.test_command or not held.after:
        return ""
    functions = _functions_of(held, path, hunk)
    if functions is None:
        return None
    return "" if entering_tests(held.after[-1], None, path, functions) == () else None


def _only_hunk(held: HeldPatch, candidates: Sequence[tuple[str, Hunk]]) -> HunkEvidence | None:
    """What is known of a hunk without which only tests are left: the reproduction failed so."""
    before = held.before.reproduction
    if before is None or not _is_all_of_it(candidates, held.case, before, held.submitted):
        return None
    path, hunk = candidates[0]
    reason = reason_for(path, hunk, held.reasons)
    return HunkEvidence(
        path=path, line=hunk_line(hunk), tried=True, needed_by=REPRODUCTION, reason=reason
    )


def reason_for(path: str, hunk: Hunk, reasons: Sequence[HunkReason]) -> str:
    """The model's sentence about a hunk; empty if there is none."""
    lines = {number for number, _ in (*hunk.added, *hunk.removed)}
    for given in reasons:
        named, _, line = given.hunk.rpartition(":")
        if named == path and line.isdecimal() and int(line) in lines:
            return given.reason[:SHOWN_CHARS]
    return ""


def first_missed_test(
    before: Sequence[SuiteRun], whole: Sequence[SuiteRun], trial: SuiteRun
) -> str:
    """The first test that fails in a trial, and passes with the whole patch; or empty."""
    if not any(run.results for run in whole):
        worked = bool(whole) and all(run.exit_code == 0 for run in whole)
        return SUITE if worked and trial.exit_code != 0 else ""
    flaky = {
        name
        for name in {n for run in before for n in run.outcomes}
        if len({run.outcomes.get(name) for run in before}) > 1
    }
    good = {
        name
        for name, outcome in whole[0].outcomes.items()
        if outcome == "passed"
        and name not in flaky
        and all(run.outcomes.get(name) == "passed" for run in whole)
    }
    trial = named_like(whole[0], trial)
    failing = [name for name in trial.failing if name in good]
    if failing:
        return failing[0]
    return SUITE if not trial.results and trial.exit_code != 0 else ""


def _functions_of(held: HeldPatch, path: str, hunk: Hunk) -> tuple[range, ...] | None:
    """The functions whose bodies are all that a hunk changes, as lines with the whole patch."""
    file = next((file for file in held.files if file.path == path), None)
    rest = without_hunks(held.submitted, [hunk])
    change = next((change for change in parse_patch(rest) if change.path == path), None)
    if file is None:
        return None
    left = patched_text(file.base, change, rest) if change is not None else file.base
    return changed_functions(file.patched, left)


async def _needed_by(
    sandbox: Sandbox, clean: str, held: HeldPatch, number: int, path: str, hunk: Hunk
) -> str | None:
    """What fails without a hunk; empty: nothing; None: it cannot be left out by itself.

    The sandbox is at the snapshot `clean` and is left in any state.
    """
    declared, before = held.case.reproduction, held.before.reproduction
    if declared is None or before is None:
        return None
    rest = without_hunks(held.submitted, [hunk])
    try:
        await sandbox.apply(rest)
    except PatchRefused:
        return None
    # Where it is known already, it passes: this is about the tests.
    if number not in held.fails_without and await _fails(sandbox, held.case, declared, before):
        return REPRODUCTION
    if not held.case.test_command or not held.after:
        return ""
    command = held.case.test_command
    chosen: Sequence[str] | None = await tests_reaching(sandbox, command, held.after[0], [path])
    functions = _functions_of(held, path, hunk)
    if functions is not None:
        entering = entering_tests(held.after[-1], chosen, path, functions)
        if entering == ():
            return ""
        chosen = chosen if entering is None else entering
    await sandbox.restore(clean)  # the reproduction's files, and what it may have left
    await sandbox.apply(rest)
    await place_in_tree(sandbox, held.case, held.before.placed)
    limit = min(held.case.timeout_s, max(held.allowance.left_s, 1.0))
    trial = await run_suite(sandbox, command, "\n".join(chosen or ()), limit, fixed_hashes=True)
    if trial.timed_out and limit < held.case.timeout_s:
        return None
    return first_missed_test(held.before.suites, held.after, trial)
