"""`reproduction`: declare what shows the bug; it is run at once and must fail as claimed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from pydantic import Field

from agent.gate.chance import MOST_RUNS, RUNS_IF_FLAKY, passes_needed, share
from agent.gate.patch.changed_file import changed_texts
from agent.gate.regression_test import normalised_path
from agent.gate.rules.reproduction import outside_path_refusal
from agent.gate.rules.test_additions import addition_refusals
from agent.gate.rules.test_weakening import edited_tests, weakening
from agent.journal.events import ReproductionDeclared
from agent.snapshots import take_snapshot
from agent.testing.paths import is_test
from agent.testing.runners import in_tree
from agent.testing.vacuous import why_vacuous
from agent.text.control_tokens import restore
from agent.text.truncate import cut
from agent.tools.shell import ending
from agent.tools.tool import Arguments, Reply, ToolContext, refusal_reply
from sandbox.errors import FileMissing, FileRefused
from sandbox.protocol import WORKDIR, CommandResult, Sandbox

RUNS = 3

_VAGUE = re.compile(
    r"\W*(?:\d+ )?(?:e|errors?|fail(?:s|ed|ures?)?|exceptions?|traceback(?: \(most.*)?|assert)\W*",
    re.IGNORECASE,
)
"""Words that fit any failure, so that they claim nothing."""
_CANNOT_RUN = (126, 127)
_NEW_FILE = re.compile(r"^--- /dev/null\n\+\+\+ b/(.+)$", re.M)


class ReproductionArguments(Arguments):
    """What shows the bug."""

    command: str = Field("", description="Fails while the bug is there, passes once it is gone.")
    files: dict[str, str] = Field(
        default_factory=dict, description="Files it needs, path → content; they are written first."
    )
    expected_failure: str = Field(
        "", description="Words of the failing output that show it is this bug."
    )
    why_none: str = Field("", description="Instead: why no reproduction is possible (draft only).")


async def reproduction(context: ToolContext, args: ReproductionArguments) -> Reply:
    """Write its files, run it three times, accept it when it fails for the reason claimed."""
    if args.why_none and not args.command:
        declared = ReproductionDeclared(
            command="", expected_failure="", observed="", accepted=True, why_none=args.why_none
        )
        return Reply(
            "accepted without a reproduction: the result can only be a draft.", events=(declared,)
        )
    if not args.command or not args.expected_failure:
        return refusal_reply("give a command and, in expected_failure, words of its failing output")
    if _VAGUE.fullmatch(args.expected_failure.strip()):
        return refusal_reply(
            f"expected_failure {args.expected_failure!r} fits any failure; name this one: the "
            "exception with its message, or the assertion with its values"
        )
    for path in args.files:
        if refusal := outside_path_refusal(path, context.task.policy):
            return refusal_reply(refusal)
    files = {path: restore(content) for path, content in args.files.items()}
    try:
        present = {path: await _read_existing(context.sandbox, path) for path in files}
    except FileRefused as problem:
        return refusal_reply(str(problem))
    refusal, edited = await _overwrite_refusal(context, present, files)
    if refusal:
        return refusal_reply(refusal)
    try:
        for path, content in files.items():
            await context.sandbox.write(path, content.encode())
    except FileRefused as problem:
        await _restore_files(context.sandbox, present)
        return refusal_reply(str(problem))
    results = [
        await context.sandbox.run(
            in_tree(args.command), timeout_s=context.task.budget.tool_timeout_s
        )
        for _ in range(RUNS)
    ]
    failures = [
        r
        for r in results
        if fails_as_claimed(r, args.expected_failure) and not why_no_evidence(args.command, r)
    ]
    shown = failures[0] if failures else results[0]
    observed = cut(f"{shown.text.rstrip()}\n{ending(shown)}", "", 3000, 3000)
    declared = ReproductionDeclared(
        command=args.command,
        files=files,
        expected_failure=args.expected_failure,
        observed=observed,
        accepted=bool(failures),
        runs=RUNS,
        failures=len(failures),
    )
    if not failures:
        await _restore_files(context.sandbox, present)
        return Reply(
            f"refused: {_refusal(args.command, results[0], args.expected_failure)}\n{observed}",
            status="refused",
            events=(declared,),
            changed_tree=bool(files),
        )
    taken = await take_snapshot(context.sandbox, context.journal, "reproduction accepted")
    flaky = (
        ""
        if len(failures) == RUNS
        else f" It is flaky: it failed in {len(failures)} of {RUNS} runs; with your patch the gate "
        f"will run it about {_runs_to_rule_out_luck(len(failures))} times, and it must always pass."
    )
    return Reply(
        f"accepted: it fails as claimed.{flaky}{_to_be_named(edited)}\n{observed}",
        events=(declared, taken),
        changed_tree=bool(files),
    )


async def _read_existing(sandbox: Sandbox, path: str) -> bytes | None:
    """What is in a file before it is written; None: it is not there."""
    try:
        return await sandbox.read(path)
    except FileMissing:
        return None


async def _restore_files(sandbox: Sandbox, present: Mapping[str, bytes | None]) -> None:
    """Undo what a reproduction wrote that was not accepted."""
    new = [normalised_path(path) for path, data in present.items() if data is None]
    if new:
        await sandbox.run(f"rm -f -- {shlex.join(new)}")
    for path, data in present.items():
        if data is not None:
            await sandbox.write(path, data)


async def _overwrite_refusal(
    context: ToolContext, present: Mapping[str, bytes | None], files: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    """Why a reproduction may not be written over what is there; and the tests that it edits.

    What the model itself made in this attempt may be replaced; of the repository's own files only
    test files, and those by more tests, or by tests that say what the issue asks for.
    """
    declared = context.state.reproduction
    own = {normalised_path(p) for p in (declared.files if declared is not None else ())}
    over = {
        normalised_path(path).removeprefix(f"{WORKDIR}/"): (
            data.decode("utf-8", "replace"),
            files[path],
        )
        for path, data in present.items()
        if data is not None
        and data != files[path].encode()
        and normalised_path(path).startswith(f"{WORKDIR}/")
        and normalised_path(path) not in own
    }
    if not over:
        return "", ()
    made = set(_NEW_FILE.findall(await context.sandbox.diff()))
    edited: list[str] = []
    for path, (old, new) in over.items():
        if path in made:
            continue
        if not is_test(path):
            return (
                f"{path} exists and is no test; a reproduction must leave the code as it is. Give "
                "it a file of its own, beside the other tests."
            ), ()
        file = changed_texts(path, old, new)
        tests = edited_tests(file)
        if reasons := [*weakening(file, tests), *addition_refusals(path, old, new)]:
            return (
                "tests may be added to an existing file, and tests that contradict the issue be "
                "changed, but nothing else: " + " ".join(reasons[:3])
            ), ()
        edited += tests
    return "", tuple(edited)


def _to_be_named(edited: Sequence[str]) -> str:
    """What to do about existing tests that a reproduction edits."""
    if not edited:
        return ""
    return (
        f" It changes existing tests: {', '.join(edited)}. Where the issue contradicts them, name "
        "each in `contested` when you submit; where it does not, leave them and add tests."
    )


def _runs_to_rule_out_luck(failures: int) -> int:
    """How often a bug that showed itself so often must stay away before luck is ruled out."""
    in_twenty = round(RUNS_IF_FLAKY * failures / RUNS)
    return min(MOST_RUNS, passes_needed(RUNS_IF_FLAKY, in_twenty, share(1, 0)))


def fails_as_claimed(result: CommandResult, expected_failure: str) -> bool:
    """Whether a run failed, and with the words that were announced."""
    text = f"{result.text}\n{ending(result)}"
    return not result.ok and result.exit_code not in _CANNOT_RUN and expected_failure in text


def why_no_evidence(command: str, result: CommandResult) -> str:
    """Why a failing run shows no bug, whatever words it prints: no test ran. Empty: it may."""
    return "" if result.ok else why_vacuous(command, result.exit_code, result.text)


def _refusal(command: str, result: CommandResult, expected_failure: str) -> str:
    if result.ok:
        return "the command succeeds, so it does not show the bug."
    if result.exit_code in _CANNOT_RUN:
        return "the command cannot be run here, so it shows nothing of the bug."
    if nothing := why_no_evidence(command, result):
        return (
            f"{nothing}. A command that runs no test shows no bug; check the test's path and name."
        )
    return f"it fails, but its output does not hold {expected_failure!r}."
