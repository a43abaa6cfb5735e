"""`run_tests`: the repository's tests, with a result for each."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from agent.testing.report import SuiteRun
from agent.testing.suite import run_suite
from agent.tools.tool import Arguments, Reply, ToolContext

MOST_FAILURES = 30
LONGEST_MESSAGE = 3000


class RunTestsArguments(Arguments):
    """Which tests to run."""

    selection: str = Field("", description="Files or test names as the runner takes them.")
    timeout_s: int = Field(600, ge=1, le=3600)


async def run_tests(context: ToolContext, args: RunTestsArguments) -> Reply:
    """Run the test command on a selection (empty: all)."""
    longest = min(float(args.timeout_s), context.time_left_s)
    limit = min(longest, context.task.budget.test_timeout_s)
    run = await run_suite(context.sandbox, context.test_command, args.selection, limit)
    known = known_failures(context)
    outcomes: dict[str, str] = dict(run.outcomes)
    return Reply(
        text=describe(run, known),
        status="timeout" if run.timed_out else "ok",
        digest_of=repr(sorted(outcomes.items())) if outcomes else None,
        tests=outcomes,
    )


def known_failures(context: ToolContext) -> frozenset[str]:
    """Tests that failed before anything was changed, as the attempt's first run saw them."""
    started = context.state.started
    return frozenset(started.base_failures) if started is not None else frozenset()


def describe(run: SuiteRun, known_failures: frozenset[str] = frozenset()) -> str:
    """The run as the model sees it: counts, then each failing test with its text."""
    lines = []
    if run.results:
        counts = Counter(r.outcome for r in run.results)
        lines.append(
            f"{counts['passed']} passed, {counts['failed']} failed, {counts['error']} errors, "
            f"{counts['skipped']} skipped in {run.duration_s:.1f} s"
        )
    else:
        lines.append(f"no per-test results; exit {run.exit_code}")
        lines.append(run.output.strip())
    failing = [r for r in run.results if r.outcome in ("failed", "error")]
    for result in failing[:MOST_FAILURES]:
        word = "FAILED" if result.outcome == "failed" else "ERROR"
        mark = "  (fails without your change too)" if result.name in known_failures else ""
        lines.append(f"{word} {result.name}{mark}")
        lines += [f"    {line}" for line in result.message[:LONGEST_MESSAGE].split("\n")]
    if len(failing) > MOST_FAILURES:
        lines.append(f"[{len(failing) - MOST_FAILURES} more failing tests]")
    ended = f"killed after {run.duration_s:.0f} s" if run.timed_out else f"exit {run.exit_code}"
    return "\n".join([*lines, f"[{ended}]"])
