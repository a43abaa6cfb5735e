"""`reproduction`: declare what shows the bug; it is run at once and must fail as claimed."""

from __future__ import annotations

import re

from pydantic import Field

from agent.gate.compare import ReproductionRun
from agent.gate.measure import runs_needed
from agent.gate.rules.reproduction import outside_refusal
from agent.journal.events import ReproductionDeclared
from agent.snapshots import take_snapshot
from agent.testing.runners import in_tree
from agent.testing.vacuous import why_vacuous
from agent.text.control_tokens import restore
from agent.text.truncate import cut
from agent.tools.shell import ending
from agent.tools.tool import Arguments, Reply, ToolContext, refused
from sandbox.errors import FileRefused
from sandbox.protocol import CommandResult

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


async def reproduction(bench: ToolContext, args: ReproductionArguments) -> Reply:
    """Write its files, run it three times, accept it when it fails for the reason claimed."""
    if args.why_none and not args.command:
        declared = ReproductionDeclared(
            command="", expected_failure="", observed="", accepted=True, why_none=args.why_none
        )
        return Reply(
            "accepted without a reproduction: the result can only be a draft.", events=(declared,)
        )
    if not args.command or not args.expected_failure:
        return refused("give a command and, in expected_failure, words of its failing output")
    if _VAGUE.fullmatch(args.expected_failure.strip()):
        return refused(
            f"expected_failure {args.expected_failure!r} fits any failure; name this one: the "
            "exception with its message, or the assertion with its values"
        )
    for path in args.files:
        if refusal := outside_refusal(path, bench.task.policy):
            return refused(refusal)
    files = {path: restore(content) for path, content in args.files.items()}
    for path, content in files.items():
        try:
            await bench.sandbox.write(path, content.encode())
        except FileRefused as problem:
            return refused(str(problem))
    results = [
        await bench.sandbox.run(in_tree(args.command), timeout_s=bench.task.budget.tool_timeout_s)
        for _ in range(RUNS)
    ]
    failures = [
        r
        for r in results
        if fails_as_claimed(r, args.expected_failure) and not shows_nothing(args.command, r)
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
        return Reply(
            f"refused: {_why_not(args.command, results[0], args.expected_failure)}\n{observed}",
            status="refused",
            events=(declared,),
            changed_tree=bool(files),
        )
    taken = await take_snapshot(bench.sandbox, bench.journal, "reproduction accepted")
    flaky = (
        ""
        if len(failures) == RUNS
        else f" It is flaky: it failed in {len(failures)} of {RUNS} runs; with your patch the gate "
        f"will run it about {_repeats(len(failures))} times, and it must always pass."
    )
    return Reply(
        f"accepted: it fails as claimed.{flaky}\n{observed}",
        events=(declared, taken),
        changed_tree=bool(files),
    )


def _repeats(failures: int) -> int:
    """How often a bug that showed itself so often must stay away before luck is ruled out."""
    return runs_needed(ReproductionRun(runs=RUNS, as_claimed=failures, passed=0, output=""))


def fails_as_claimed(result: CommandResult, expected_failure: str) -> bool:
    """Whether a run failed, and with the words that were announced."""
    text = f"{result.text}\n{ending(result)}"
    return not result.ok and result.exit_code not in _CANNOT_RUN and expected_failure in text


def shows_nothing(command: str, result: CommandResult) -> str:
    """Why a failing run shows no bug, whatever words it prints: no test ran. Empty: it may."""
    return "" if result.ok else why_vacuous(command, result.exit_code, result.text)


def _why_not(command: str, result: CommandResult, expected_failure: str) -> str:
    if result.ok:
        return "the command succeeds, so it does not show the bug."
    if result.exit_code in _CANNOT_RUN:
        return "the command cannot be run here, so it shows nothing of the bug."
    if nothing := shows_nothing(command, result):
        return (
            f"{nothing}. A command that runs no test shows no bug; check the test's path and name."
        )
    return f"it fails, but its output does not hold {expected_failure!r}."
