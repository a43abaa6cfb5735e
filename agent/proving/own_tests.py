"""Which tests of a change show something: decided from runs without it and with it."""

from __future__ import annotations

import ast
import bisect
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from agent.gate.compare import file_of, function_of
from agent.gate.patch.changed_file import ChangedFile, functions, parsed
from agent.gate.rules.test_weakening import edited_tests, inherited_names, new_test_names
from agent.model import Record
from agent.models.replay import failure_words
from agent.proving.records import RED_THEN_GREEN, Said, ShownTest, Shows
from agent.proving.wanting_names import NewNames
from agent.testing.junit import cut
from agent.testing.paths import is_code
from agent.testing.report import Outcome, SuiteRun

MESSAGE_CHARS = 3000
_BAD = ("failed", "error")


class SeenRuns(Record):
    """Runs of the test files that a change touches."""

    own_before: SuiteRun
    """The base with its own tests."""
    before: tuple[SuiteRun, ...]
    """The base with the change's tests, several times."""
    after: tuple[SuiteRun, ...]
    """The change as a whole, as often."""
    old_after: SuiteRun
    """The change with the base's version of the tests."""


def shown_tests(
    seen: SeenRuns,
    edited: Collection[str],
    new_names: NewNames | None = None,
    test_files: Collection[str] = (),
) -> tuple[ShownTest, ...]:
    """What the runs say of each test that is the change's own.

    Its own are those that the base does not have, those in `edited` (functions, by the names that
    they have with the change), and those that it makes pass. `new_names` tells those that fail
    only as they use one of them; `test_files` are the change's.
    """
    known = seen.own_before.outcomes
    names = dict.fromkeys(name for run in seen.after for name in run.outcomes)
    found = []
    for name in names:
        said = _said(_in_each(name, seen.before), _in_each(name, seen.after))
        own = name not in known or is_edited(name, edited)
        if own or said == "shows the bug":
            runs = seen.after if said == "fails with the change" else seen.before
            wanting = ""
            if said == "shows the bug" and new_names is not None:
                wanting = _wanting(name, seen.before, new_names, test_files)
            found.append(
                ShownTest(
                    name=name,
                    said="lacks a new name without the change" if wanting else said,
                    message=_message(name, runs),
                    wanting=wanting,
                )
            )
    return tuple(found)


def _wanting(
    name: str, before: Sequence[SuiteRun], new_names: NewNames, test_files: Collection[str]
) -> str:
    """The new name for want of which a test failed in each run; empty if it was not so."""
    said = {
        new_names.explain(result.message, test_files)
        for run in before
        for result in run.results
        if result.name == name
    }
    return said.pop() if len(said) == 1 else ""


def is_edited(name: str, edited: Collection[str]) -> bool:
    """Whether a test is among those that a change edits; scripts' are known by their titles."""
    if function_of(name) in edited:
        return True
    path = file_of(name)
    titles = [e.partition("::")[2] for e in edited if not e.partition("::")[0].endswith(".py")]
    return not path.endswith(".py") and any(name.endswith(title) for title in titles if title)


def _in_each(name: str, runs: Sequence[SuiteRun]) -> list[Outcome | None]:
    return [run.outcomes.get(name) for run in runs]


def _said(before: Sequence[Outcome | None], after: Sequence[Outcome | None]) -> Said:
    if any(outcome != "passed" for outcome in after):
        if all(outcome in _BAD for outcome in after):
            return "fails with the change"
        return "is skipped" if set(after) == {"skipped"} else "is flaky"
    if all(outcome in _BAD for outcome in before):
        return "shows the bug"
    if len(set(before)) > 1:
        return "is flaky"
    if before[0] is None:
        return "is not loaded without the change"
    return "is skipped" if before[0] == "skipped" else "passes without the change"


def _message(name: str, runs: Sequence[SuiteRun]) -> str:
    said = (r.message for run in runs for r in run.results if r.name == name and r.message)
    return cut(next(said, ""), MESSAGE_CHARS)


def edited_functions(files: Sequence[ChangedFile]) -> frozenset[str]:
    """Tests that a change edits or renames, by the names that they have with it; those of scripts
    by their file and title."""
    found: set[str] = set()
    for file in files:
        names = new_test_names(file)
        edited = {names.get(test, test) for test in edited_tests(file) if "::" in test}
        edited |= _rewritten(file) | _edited_titles(file)
        if file.path.endswith(".py") and file.patched is not None:
            inherited = inherited_names(file.path, file.patched)
            edited |= {name for name, written in inherited.items() if written in edited}
        found |= edited
    return frozenset(found)


def _rewritten(file: ChangedFile) -> set[str]:
    """Python tests of which any statement is another, whether they ask for more, less or else."""
    before, after = parsed(file.base), parsed(file.patched)
    if before is None or after is None or not file.path.endswith(".py"):
        return set()
    old = {name: ast.dump(node) for name, node in functions(before)}
    return {
        f"{file.path}::{name.replace('.', '::')}"
        for name, node in functions(after)
        if name in old and ast.dump(node) != old[name]
    }


_TITLE = re.compile(r"""\b(?:it|test|specify)(?:\.\w+)*\(\s*(["'`])(.+?)\1\s*,""")


def _edited_titles(file: ChangedFile) -> set[str]:
    """Tests of a script in which the change adds or takes lines, by the title above them."""
    if file.base is None or file.patched is None or not is_code(file.path):
        return set()
    if file.path.endswith(".py"):
        return set()
    touched = {*_titles_above(file.base, file.removed), *_titles_above(file.patched, file.added)}
    kept = {match[2] for match in _TITLE.finditer(file.patched)}
    return {f"{file.path}::{title}" for title in touched & kept}


def _titles_above(text: str, lines: Sequence[tuple[int, str]]) -> Iterator[str]:
    titles = [
        (number, match[2])
        for number, line in enumerate(text.splitlines(), 1)
        if (match := _TITLE.search(line))
    ]
    numbers = [number for number, _ in titles]
    for number, _ in lines:
        at = bisect.bisect_right(numbers, number)
        if at:
            yield titles[at - 1][1]


def contradicted_tests(
    seen: SeenRuns, shown: Collection[str], files: Sequence[ChangedFile]
) -> tuple[str, ...]:
    """Existing tests (functions) that the change had to edit: their former selves fail with it.

    They pass in the base, and as they are edited they show the bug (`shown`).
    """
    now = {old: new for file in files for old, new in new_test_names(file).items()}
    functions = {function_of(name) for name in shown}
    changed = {file.path for file in files}
    before, after = seen.own_before.outcomes, seen.old_after.outcomes
    return tuple(
        dict.fromkeys(
            function
            for name, outcome in before.items()
            if outcome == "passed"
            and after.get(name) in _BAD
            and (function := function_of(name))
            and now.get(function, function) in functions
            and file_of(function) in changed
        )
    )


def telling_words(seen: SeenRuns, shown: Collection[str]) -> str:
    """Words that tell why a test fails without the change, the same in each run; perhaps none."""
    said = [
        "\n".join(r.message for r in run.results if r.name in shown and r.outcome in _BAD)
        for run in seen.before
    ]
    return next((w for w in failure_words(said[0]) if all(w in text for text in said)), "")


def what_is_shown(tests: Sequence[ShownTest]) -> Shows:
    """What a change's tests are red for without it. One that shows a bug is enough for a bug."""
    said = {test.said for test in tests}
    if "shows the bug" in said:
        return "a bug"
    return "something new" if said & {*RED_THEN_GREEN} else ""


def why_nothing_is_shown(tests: Sequence[ShownTest], changed: Mapping[str, str]) -> tuple[str, ...]:
    """Why no test of a change shows a bug, in sentences. `changed`: its test files."""
    if not changed:
        return ("Nothing shows the bug: the change adds or changes no test.",)
    if not tests:
        files = _list(sorted(changed))
        return (f"Nothing shows the bug: no test of the change was found in {files}.",)
    sentences = []
    for said, words in _WHY.items():
        names = [test.name for test in tests if test.said == said]
        if names:
            sentences.append(f"{words}: {_list(names)}.")
    return tuple(sentences)


_WHY: Mapping[Said, str] = {
    "passes without the change": "These tests pass without the change as well, so they prove "
    "nothing",
    "fails with the change": "These tests fail with the change",
    "is not loaded without the change": "These tests cannot be loaded without the change, so they "
    "show that something is new and not that a bug is gone",
    "is skipped": "These tests are skipped",
    "is flaky": "These tests do not end the same way each time",
}
_NAMED = 10


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
