"""Existing tests that contradict the issue: what must be seen before a person is asked.

A contested test holds in the base and fails with the patch, so it is the patched behaviour that it
is about; as changed it fails in the base and passes with the patch, so it says what is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.gate.compare import file_of, function_of
from agent.gate.patch.changed_file import ChangedFile
from agent.gate.patch.parse import parse_patch
from agent.gate.proof import Case, fresh_sandbox
from agent.gate.rules.test_weakening import inherited_names, new_test_names
from agent.gate.sandbox_runs import write_files
from agent.journal.events import Check, ContestedTest
from agent.testing.paths import is_code
from agent.testing.report import SuiteRun
from agent.testing.runners import kind_of
from agent.testing.suite import run_suite
from sandbox.protocol import OpenSandbox

CONTESTED = "contested tests"
"""The name of the check."""
_DIFF_CHARS = 6000


async def run_changed_tests_on_base(
    open_fresh: OpenSandbox, case: Case, files: Sequence[ChangedFile]
) -> SuiteRun:
    """The suite's changed test files, as the patch has them, with the base's code."""
    changed = {
        file.path: file.patched
        for file in files
        if file.is_test and file.base is not None and file.patched is not None
    }
    by_file = kind_of(case.test_command) == "pytest" and not any(map(_is_data, changed))
    selection = "\n".join(sorted(changed)) if by_file else ""
    async with fresh_sandbox(open_fresh) as sandbox:
        await write_files(sandbox, changed)
        return await run_suite(
            sandbox, case.test_command, selection, case.timeout_s, fixed_hashes=True
        )


def contested_check(
    claims: Sequence[ContestedTest],
    changed: Mapping[str, str],
    before: Sequence[SuiteRun],
    old: Sequence[SuiteRun],
    on_base: SuiteRun,
) -> Check:
    """Whether each named test is contradicted by the patch, and its change by the base.

    `changed`: test files that the patch changes. `old`: runs of the base's tests with the patch.
    That the changed tests pass with the patch is for the check of the suite to say.
    """
    problems = [
        problem for claim in claims if (problem := _problem(claim, changed, before, old, on_base))
    ]
    named = "; ".join(
        f"{claim.test}{f' (now {claim.renamed})' if claim.renamed else ''}: {claim.reason}"
        for claim in claims
    )
    return Check(
        name=CONTESTED,
        ok=not problems,
        detail=" ".join(problems)
        or f"They hold without the patch and not with it; as changed, the other way round. {named}",
        command=on_base.command,
    )


def with_all_names(
    claims: Sequence[ContestedTest],
    files: Sequence[ChangedFile],
    before: Sequence[SuiteRun] = (),
) -> tuple[ContestedTest, ...]:
    """The claims with the names that a patch gives their tests, one for each class that has them.

    A test that classes inherit is contested in all of them, whichever was named. Where `before`
    says which of its names are run, the others are left out: a mixin runs nothing by itself.
    """
    names = {old: new for file in files for old, new in new_test_names(file).items()}
    written = {
        name: at
        for file in files
        if file.is_test and file.base is not None and file.path.endswith(".py")
        for name, at in inherited_names(file.path, file.base).items()
    }
    found: dict[str, ContestedTest] = {}
    for claim in claims:
        at = written.get(claim.test, claim.test)
        having = [at, *(name for name, place in written.items() if place == at)]
        run = [test for test in having if any(_outcomes(suite, test) for suite in before)]
        for test in run or ([claim.test] if before else having):
            new = names.get(at, "")
            if new:
                new = f"{test.rpartition('::')[0]}::{new.rpartition('::')[2]}"
            found[test] = claim.model_copy(update={"test": test, "renamed": new})
    return tuple(found.values())


def with_diffs(claims: Sequence[ContestedTest], patch: str) -> tuple[ContestedTest, ...]:
    """The claims with the change of each one's file."""
    lines = patch.split("\n")
    diffs = {c.path: "\n".join(lines[c.first : c.last]) for c in parse_patch(patch)}
    return tuple(
        claim.model_copy(update={"diff": diffs.get(file_of(claim.test), "")[:_DIFF_CHARS]})
        for claim in claims
    )


def _problem(
    claim: ContestedTest,
    changed: Mapping[str, str],
    before: Sequence[SuiteRun],
    old: Sequence[SuiteRun],
    on_base: SuiteRun,
) -> str:
    test = claim.test
    if not all(_outcomes(run, test) for run in before):
        return f"{test} is contested but no test that the suite runs has that name."
    if not all(set(_outcomes(run, test)) == {"passed"} for run in before):
        return f"{test} is contested but does not pass without the patch."
    if file_of(test) not in changed and not any(map(_is_data, changed)):
        return f"{test} is contested but was not changed: change it to what the issue asks for."
    if not old or all("failed" not in _outcomes(run, test) for run in old):
        return f"{test} is contested but the patch does not contradict it: unchanged, it holds."
    if "failed" not in _outcomes(on_base, claim.renamed or test):
        return (
            f"{test} is contested, but as it was changed it holds without the patch as well, so it "
            "says nothing of what the issue asks for."
        )
    return ""


def _is_data(path: str) -> bool:
    """Whether a file is read by tests of other files."""
    return not is_code(path)


def _outcomes(run: SuiteRun, test: str) -> list[str]:
    return [result.outcome for result in run.results if function_of(result.name) == test]
