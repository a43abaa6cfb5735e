"""The rules of the gate that need no run: all reasons to refuse a patch as it is written."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent.gate.patch.changed_file import ChangedFile, added_part
from agent.gate.regression_test import normalised_path, tree_files
from agent.gate.rules.code_in_data import data_refusals
from agent.gate.rules.constant_answers import constant_answers
from agent.gate.rules.manifests.dependencies import dependency_changes
from agent.gate.rules.reproduction import reproduction_refusals
from agent.gate.rules.shadowing import collisions, shadowing
from agent.gate.rules.special_casing import special_casing
from agent.gate.rules.test_additions import addition_refusals
from agent.gate.rules.test_options import option_refusals
from agent.gate.rules.test_weakening import weakening
from agent.gate.rules.tricks import chance_or_time, tricks
from agent.gate.rules.unreadable import unread_changes, unreadable
from agent.gate.rules.whole_functions import function_refusals
from agent.journal.events import JUSTIFIABLE, UNREAD, ReproductionDeclared
from agent.model import Record
from agent.task import GatePolicy, Issue
from agent.testing.collection import PytestCollection


class Base(Record):
    """What is known of the repository before the patch."""

    files: tuple[str, ...]
    installed: tuple[str, ...]
    """Names of top-level modules that the sandbox's Python can import from outside the tree."""
    fixtures: tuple[str, ...] = ()
    """Names of functions that may be fixtures; only looked for where a conftest is new."""
    collection: PytestCollection = PytestCollection()
    """What pytest takes for tests."""


def refusals(
    files: Sequence[ChangedFile],
    base: Base,
    reproduction: ReproductionDeclared | None,
    issue: Issue,
    policy: GatePolicy,
    command: str = "",
    contested: Collection[str] = (),
) -> dict[str, tuple[str, ...]]:
    """Reasons to refuse, by the name of the check that found them; empty where all is well.

    `command` is what runs the tests; `contested` tests may be changed.
    """
    declared = reproduction if reproduction is not None and reproduction.command else None
    own = tree_files(declared) if declared is not None else {}
    patched = {file.path: file.patched for file in files}
    # The reproduction's own files are judged as a reproduction; but where one replaces a file of
    # the base, it must not weaken the tests in it.
    judged = [file for file in files if file.path not in own]
    if unread := unreadable(files):
        # Rules that look at the whole file would fail on it, or see nothing.
        return {"honest code": unread}
    said = _added_by_reproduction(declared, files) if declared is not None else {}
    return {
        "tests are kept": tuple(r for file in files for r in weakening(file, contested)),
        "test options are kept": tuple(
            r for file in judged for r in option_refusals(file, command, base.fixtures)
        ),
        "no module is shadowed": (
            *shadowing(_added(files, own, base.files), base.files, base.installed),
            *collisions(_added(files, own, base.files), base.files),
        ),
        "honest code": tuple(
            reason
            for file in judged
            for reason in (
                *tricks(file, issue),
                *constant_answers(file),
                *function_refusals(file),
                *(special_casing(file, said, declared.command) if declared is not None else ()),
            )
        )
        + (data_refusals(judged, said, declared.command) if declared is not None else ()),
        UNREAD: unread_changes(judged),
        JUSTIFIABLE[0]: tuple(r for file in judged for r in chance_or_time(file, issue)),
        JUSTIFIABLE[2]: dependency_changes(files),
        "honest reproduction": (
            (
                *reproduction_refusals(
                    declared, base.files, patched, policy, said, base.collection
                ),
                *(
                    reason
                    for file in files
                    if file.path in own and file.base is not None and file.patched is not None
                    for reason in addition_refusals(file.path, file.base, file.patched)
                ),
            )
            if declared is not None
            else ()
        ),
    }


def _added_by_reproduction(
    declared: ReproductionDeclared, files: Sequence[ChangedFile]
) -> dict[str, str]:
    """What a reproduction's files say that the base did not."""
    bases = {normalised_path(file.path): file.base for file in files}
    return {
        path: added_part(path, bases.get(normalised_path(path)), text)
        for path, text in declared.files.items()
    }


def _added(files: Sequence[ChangedFile], own: Collection[str], base: Collection[str]) -> list[str]:
    new = {file.path for file in files if file.base is None and file.patched is not None}
    return sorted(new | (set(own) - set(base)))
