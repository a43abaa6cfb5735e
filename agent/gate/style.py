"""The style of a patch: the project's own programs on its files, without it and with it.

Advice and no proof: what cannot run is named, and no complaint takes a proof away. The programs
run in a fresh sandbox under the configuration of the base; which run is decided from the base's
files and the maintainers' documents, and what counts is what the patched files are said to do more
often than before.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.gate.patch.changed_file import ChangedFile
from agent.gate.proof import fresh_sandbox
from agent.gate.sandbox_runs import write_files
from agent.gate.steps import Evidence, HeldPatch
from agent.journal.events import CONVENTIONS, STYLE, Check
from agent.model import Record
from agent.style.complaints import Complaint, complaints, new_complaints
from agent.style.configured import CONFIGURATION, files_to_read, is_anything_set_up
from agent.style.habits import habit_sentence, missed
from agent.style.plan import style_plan
from agent.style.suppressions import suppressions
from agent.style.tools import StyleCommand
from agent.testing.junit import cut
from agent.testing.suite import read_text
from sandbox.errors import PatchRefused
from sandbox.protocol import WORKDIR, Sandbox

COMMAND_S = 180.0
"""Most seconds of one command on one side."""
_SHOWN = 10
"""Most complaints that are named."""
_SHOWN_CHARS = 4000
_NOT_INSTALLED = (127, 126)
"""A shell's own statuses for a program that is not there or cannot be run (POSIX)."""


class _Run(Record):
    """What one command said on one side."""

    exit_code: int | None
    output: str
    found: tuple[Complaint, ...]


class _Compared(Record):
    """What one command says about the patch."""

    command: StyleCommand
    new: tuple[Complaint, ...] = ()
    why_not: str = ""
    """Why it could not run; empty: it did."""


async def project_rules(held: HeldPatch) -> Evidence:
    """Look at style, and at what the project's own fixes nearly always touch besides."""
    rules = held.rules
    if rules is None:
        return Evidence()
    shown = []
    if (style := await _style(held)) is not None:
        shown.append(style)
    if rules.habits:
        left = missed(rules.habits, [file.path for file in held.files])
        told = [*left, *(habit for habit in rules.habits if habit not in left)]
        words = [
            f"{habit_sentence(habit)} This patch does {'not' if habit in left else 'too'}."
            for habit in told
        ]
        shown.append(Check(name=CONVENTIONS, ok=True, advice=bool(left), detail=" ".join(words)))
    return Evidence(checks=tuple(shown))


async def _style(held: HeldPatch) -> Check | None:
    """The check; None where the project has nothing that looks at these files."""
    assert held.rules is not None
    files = [file for file in held.files if file.patched is not None]
    paths = [file.path for file in files]
    present = frozenset(held.case.base_files)
    if not held.rules.documents and not is_anything_set_up(paths, present):
        return None
    if held.allowance.used_up:
        return Check(name=STYLE, ok=True, advice=True, detail="The time for evidence was used up.")
    async with fresh_sandbox(held.open_fresh) as sandbox:
        texts = {
            path: text
            for path in files_to_read(paths, present)
            if (text := await read_text(sandbox, path)) is not None
        }
        plan = style_plan(paths, present, texts, held.rules.documents)
        marks = _marks(files) if plan.commands or plan.not_run else []
        if not plan.commands and not plan.not_run:
            return None
        if plan.commands:
            held.progress.begins("style")
        compared, outputs = await _compare(held, sandbox, plan.commands, files)
    return _check(compared, plan.not_run, marks, outputs, files)


async def _compare(
    held: HeldPatch,
    sandbox: Sandbox,
    commands: Sequence[StyleCommand],
    files: Sequence[ChangedFile],
) -> tuple[list[_Compared], tuple[str, str]]:
    """Each command's new complaints; and what all of them printed without and with the patch."""
    clean = await sandbox.snapshot()
    old = {file.path for file in files if file.base is not None}
    before = []
    for command in commands:
        before.append(await _run(held, sandbox, command, [p for p in command.files if p in old]))
        await sandbox.restore(clean)
    try:
        await sandbox.apply(held.submitted)
    except PatchRefused:
        return [], ("", "")
    await _keep_configuration(sandbox, held.files)
    settled = await sandbox.snapshot()
    after = []
    for command in commands:
        after.append(await _run(held, sandbox, command, command.files))
        await sandbox.restore(settled)
    added = {file.path: {number for number, _ in file.added} for file in files}
    compared = [
        _compared(command, one, other, added)
        for command, one, other in zip(commands, before, after, strict=True)
    ]
    return compared, (_printed(commands, before), _printed(commands, after))


async def _keep_configuration(sandbox: Sandbox, files: Sequence[ChangedFile]) -> None:
    """A patch is judged under the configuration of its base."""
    own = [f for f in files if f.path.rpartition("/")[2] in CONFIGURATION]
    kept = {file.path: file.base for file in own if file.base is not None}
    await write_files(sandbox, kept, exact=True)
    for file in own:
        if file.base is None:
            await sandbox.write(file.path, b"")


async def _run(
    held: HeldPatch, sandbox: Sandbox, command: StyleCommand, files: Sequence[str]
) -> _Run | None:
    """What a command says about files; None where there is nothing for it, or no time left."""
    tool = command.tool
    if (tool is None or tool.takes_files) and not files:
        return None
    if held.allowance.used_up:
        return None
    line = f"cd {WORKDIR} && {command.line(files)} </dev/null"
    ran = await sandbox.run(line, timeout_s=min(COMMAND_S, max(held.allowance.left_s, 1.0)))
    found = complaints(ran.text, command.files, command.folder)
    return _Run(
        exit_code=None if ran.timed_out else ran.exit_code, output=ran.text, found=tuple(found)
    )


def _compared(
    command: StyleCommand,
    before: _Run | None,
    after: _Run | None,
    added: dict[str, set[int]],
) -> _Compared:
    if after is None:
        return _Compared(command=command, why_not="the time for evidence was used up")
    for side in (before, after):
        if side is not None and (why := _why_not(command, side)):
            return _Compared(command=command, why_not=why)
    earlier = before.found if before is not None else ()
    new = new_complaints(earlier, after.found, added)
    failed_only_now = after.exit_code != 0 and (before is None or before.exit_code == 0)
    if not new and failed_only_now and not after.found:
        last = next((line for line in reversed(after.output.splitlines()) if line.strip()), "")
        said = f"it fails with status {after.exit_code} and did not without the patch: {last[:300]}"
        new = [Complaint(path=command.files[0], line=0, said=said)]
    return _Compared(command=command, new=tuple(new))


def _why_not(command: StyleCommand, run: _Run) -> str:
    """Why a run says nothing about style; empty where it does."""
    if run.exit_code is None:
        return f"it took longer than {COMMAND_S:.0f} s"
    if run.exit_code in _NOT_INSTALLED:
        return "it is not installed in the sandbox"
    last = next((line for line in reversed(run.output.splitlines()) if line.strip()), "")
    tool = command.tool
    if tool is not None and run.exit_code not in tool.complains:
        return f"it ended with status {run.exit_code}: {last[:200]}"
    if tool is not None and tool.takes_files and run.exit_code != 0 and not run.found:
        return f"it ended with status {run.exit_code}: {last[:200]}"
    return ""


def _marks(files: Sequence[ChangedFile]) -> list[Complaint]:
    return [
        Complaint(path=file.path, line=line, said=f"the patch adds `{mark}`")
        for file in files
        for line, mark in suppressions(file.added)
        if mark not in (file.base or "") or not _same(file, mark)
    ]


def _same(file: ChangedFile, mark: str) -> bool:
    """Whether a removed line held the remark as well."""
    return any(mark in line for _, line in file.removed)


def _check(
    compared: Sequence[_Compared],
    not_run: Sequence[str],
    marks: Sequence[Complaint],
    outputs: tuple[str, str],
    files: Sequence[ChangedFile],
) -> Check:
    parts = []
    new = False
    clean = [one.command for one in compared if not one.why_not and not one.new]
    if clean:
        count = f"{len(files)} changed file{'s' if len(files) != 1 else ''}"
        named = ", ".join(f"`{command.name}` ({command.source})" for command in clean)
        parts.append(f"{named}: nothing new in {count}.")
    for one in compared:
        if one.new:
            new = True
            more = f" and {len(one.new) - _SHOWN} more" if len(one.new) > _SHOWN else ""
            said = "; ".join(c.shown for c in one.new[:_SHOWN])
            parts.append(f"`{one.command.shown}` ({one.command.source}) says: {said}{more}.")
    if marks:
        new = True
        parts.append(f"{'; '.join(mark.shown for mark in marks[:_SHOWN])}.")
    parts += [
        f"`{one.command.name}` ({one.command.source}) was not run: {one.why_not}."
        for one in compared
        if one.why_not
    ]
    parts += [f"Not run: {sentence}" for sentence in not_run]
    return Check(
        name=STYLE,
        ok=True,
        advice=new or not clean,
        detail=" ".join(parts),
        command="\n".join(one.command.shown for one in compared if not one.why_not),
        before=outputs[0] if new else "",
        after=outputs[1] if new else "",
    )


def _printed(commands: Sequence[StyleCommand], runs: Sequence[_Run | None]) -> str:
    return cut(
        "\n".join(
            f"$ {command.shown}\n{run.output.strip()[:_SHOWN_CHARS]}"
            for command, run in zip(commands, runs, strict=True)
            if run is not None
        ),
        _SHOWN_CHARS,
    )
