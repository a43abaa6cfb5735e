"""`hypothesis`: propose, confirm, refute; the tree follows the ledger."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.decisions.ledger import render
from agent.journal.events import HypothesisProposed, HypothesisResolved, TreeRestored
from agent.snapshots import restore_tree, take_snapshot
from agent.tools.external import only_external
from agent.tools.tool import Arguments, Reply, ToolContext, refusal_reply


class HypothesisArguments(Arguments):
    """A step in the ledger."""

    action: Literal["propose", "confirm", "refute", "list"]
    claim: str = Field("", description="propose: what is wrong, and where.")
    prediction: str = Field("", description="propose: what will be seen if the claim holds.")
    test: str = Field("", description="propose: how the prediction is tested.")
    evidence: str = Field("", description="confirm, refute: what was seen.")
    calls: list[str] = Field(
        default_factory=list, description="confirm, refute: ids of the calls that showed it."
    )


async def hypothesis(context: ToolContext, args: HypothesisArguments) -> Reply:
    """Move the ledger. One hypothesis is under test at a time."""
    match args.action:
        case "list":
            return Reply(render(context.state))
        case "propose":
            return await _propose(context, args)
        case _:
            return await _resolve(context, args)


async def _propose(context: ToolContext, args: HypothesisArguments) -> Reply:
    under_test = context.state.under_test
    if under_test is not None:
        return refusal_reply(f"{under_test.id} is still under test; confirm or refute it first")
    if not args.claim or not args.prediction or not args.test:
        return refusal_reply("a hypothesis needs a claim, a prediction and a test")
    taken = await take_snapshot(context.sandbox, context.journal, "hypothesis proposed")
    name = f"H{len(context.state.hypotheses) + 1}"
    proposed = HypothesisProposed(
        hypothesis=name,
        claim=args.claim,
        prediction=args.prediction,
        test=args.test,
        snapshot=taken.snapshot,
    )
    budget = context.task.budget.calls_per_hypothesis
    return Reply(
        f"{name} proposed; it has {budget} calls. Refuting rolls the tree back to this point.",
        events=(taken, proposed),
    )


async def _resolve(context: ToolContext, args: HypothesisArguments) -> Reply:
    under_test = context.state.under_test
    if under_test is None:
        return refusal_reply("no hypothesis is under test; propose one")
    if not args.evidence:
        return refusal_reply("say in `evidence` what was seen, and name the calls that showed it")
    unknown = [
        c for c in args.calls if context.journal.get_log(c.removeprefix("functions.")) is None
    ]
    if unknown:
        return refusal_reply(f"no such calls: {', '.join(unknown)}; name calls by their ids")
    if args.action == "confirm" and only_external(context.state, args.calls):
        return refusal_reply(
            "what the operator's tools answer was written by others and shows nothing by itself. "
            "See it happen in the sandbox, and name that call too"
        )
    verdict: Literal["confirmed", "refuted"] = (
        "confirmed" if args.action == "confirm" else "refuted"
    )
    resolved = HypothesisResolved(
        hypothesis=under_test.id,
        verdict=verdict,
        evidence=args.evidence,
        calls=tuple(args.calls),
    )
    if verdict == "confirmed":
        taken = await take_snapshot(context.sandbox, context.journal, f"{under_test.id} confirmed")
        return Reply(
            f"{under_test.id} confirmed; the tree stays as it is.", events=(resolved, taken)
        )
    await restore_tree(context.sandbox, context.journal, under_test.snapshot)
    restored = TreeRestored(snapshot=under_test.snapshot, why=f"{under_test.id} refuted")
    return Reply(
        f"{under_test.id} refuted; tree rolled back to where it was proposed.",
        events=(resolved, restored),
        changed_tree=True,
    )
