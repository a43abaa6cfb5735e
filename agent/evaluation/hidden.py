"""Hidden tests on a patch, in a sandbox that the run never saw."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from agent.evaluation.instances import Instance
from agent.evaluation.results import HiddenVerdict
from agent.testing.paths import is_test
from agent.testing.report import Outcome, SuiteRun
from agent.testing.suite import NoTests, find_test_command, run_suite
from sandbox.errors import PatchRefused
from sandbox.protocol import OpenSandbox

_FILE = re.compile(r"^diff --git ", re.MULTILINE)
_PRINTED = re.compile(r"^(?P<test>\w+) \((?P<place>[\w.]+)\)$")
_HEADER = re.compile(r'^diff --git (?:"?a/(?P<old>.*?)"?) (?:"?b/(?P<new>.*?)"?)$', re.MULTILINE)


def split_files(patch: str) -> list[tuple[str, str]]:
    """A git-style patch as (path, its part) per file; an empty one has no parts."""
    starts = [m.start() for m in _FILE.finditer(patch)]
    ends = [*starts[1:], len(patch)][: len(starts)]
    parts = [patch[at:end] for at, end in zip(starts, ends, strict=True)]
    return [(_path(part), part) for part in parts]


def _path(part: str) -> str:
    header = _HEADER.match(part)
    return header["new"] if header is not None else ""


def without_files(patch: str, paths: Iterable[str]) -> str:
    """The patch without its changes of some files."""
    dropped = set(paths)
    return "".join(part for path, part in split_files(patch) if path not in dropped)


def selection(names: Iterable[str], tests: Iterable[str]) -> str:
    """What to run: the files of pytest's names and the changed tests; empty: the whole suite.

    Other runners' names hold no file, so everything runs there.
    """
    files = {name.partition("::")[0] for name in names}
    if not all("::" in name for name in names):
        return ""
    changed = {path for path in tests if path.endswith(".py") and path in files}
    return "\n".join(sorted(files | changed))


def rerun_selection(failed: Iterable[str], chosen: str) -> str:
    """What to run of failed tests: they alone where the runner can, else what ran before."""
    names = list(failed)
    whole = all(re.fullmatch(r"[^\s\[]+\.py::[^\[]+", name) for name in names)
    return "\n".join(names) if names and whole else chosen


def passes(name: str, outcomes: Mapping[str, Outcome]) -> bool:
    """Whether the test of this name passed.

    Names in SWE-bench's data come out of printed logs: unittest's `test_x (module.Class)`, and
    names of parameters cut at their first blank, which then mean every test that begins so.
    """
    if name in outcomes:
        return outcomes[name] == "passed"
    printed = _PRINTED.match(name)
    if printed is not None:
        place = printed["place"].removesuffix(f".{printed['test']}")
        return outcomes.get(f"{place}.{printed['test']}") == "passed"
    cut = [outcome for known, outcome in outcomes.items() if known.startswith(f"{name} ")]
    return "[" in name and bool(cut) and all(outcome == "passed" for outcome in cut)


def verdict(instance: Instance, outcomes: Mapping[str, Outcome], ran: SuiteRun) -> HiddenVerdict:
    """What the outcomes say. A test that must pass and has no result did not pass."""
    wanted = (*instance.FAIL_TO_PASS, *instance.PASS_TO_PASS)
    failed = tuple(name for name in wanted if not passes(name, outcomes))
    if not outcomes:
        why = "the time limit was reached" if ran.timed_out else f"exit {ran.exit_code}"
        return HiddenVerdict(
            resolved=False, failed=failed, problem=f"no hidden test has a result ({why})"
        )
    return HiddenVerdict(resolved=not failed, failed=failed)


async def judge_hidden(
    instance: Instance, patch: str, open_fresh: OpenSandbox, timeout_s: float = 600.0
) -> HiddenVerdict:
    """Apply the patch and then the hidden tests to a fresh tree, and run these.

    What the patch does to files that the hidden tests bring is left out, as SWE-bench does it: its
    own tests stay where they do not collide. Raises `SandboxError` when the sandbox fails.
    """
    brought = [path for path, _ in split_files(instance.test_patch)]
    own = without_files(patch, brought)
    if not own.strip():
        return HiddenVerdict(resolved=False, problem="the patch changes nothing but hidden tests")
    sandbox = await open_fresh()
    try:
        command = instance.test_command or await find_test_command(sandbox)
        try:
            await sandbox.apply(own)
        except PatchRefused as problem:
            return HiddenVerdict(resolved=False, problem=f"the patch does not apply: {problem}")
        try:
            await sandbox.apply(instance.test_patch)
        except PatchRefused as problem:
            return HiddenVerdict(resolved=False, problem=f"the tests do not apply: {problem}")
        names = (*instance.FAIL_TO_PASS, *instance.PASS_TO_PASS)
        chosen = selection(names, filter(is_test, brought))
        ran = await run_suite(sandbox, command, chosen, timeout_s)
        first = verdict(instance, ran.outcomes, ran)
        if first.resolved or not ran.outcomes:
            return first
        # A test may fail for the machine's load, and not for the patch: once more, by itself.
        alone = await run_suite(sandbox, command, rerun_selection(first.failed, chosen), timeout_s)
        steady = tuple(name for name in first.failed if not passes(name, alone.outcomes))
        return first.model_copy(
            update={
                "resolved": not steady,
                "failed": steady,
                "passed_alone": tuple(name for name in first.failed if name not in steady),
            }
        )
    except NoTests as problem:
        return HiddenVerdict(resolved=False, problem=str(problem))
    finally:
        await sandbox.close()
