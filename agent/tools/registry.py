"""The table of tools, and how one call is checked and carried out."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import ValidationError

from agent.model import ExternalTool, ToolCall, ToolSpec
from agent.prompting import tool_description
from agent.text.surrogates import join_surrogates_in
from agent.tools.bisections import BisectArguments, bisect
from agent.tools.external import external_tool
from agent.tools.files import (
    CreateArguments,
    EditArguments,
    SearchArguments,
    ViewArguments,
    create,
    edit,
    search,
    view,
)
from agent.tools.hypotheses import HypothesisArguments, hypothesis
from agent.tools.logs import LogArguments, log
from agent.tools.questions import AskArguments, PlanArguments, ask, plan
from agent.tools.reproductions import ReproductionArguments, reproduction
from agent.tools.shell import BashArguments, bash
from agent.tools.submission import SubmitArguments, submit
from agent.tools.test_runs import RunTestsArguments, run_tests
from agent.tools.tool import Arguments, Tool

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("bash", BashArguments, bash),
        Tool("view", ViewArguments, view),
        Tool("edit", EditArguments, edit),
        Tool("create", CreateArguments, create),
        Tool("search", SearchArguments, search),
        Tool("log", LogArguments, log),
        Tool("run_tests", RunTestsArguments, run_tests),
        Tool("hypothesis", HypothesisArguments, hypothesis),
        Tool("bisect", BisectArguments, bisect),
        Tool("reproduction", ReproductionArguments, reproduction),
        Tool("ask", AskArguments, ask),
        Tool("plan", PlanArguments, plan),
        Tool("submit", SubmitArguments, submit),
    )
}


def tool_specs(external: Sequence[ExternalTool] = ()) -> tuple[ToolSpec, ...]:
    """The tools as the model sees them, always in the same order and with the same text.

    Those of the operator come last.
    """
    own = (
        ToolSpec(
            name=tool.name,
            description=tool_description(tool.name),
            parameters=_schema(tool.arguments),
        )
        for tool in TOOLS.values()
    )
    others = (
        ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters)
        for tool in external
    )
    return (*own, *others)


def at_tokens(cut_at: int) -> str:
    """Where a turn was cut off, as a part of a sentence; servers need not count."""
    return f" at {cut_at:,} tokens" if cut_at else " at the limit"


def _schema(arguments: type[Arguments]) -> dict[str, object]:
    schema = arguments.model_json_schema()
    schema.pop("title", None)
    schema.pop("description", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    return schema


def parse_call(
    call: ToolCall, cut_at: int | None = None, external: Sequence[ExternalTool] = ()
) -> tuple[Tool, Arguments] | str:
    """The tool and its checked arguments, or what is wrong in words that let the model fix it.

    `cut_at`: tokens after which the turn that made the call was cut off; None: it was not.
    `external`: the operator's tools that the model was told of.
    """
    tools = {**{each.name: external_tool(each) for each in external}, **TOOLS}
    tool = tools.get(call.name.removeprefix("functions."))
    if tool is None:
        known = ", ".join((*TOOLS, *(each.name for each in external)))
        return f"refused: there is no tool {call.name!r}; the tools are {known}"
    try:
        values = join_surrogates_in(json.loads(call.arguments or "{}"))
    except ValueError as problem:
        if cut_at is not None:
            return (
                f"refused: the call was cut off{at_tokens(cut_at)}, the most that one turn may "
                "have now. Make it shorter: write a long file in several calls, edit only what "
                "changes, think less before you call"
            )
        return f"refused: the arguments are not JSON ({problem}); send the call again, whole"
    except RecursionError:
        return "refused: the arguments are nested too deeply"
    try:
        return tool, tool.arguments.model_validate(values)
    except ValidationError as problem:
        wrong = "; ".join(
            f"{'.'.join(str(p) for p in e['loc']) or 'arguments'}: {e['msg']}"
            for e in problem.errors()
        )
        return f"refused: the arguments do not fit the schema of {tool.name}: {wrong}"
