"""`submit`: the work is done, says the model; the gate answers."""

from __future__ import annotations

from pydantic import Field

from agent.gate.claims import Claims
from agent.gate.compare import function_of
from agent.journal.events import (
    STYLE,
    UNDECIDED,
    UNNEEDED,
    Check,
    ContestedTest,
    GateJudged,
    HunkReason,
    Submitted,
)
from agent.journal.state import without_style_question
from agent.snapshots import take_snapshot
from agent.tools.tool import Arguments, Reply, ToolContext, refusal_reply
from sandbox.errors import SandboxError

STYLE_QUESTIONS = 2
"""So often an attempt is asked about new complaints of style; then they are stated as they are."""


class ContestedArgument(Arguments):
    """One test that contradicts the issue."""

    test: str = Field(min_length=1, description="Its name, as `run_tests` shows it.")
    reason: str = Field(
        min_length=1, description="What of the issue it contradicts, in a sentence."
    )


class HunkArgument(Arguments):
    """One hunk that nothing needs, and why it belongs."""

    hunk: str = Field(min_length=1, description="As the gate named it, e.g. src/a.py:12.")
    reason: str = Field(min_length=1, description="Why it belongs, in a sentence.")


class SubmitArguments(Arguments):
    """What was wrong and what was done."""

    root_cause: str = Field(min_length=1, description="Why the bug happened, naming the place.")
    summary: str = Field(min_length=1, description="What the change does.")
    risk: str = Field("", description="What else it could affect; what was not checked.")
    justification: str = Field(
        "",
        description="Only if the gate refused the patch for chance, time, size or dependencies, "
        "and the fix needs it: why. The result is a draft for a person to decide.",
    )
    undecided: str = Field(
        "",
        description="Only if another change passes the same tests, behaves differently, and "
        "nothing tells which is meant: say so here. The result is a draft for a person to decide.",
    )
    contested: tuple[ContestedArgument, ...] = Field(
        (),
        description="Only if existing tests contradict what the issue asks for: these tests, which "
        "you have changed to what it asks for (and no others). The result is a draft with your "
        "reasons on top.",
    )
    hunks: tuple[HunkArgument, ...] = Field(
        (),
        description="Only if the gate named hunks that no test needs, and you keep them: why each "
        "belongs (the same bug at another call site, say).",
    )


async def submit(context: ToolContext, args: SubmitArguments) -> Reply:
    """Put the tree's change before the gate."""
    if context.task.asking.plan_wait_s > 0 and not context.state.approved:
        return refusal_reply("the maintainers want to approve a plan first: propose it with `plan`")
    if context.state.reproduction is None:
        return refusal_reply(
            "there is no accepted reproduction. Declare one, or say with why_none why none is "
            "possible (the result is then a draft)."
        )
    patch = await context.sandbox.diff()
    # Feedback may be answered without a change.
    if not patch.strip() and not context.task.feedback:
        return refusal_reply("the tree is as it was at the start: there is nothing to submit")
    taken = await take_snapshot(context.sandbox, context.journal, "submitted")
    submitted = Submitted(
        root_cause=args.root_cause,
        summary=args.summary,
        patch=patch,
        risk=args.risk,
        contested=tuple(
            ContestedTest(test=function_of(c.test), reason=c.reason) for c in args.contested
        ),
        hunks=tuple(HunkReason(hunk=h.hunk, reason=h.reason) for h in args.hunks),
    )
    claims = Claims(
        justification=args.justification, contested=submitted.contested, hunks=submitted.hunks
    )
    asked_before, questions = context.state.asked_about_hunks, context.state.style_questions
    best = context.state.best
    try:
        if questions and best is not None and best[0].patch == patch and _held(best[1]):
            judged = best[1]  # the same patch again: it stays as it is
        else:
            judged = await context.judge(context.state, patch, claims)
    except SandboxError as problem:
        # The gate has sandboxes of its own: that one died says nothing of the attempt's.
        return Reply(
            f"error: the gate could not run ({problem}). Your tree is as it was; submit again.",
            status="error",
            events=(taken,),
        )
    if args.undecided and judged.verdict == "proven":
        judged = mark_undecided(judged, args.undecided)
    if not asked_before:
        judged = ask_about_hunks(judged)
    if questions < STYLE_QUESTIONS and judged is not (best and best[1]):
        judged = ask_about_style(judged)
    reasons = "\n".join(f"- {reason}" for reason in judged.reasons)
    if judged.verdict == "proven":
        text = "proven: the gate holds."
    elif judged.verdict == "contested":
        text = "contested: the gate holds but for the tests that you named; a person decides."
    else:
        text = f"not proven: {judged.verdict}.\n{reasons}"
    return Reply(text, events=(taken, submitted, judged))


def ask_about_hunks(judged: GateJudged) -> GateJudged:
    """The verdict, held back once where hunks were left out and nothing missed them."""
    open_hunks = [h for h in judged.hunks if h.tried and not h.needed_by and not h.reason]
    if judged.verdict not in ("proven", "contested") or not open_hunks:
        return judged
    named = ", ".join(f"{hunk.path}:{hunk.line}" for hunk in open_hunks)
    why = (
        f"Without these hunks the reproduction and all tests still pass: {named}. Add a test that "
        "needs them, take them out, or submit again and say in `hunks` why each belongs. You are "
        "asked this once."
    )
    check = Check(name=UNNEEDED, ok=False, detail=why)
    return judged.model_copy(
        update={"verdict": "unproven", "reasons": (why,), "checks": (*judged.checks, check)}
    )


def ask_about_style(judged: GateJudged) -> GateJudged:
    """The verdict, held back where the project's own programs have new complaints."""
    said = next((c for c in judged.checks if c.name == STYLE and c.advice and c.after), None)
    if judged.verdict != "proven" or said is None:
        return judged
    why = (
        f"The patch holds, but the project's own style programs have new complaints. {said.detail} "
        "Correct them and submit again; submit the same patch again if they must stay."
    )
    checks = tuple(
        check.model_copy(update={"ok": False}) if check is said else check
        for check in judged.checks
    )
    return judged.model_copy(update={"verdict": "unproven", "reasons": (why,), "checks": checks})


def _held(judged: GateJudged) -> bool:
    return judged.verdict == "proven" and without_style_question(judged) is judged


def mark_undecided(judged: GateJudged, why: str) -> GateJudged:
    """A proof of which its own maker says that it would hold for another fix as well."""
    check = Check(name=UNDECIDED, ok=False, detail=why)
    return judged.model_copy(
        update={"verdict": "unproven", "reasons": (why,), "checks": (*judged.checks, check)}
    )
