"""What the outcomes as a plain program say, without and with a patch."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from agent.gate.plain.records import ELSEWHERE, ENDED, PLAIN, REACHED, PlainOutcome
from agent.journal.events import Check

_OF_FILES = frozenset({"FileNotFoundError", "NotADirectoryError", "OSError"})
"""What a test raises in another folder if it names its files from its own."""


def to_compare(outcomes: Mapping[str, PlainOutcome]) -> tuple[str, ...]:
    """The tests that did not pass: what they do without the patch decides what that means."""
    return tuple(name for name, seen in outcomes.items() if seen.outcome != "passed")


def plain_check(
    declared: Collection[str],
    base: Mapping[str, PlainOutcome],
    patched: Mapping[str, PlainOutcome],
    base_output: str,
) -> Check:
    """What the outcomes as a plain program say, without and with the patch.

    `declared`: the reproduction's files, which passes with the patch where its runner runs it;
    `base_output`: what it printed there without the patch. It counts only if it failed as a plain
    program at the same line, so that the bug is what was seen, and it still fails there.
    """
    broken, still, lost, ended, reached = [], [], [], [], []
    # Code that looked for its callers before may say where it was called from, and elsewhere the
    # test has other names than it expects.
    callers = {name.partition("::")[0] for name in base if f"frame{REACHED}" in name}
    for name in to_compare(patched):
        before, after = base.get(name), patched[name]
        if before is None:
            reached += [name] * (REACHED in name)
        elif after.raised == ENDED and before.raised != ENDED:
            ended.append(name)
        elif name.endswith(ELSEWHERE) and before.raised in _OF_FILES:
            continue
        elif after.outcome == "left out":
            lost += [name] * (before.outcome != "left out")
        elif before.outcome == "passed":
            broken.append(name)
        elif name.endswith(ELSEWHERE) and name.partition("::")[0] in callers:
            continue
        elif name.partition("::")[0] in declared and before.line == after.line:
            still += [name] * _is_what_was_seen(base_output, name.partition("::")[0], before)
    said = []
    if still:
        said.append(
            f"As a plain program, without a test runner, {_list(still)} still fails with the "
            "patch: the code does something else when it is tested."
        )
    if broken:
        said.append(
            f"As a plain program, without a test runner, {_list(broken)} passes without the patch "
            "and fails with it."
        )
    if ended:
        said.append(f"With the patch the process ends before {_list(ended)} does.")
    if lost:
        said.append(
            f"As a plain program, without a test runner, {_list(lost)} runs without the patch and "
            "does not run with it."
        )
    if reached:
        events = sorted({name.partition("::")[2].partition(REACHED)[0] for name in reached})
        said.append(
            f"With the patch the code reaches for the process that runs it ({_list(events)}), "
            "which it did not do before."
        )
    ran = [name for name, seen in patched.items() if seen.outcome == "passed" and _is_a_test(name)]
    well = f"{len(ran)} tests pass as a plain program as well."
    if not any(name.partition("::")[0] in declared for name in ran):
        well += " The reproduction is not among them: it needs what only its runner gives."
    return Check(name=PLAIN, ok=not said, detail=" ".join(said) or well)


def _is_a_test(name: str) -> bool:
    """Whether an outcome is one of a test, and not of loading or building its file."""
    return not name.partition("::")[2].removesuffix(ELSEWHERE).startswith("(")


def _is_what_was_seen(output: str, path: str, before: PlainOutcome) -> bool:
    """Whether a test failed, and its runner saw it fail at the same place."""
    if before.outcome != "failed" or not before.line:
        return False
    pure = PurePosixPath(path)
    names = [re.escape(path)]
    if pure.suffix != ".py":
        # Runners of other languages say the file's name alone, or the method of its class.
        names += [re.escape(pure.name), rf"{re.escape(pure.stem)}\.\w+"]
    elif before.raised not in output:
        return False
    return re.search(rf"(?:{'|'.join(names)})(?:\"?, line |:){before.line}\b", output) is not None


def _list(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
