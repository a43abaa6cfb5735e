"""`submit`: the work is done, says the model; the gate answers."""

from __future__ import annotations

from pydantic import Field

from agent.gate.claims import Claims
from agent.journal.events import UNDECIDED, Check, GateJudged, Submitted
from agent.snapshots import take_snapshot
from agent.tools.tool import Arguments, Reply, ToolContext, refused
from sandbox.errors import SandboxError


class SubmitArguments(Arguments):
    """What was wrong and what was done."""

    root_cause: str = Field(min_length=1, description="Why the bug happened, naming the place.")
    summary: str = Field(min_length=1, description="What the change does.")
    risk: str = Field("", description="What else it could affect; what was not checked.")
    justification: str = Field(
        "",
        description="Only if the gate refused the patch for chance, time or size, and the fix "
        "needs it: why. The result is a draft for a person to decide.",
    )
    undecided: str = Field(
        "",
        description="Only if another change passes the same tests, behaves differently, and "
        "nothing tells which is meant: say so here. The result is a draft for a person to decide.",
    )


async def submit(bench: ToolContext, args: SubmitArguments) -> Reply:
    """Put the tree's change before the gate."""
    if bench.state.reproduction is None:
        return refused(
            "there is no accepted reproduction. Declare one, or say with why_none why none is "
            "possible (the result is then a draft)."
        )
    patch = await bench.sandbox.diff()
    # Feedback may be answered without a change.
    if not patch.strip() and not bench.task.feedback:
        return refused("the tree is as it was at the start: there is nothing to submit")
    taken = await take_snapshot(bench.sandbox, bench.journal, "submitted")
    submitted = Submitted(
        root_cause=args.root_cause, summary=args.summary, patch=patch, risk=args.risk
    )
    claims = Claims(justification=args.justification)
    try:
        judged = await bench.judge(bench.state, patch, claims)
    except SandboxError as problem:
        # The gate has sandboxes of its own: that one died says nothing of the attempt's.
        return Reply(
            f"error: the gate could not run ({problem}). Your tree is as it was; submit again.",
            status="error",
            events=(taken,),
        )
    if args.undecided and judged.verdict == "proven":
        judged = undecided(judged, args.undecided)
    reasons = "\n".join(f"- {reason}" for reason in judged.reasons)
    if judged.verdict == "proven":
        text = "proven: the gate holds."
    else:
        text = f"not proven: {judged.verdict}.\n{reasons}"
    return Reply(text, events=(taken, submitted, judged))


def undecided(judged: GateJudged, why: str) -> GateJudged:
    """A proof of which its own maker says that it would hold for another fix as well."""
    check = Check(name=UNDECIDED, ok=False, detail=why)
    return judged.model_copy(
        update={"verdict": "unproven", "reasons": (why,), "checks": (*judged.checks, check)}
    )
