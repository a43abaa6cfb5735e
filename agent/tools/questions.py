"""`ask` and `plan`: a question to the people who may decide, and a change for them to approve."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from agent.journal.events import QuestionAsked, now
from agent.snapshots import take_snapshot
from agent.text.control_tokens import neutralise
from agent.text.visible import without_hidden
from agent.tools.tool import Arguments, Reply, ToolContext, refusal_reply

LONGEST_QUESTION = 600
LONGEST_OPTION = 200
LONGEST_PART = 1500
"""Characters of a part of a plan."""
MOST_PLANS = 4
Option = Annotated[str, Field(min_length=1, max_length=LONGEST_OPTION)]


class AskArguments(Arguments):
    """A question and its possible answers."""

    question: str = Field(
        min_length=1,
        max_length=LONGEST_QUESTION,
        description="What is to be decided, and what of the issue leaves it open.",
    )
    options: tuple[Option, ...] = Field(
        min_length=2,
        max_length=4,
        description="The possible answers, each whole in itself and on one line.",
    )
    default: int = Field(
        ge=1, description="Number of the option, from 1, that you take if nobody answers."
    )


async def ask(context: ToolContext, args: AskArguments) -> Reply:
    """Ask, and wait: the call's result is the answer, whenever it comes."""
    wait_s = context.task.asking.wait_s
    if wait_s <= 0:
        return refusal_reply(
            "nobody can be asked here. Decide by what the issue, the code and its tests say; if "
            "nothing does, say so in `undecided` when you submit."
        )
    if context.state.asked_once:
        return refusal_reply("you have asked once, and that is all. Decide by what you know.")
    question = _one_line(args.question)
    options = tuple(_one_line(option) for option in args.options)
    if not question or not all(options):
        return refusal_reply("the question and its options must not be empty")
    if len({option.casefold() for option in options}) < len(options):
        return refusal_reply("two options are the same")
    if args.default > len(options):
        return refusal_reply(f"`default` is the number of one of the {len(options)} options")
    taken = await take_snapshot(context.sandbox, context.journal, "a question was asked")
    asked = QuestionAsked(
        number=_next_number(context),
        call_id=context.call_id,
        question=question,
        options=options,
        default=args.default,
        due=now() + timedelta(seconds=wait_s),
    )
    return Reply("", events=(taken, asked), waits=True)


class PlanArguments(Arguments):
    """What is wrong, and what is to be changed."""

    root_cause: str = Field(
        min_length=1, max_length=LONGEST_PART, description="Why the bug happens, naming the place."
    )
    change: str = Field(
        min_length=1,
        max_length=LONGEST_PART,
        description="What you will change, file by file, and which test will show it.",
    )
    risk: str = Field("", max_length=LONGEST_PART, description="What else it could affect.")


async def plan(context: ToolContext, args: PlanArguments) -> Reply:
    """Propose the change, and wait until it is approved."""
    wait_s = context.task.asking.plan_wait_s
    if wait_s <= 0 or context.state.approved:
        return refusal_reply("no plan is wanted: make the change and submit it")
    if context.state.reproduction is None:
        return refusal_reply(
            "there is no accepted reproduction. Declare one first, or say with why_none why none "
            "is possible."
        )
    if context.state.plans >= MOST_PLANS:
        return refusal_reply(
            f"{MOST_PLANS} plans were sent back. Answer without a tool call, saying what you know."
        )
    parts = ("Cause", args.root_cause), ("Change", args.change), ("Risk", args.risk)
    taken = await take_snapshot(context.sandbox, context.journal, "a plan was proposed")
    asked = QuestionAsked(
        number=_next_number(context),
        call_id=context.call_id,
        kind="plan",
        question="\n".join(f"{name}: {_one_line(text)}" for name, text in parts if text.strip()),
        options=("Go ahead", "Plan again"),
        default=0,
        due=now() + timedelta(seconds=wait_s),
    )
    return Reply("", events=(taken, asked), waits=True)


def _next_number(context: ToolContext) -> int:
    asked = context.state.asked
    return 1 + (asked.number if asked is not None else context.task.asking.asked_before)


def _one_line(text: str) -> str:
    """A text as it is shown, on a line."""
    return " ".join(neutralise(without_hidden(text)).split())
