"""Merged fixes replayed: what of a fix is replayed in each mode, and what the gate said of it."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from agent.errors import AgentError
from agent.evaluation.hidden import split_files
from agent.evaluation.instances import Instance
from agent.evaluation.replayed_tests import DeclaredTests, declared_tests
from agent.evaluation.results import InstanceResult
from agent.evaluation.statistics import Share, share
from agent.gate.compare import function_of
from agent.gate.patch.apply import patched_text
from agent.gate.patch.changed_file import changed_texts
from agent.gate.patch.parse import BadPatch, parse_patch, without_hunks
from agent.gate.rules.test_weakening import inherited_names, new_test_names
from agent.model import Record
from agent.models.replay import Replay
from agent.models.replay_mode import ReplayMode
from agent.testing import selection as selecting
from agent.testing.paths import is_code, is_source, is_test
from agent.testing.runners import kind_of

MOST_NAMED = 20
"""More failing tests than so are run by their files."""


class NotReplayable(AgentError):
    """A fix that a mode says nothing of; the message says why."""


def replay_of(instance: Instance, base: Mapping[str, str], mode: ReplayMode) -> Replay:
    """What is replayed of an instance's fix.

    `base` holds the texts before of the files that the hidden tests change. Raises `NotReplayable`.
    """
    if not instance.patch:
        raise NotReplayable("its fix is not known")
    if not instance.test_command:
        raise NotReplayable("no command that runs its tests is known, and none was found")
    source = instance.patch
    if mode == "partial":
        source = without_last_change(source)
    fixed = _fixed_tests(instance, base)
    failing = list(instance.FAIL_TO_PASS)
    if mode == "narrow":
        failing = failing[:1]
        fixed = {
            path: without_other_tests(base.get(path, ""), text, failing[0])
            for path, text in fixed.items()
        }
    declared = {
        path: declared_tests(path, base[path], text, failing)
        if path in base
        else DeclaredTests(text=text)
        for path, text in fixed.items()
        if PurePosixPath(path).name != "conftest.py"  # no reproduction may bring one
    }
    renamed = dict(pair for tests in declared.values() for pair in tests.renamed)
    former = {
        new: old
        for path, text in fixed.items()
        for old, new in new_test_names(changed_texts(path, base.get(path, ""), text)).items()
    }
    failing = [
        f"{renamed.get(function_of(name), function_of(name))}{name.removeprefix(function_of(name))}"
        for name in failing
    ]
    edited = {name for tests in declared.values() for name in tests.contested}
    edited |= {
        name
        for path, text in base.items()
        if path.endswith(".py")
        for name, written in inherited_names(path, text).items()
        if written in edited
    }
    tests = dict.fromkeys(former.get(n, n) for n in map(function_of, failing))
    named = tuple(test for test in tests if _may_be_edited(test, edited))
    files = {p: tests.text for p, tests in declared.items() if tests.text != base.get(p)}
    return Replay(
        mode=mode,
        command=failing_command(instance.test_command, failing, files),
        files=files,
        source_patch=source,
        why=instance.problem_statement,
        contested=named,
        beside=tuple(b for tests in declared.values() for b in tests.beside),
    )


def _may_be_edited(test: str, edited: Collection[str]) -> bool:
    """Whether a failing test is one of those edited: itself, by its file, or by data it reads."""
    return (
        test in edited
        or test.partition("::")[0] in edited
        or any("::" not in name and not is_code(name) for name in edited)
    )


def _fixed_tests(instance: Instance, base: Mapping[str, str]) -> dict[str, str]:
    try:
        changes = parse_patch(instance.test_patch)
        texts = {c.path: patched_text(base.get(c.path), c, instance.test_patch) for c in changes}
    except BadPatch as problem:
        raise NotReplayable(f"its tests' change cannot be applied: {problem}") from None
    return {path: text for path, text in texts.items() if text is not None}


def without_last_change(patch: str) -> str:
    """A fix without its last hunk of source. Raises `NotReplayable` where it has but one."""
    try:
        hunks = [h for c in parse_patch(patch) if is_source(c.path) for h in c.hunks]
        if len(hunks) < 2:
            raise NotReplayable("its source has only one hunk")
        return without_hunks(patch, {hunks[-1]})
    except BadPatch as problem:
        raise NotReplayable(f"its patch cannot be read: {problem}") from None


def without_other_tests(base: str, fixed: str, kept: str) -> str:
    """A Python test file without the tests that the fix added, but for the one of this name.

    Other languages' files, and what cannot be parsed, stay as they are.
    """
    try:
        before, after = ast.parse(base), ast.parse(fixed)
    except (SyntaxError, ValueError):
        return fixed
    known = {name for name, _ in _functions(before)}
    wanted = re.split(r"::|\.", kept.partition("[")[0])[-1]
    dropped: set[int] = set()
    for name, node in _functions(after):
        if node.name.startswith("test") and name not in known and node.name != wanted:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            dropped |= set(range(first, (node.end_lineno or first) + 1))
    lines = fixed.split("\n")
    narrowed = "\n".join(line for n, line in enumerate(lines, 1) if n not in dropped)
    try:
        ast.parse(narrowed)
    except SyntaxError:  # a class that lost all it had
        return fixed
    return narrowed


def _functions(tree: ast.Module) -> Iterable[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def failing_command(command: str, failing: Sequence[str], files: Iterable[str]) -> str:
    """The test command on the failing tests alone, as a person would type it."""
    paths = sorted(path for path in files if is_test(path))
    match kind_of(command):
        case "pytest":
            names = list(failing)
            if len(names) > MOST_NAMED or not all("::" in name for name in names):
                names = paths
            return f"{selecting.without_paths(command)} {shlex.join(names)}"
        case "jest" | "vitest":
            only = failing[0].split("::", 1)[-1] if len(failing) == 1 else ""
            title = f" -t {shlex.quote(re.escape(only))}" if only else ""
            return f"{command} {shlex.join(paths)}{title}"
        case "mocha":
            titles = [name.split("::", 1)[-1] for name in failing[:MOST_NAMED]]
            return f"{command} -g {shlex.quote('|'.join(map(re.escape, titles)))}"
        case "tap":
            own = [path for path in paths if path in {name.split("::")[0] for name in failing}]
            return f"{command} {shlex.join(own)}".rstrip()
        case _:
            return command


class ReplayRow(Record):
    """One replayed fix."""

    instance_id: str
    verdict: str
    """The gate's; `not submitted` where the fix did not come to it, `error` where nothing ran."""
    right: bool
    """Whether what was published passes the hidden tests."""
    same_source: bool
    """Whether its source is what was merged, exactly."""
    reasons: tuple[str, ...] = ()


class ReplayReport(Record):
    """What the gate said about merged fixes."""

    mode: ReplayMode
    accepted: Share
    """`proven` or `contested`, of all that were tried."""
    made_wrong: tuple[str, ...]
    """Instances whose published source is not what was replayed and fails the hidden tests."""
    wrong_proven: Share
    """Called proven, of those that the hidden tests show to be wrong."""
    rows: tuple[ReplayRow, ...]


def replay_report(
    mode: ReplayMode, instances: Sequence[Instance], results: Mapping[str, InstanceResult]
) -> ReplayReport:
    """The report of a replay, from its results."""
    rows = tuple(_row(i, results.get(i.instance_id), mode) for i in instances)
    tried = [row for row in rows if row.verdict != "error"]
    wrong = [row for row in tried if not row.right]
    return ReplayReport(
        mode=mode,
        accepted=share(sum(r.verdict in ("proven", "contested") for r in tried), len(tried)),
        made_wrong=tuple(
            r.instance_id
            for r in tried
            if r.verdict == "proven" and not r.right and not r.same_source
        ),
        wrong_proven=share(sum(r.verdict == "proven" for r in wrong), len(wrong)),
        rows=rows,
    )


def _row(instance: Instance, result: InstanceResult | None, mode: ReplayMode) -> ReplayRow:
    if result is None or result.status == "error" or not result.attempts:
        why = result.error if result is not None else "it was not tried"
        return ReplayRow(
            instance_id=instance.instance_id,
            verdict="error",
            right=False,
            same_source=False,
            reasons=(why,),
        )
    attempt = result.attempts[-1]
    try:
        replayed = without_last_change(instance.patch) if mode == "partial" else instance.patch
    except NotReplayable:
        replayed = instance.patch
    return ReplayRow(
        instance_id=instance.instance_id,
        verdict=attempt.verdict or "not submitted",
        right=attempt.hidden.resolved,
        same_source=source_lines(attempt.patch) == source_lines(replayed),
        reasons=attempt.reasons,
    )


def source_lines(patch: str) -> list[tuple[str, str]]:
    """Added and removed lines of source files, in order: what two equal changes have in common."""
    return [
        (path, line)
        for path, part in sorted(split_files(patch))
        if is_source(path) and not is_test(path)
        for line in part.split("\n")
        if line.startswith(("+", "-")) and not line.startswith(("+++ ", "--- "))
    ]
