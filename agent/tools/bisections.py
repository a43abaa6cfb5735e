"""`bisect`: the commit that broke it, by the accepted reproduction."""

from __future__ import annotations

from pydantic import Field

from agent.bisection.bisect import BisectLimits, CannotRun, find_culprit
from agent.bisection.journaling import commit_tried, culprit_searched
from agent.bisection.records import Bisection, Commit, Trial
from agent.tools.tool import Arguments, Reply, ToolContext, refusal_reply

MOST_RUNS = 30
MOST_MINUTES = 30.0
_SHOWN = 20


class BisectArguments(Arguments):
    """Where to begin."""

    good: str = Field("", description="Id of a commit at which it worked; looked for if empty.")


async def bisect(context: ToolContext, args: BisectArguments) -> Reply:
    """Run the accepted reproduction at older commits until the first bad one is known."""
    past, declared = context.past, context.state.reproduction
    if past is None:
        return refusal_reply("there is no history to search here")
    if declared is None or not declared.command:
        return refusal_reply("declare a reproduction first; it is what is run at older commits")
    names = {commit.id: commit for commit in past.commits}
    good = next((known for known in names if args.good and known.startswith(args.good)), "")
    if args.good and not good:
        return refusal_reply(f"{args.good!r} is no commit of this history; see git log")

    def note(trial: Trial) -> None:
        context.journal.append(commit_tried(trial, names))

    limits = BisectLimits(
        runs=MOST_RUNS,
        minutes=min(MOST_MINUTES, context.time_left_s / 120),
        run_timeout_s=context.task.budget.tool_timeout_s,
    )
    try:
        found = await find_culprit(past, declared, limits, good=good, on_trial=note)
    except CannotRun as error:
        return Reply(f"error: {error}", status="error")
    return Reply(describe(found, names), events=(culprit_searched(found, names),))


def describe(found: Bisection, names: dict[str, Commit]) -> str:
    """The search as the model sees it: the answer, then each commit that was tried."""

    def named(commit: str) -> str:
        known = names.get(commit)
        return f"{commit[:12]} {known.subject[:100]}" if known else commit[:12]

    answer = {
        "found": f"First bad commit: {named(found.culprit)}\nSee `git show {found.culprit[:12]}`.",
        "since_beginning": f"It fails already at the oldest commit here, {named(found.culprit)}.",
        "contradiction": "There is no first bad commit: it passes at a commit after one at which "
        "it fails. Name a commit at which it worked as `good`.",
        "range": "The first bad commit is one of these; between them it cannot be run:",
        "unfinished": "The limits came first. The first bad commit is one of these:",
    }[found.finding]
    lines = [answer, *(f"  {named(commit)}" for commit in found.suspects[:_SHOWN])]
    if len(found.suspects) > _SHOWN:
        lines.append(f"  and {len(found.suspects) - _SHOWN} more")
    lines += ["Tried:"]
    for trial in found.trials:
        why = f" ({trial.why})" if trial.why else ""
        lines.append(f"  {trial.outcome}: {named(trial.commit)}{why}")
    return "\n".join(lines)
