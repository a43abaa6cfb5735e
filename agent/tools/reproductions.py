"""`reproduction`: declare what shows the bug; it is run at once and must fail as claimed."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence

from pydantic import Field

from agent.gate.chance import MOST_RUNS, RUNS_IF_FLAKY, passes_needed, share
from agent.gate.patch.changed_file import changed_texts
from agent.gate.patch.parse import touched_paths
from agent.gate.regression_test import normalised_path
from agent.gate.rules.reproduction import outside_path_refusal
from agent.gate.rules.test_additions import addition_refusals
from agent.gate.rules.test_weakening import edited_tests, weakening
from agent.journal.events import ReproductionDeclared
from agent.snapshots import take_snapshot
from agent.testing.paths import is_source, is_test
from agent.testing.runners import in_tree
from agent.testing.vacuous import why_vacuous
from agent.text.control_tokens import restore
from agent.text.truncate import cut
from agent.tools.shell import ending
from agent.tools.tool import Arguments, Reply, ToolContext, refusal_reply
from agent.tools.undo import Before, go_back, look
from sandbox.errors import FileRefused, SandboxGone
from sandbox.protocol import WORKDIR, CommandResult, Sandbox

RUNS = 3

_VAGUE = re.compile(
    r"\W*(?:\d+ )?(?:e|errors?|fail(?:s|ed|ures?)?|exceptions?|traceback(?: \(most.*)?|assert)\W*",
    re.IGNORECASE,
)
"""Words that fit any failure, so that they claim nothing."""
_CANNOT_RUN = (126, 127)


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
        before = await look(context.sandbox, files)
    except FileRefused as problem:
        return refusal_reply(str(problem))
    refusal, edited = await _overwrite_refusal(context, before.files, files)
    if refusal:
        return refusal_reply(refusal)
    accepted = False
    try:
        reply = await _try(context, args, files, before, edited)
        accepted = reply.status == "ok"
    finally:
        # However it ended: nothing that did not show the bug may look like a part of the code.
        if not accepted:
            await asyncio.shield(_go_back(context.sandbox, before))
    return reply


async def _try(
    context: ToolContext,
    args: ReproductionArguments,
    files: Mapping[str, str],
    before: Before,
    edited: Sequence[str],
) -> Reply:
    """Write the files and run the command; the reply is "ok" only where it shows the bug."""
    sandbox = context.sandbox
    try:
        for path, content in files.items():
            await sandbox.write(path, content.encode())
    except FileRefused as problem:
        return refusal_reply(str(problem))
    if other := await _changed_besides(sandbox, before, files):
        return refusal_reply(
            f"to write these files would change {', '.join(other)}, through a link; give the "
            "reproduction files of its own"
        )
    longest = context.task.budget.tool_timeout_s
    results = [
        await sandbox.run(in_tree(args.command), timeout_s=min(longest, context.time_left_s))
        for _ in range(RUNS)
    ]
    failures = [
        r
        for r in results
        if fails_as_claimed(r, args.expected_failure) and not why_no_evidence(args.command, r)
    ]
    shown = failures[0] if failures else results[0]
    observed = cut(f"{shown.text.rstrip()}\n{ending(shown)}", "", 3000, 3000)
    damaged = [p for p in await _changed_besides(sandbox, before, files) if is_source(p)]
    declared = ReproductionDeclared(
        command=args.command,
        files=dict(files),
        expected_failure=args.expected_failure,
        observed=observed,
        accepted=bool(failures) and not damaged,
        runs=RUNS,
        failures=len(failures),
    )
    if not declared.accepted:
        why = (
            f"the command changes {', '.join(damaged)}, so that its failure says nothing of the "
            "code as it is."
            if damaged
            else _refusal(args.command, results[0], args.expected_failure)
        )
        return Reply(
            f"refused: {why}\n{observed}",
            status="refused",
            events=(declared,),
            changed_tree=bool(files),
        )
    taken = await take_snapshot(sandbox, context.journal, "reproduction accepted")
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


async def _go_back(sandbox: Sandbox, before: Before) -> None:
    # A sandbox that is gone has nothing to undo: the next one has the last snapshot's tree.
    with contextlib.suppress(SandboxGone):
        await go_back(sandbox, before)


async def _changed_besides(
    sandbox: Sandbox, before: Before, files: Mapping[str, str]
) -> tuple[str, ...]:
    """Files that were in the tree before and are not as they were, without the declared ones."""
    declared = {_tree_path(path) for path in files}
    touched = touched_paths(await sandbox.diff(before.snapshot))
    return tuple(p for p, kind in touched.items() if kind != "added" and p not in declared)


def _tree_path(path: str) -> str:
    """The path from the repository's root; one that leads elsewhere stays as it is."""
    return normalised_path(path).removeprefix(f"{WORKDIR}/")


async def _overwrite_refusal(
    context: ToolContext, present: Mapping[str, bytes | None], files: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    """Why a reproduction may not be written over what is there; and the tests that it edits.

    What the model itself made in this attempt may be replaced; of the repository's own files only
    test files, and those by more tests, or by tests that say what the issue asks for.
    """
    touched = touched_paths(await context.sandbox.diff()) if files else {}
    deleted = [p for p in files if touched.get(_tree_path(p)) == "deleted"]
    if deleted:
        return (
            f"{', '.join(deleted)} is a file of the repository that was deleted in this attempt; "
            "give the reproduction a file of its own"
        ), ()
    declared = context.state.reproduction
    own = {normalised_path(p) for p in (declared.files if declared is not None else ())}
    over = {
        _tree_path(path): (data.decode("utf-8", "replace"), files[path])
        for path, data in present.items()
        if data is not None
        and data != files[path].encode()
        and normalised_path(path).startswith(f"{WORKDIR}/")
        and normalised_path(path) not in own
        and touched.get(_tree_path(path)) != "added"
    }
    edited: list[str] = []
    for path, (old, new) in over.items():
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
