"""From what a server answered to a turn that can be worked with: every repair in one place."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

from agent.model import ToolCall, ToolSpec, Turn
from agent.models import k3_markup, kimi_tokens
from agent.models.profiles import Markup, Profile
from agent.models.stream import Answer, AnsweredCall
from agent.models.written_calls import written_calls

KIMI_ID = re.compile(r"functions\.[\w.\-]+:\d+")
"""The only shape of call ids that Kimi K2 knows from its training."""

_NOT_IN_NAMES = re.compile(r"[^\w.\-]+")


def turn_of(
    answer: Answer,
    profile: Profile,
    tools: Sequence[ToolSpec],
    taken: Container[str] = frozenset(),
    calls_before: int = 0,
) -> Turn:
    """The turn that an answer stands for.

    `taken` are the call ids of the conversation so far, `calls_before` how many calls it has.
    Arguments stay as the model wrote them, valid or not. What was fixed is said in `warnings`.
    """
    warnings: list[str] = []
    if profile.markup:
        answer = _without_leaks(answer, profile, tools, warnings)
    if not answer.calls:
        answer = _with_written_calls(answer, profile, tools, warnings)
    named = [_with_name(call, tools, warnings) for call in answer.calls]
    ids = unique_ids(named, taken, calls_before, profile.markup)
    fixed = [(c.id, new) for c, new in zip(named, ids, strict=True) if c.id and c.id != new]
    if fixed:
        listed = ", ".join(f"{old!r} is now {new!r}" for old, new in fixed[:5])
        warnings.append(f"Tool-call ids of another shape or used twice were renamed: {listed}.")
    finish = answer.finish_reason
    if finish in ("stop", "tool_calls"):
        finish = "tool_calls" if named else "stop"
    if finish == "abort":
        warnings.append("The server ended the generation before the model did.")
    return Turn(
        reasoning=answer.reasoning,
        content=answer.content,
        tool_calls=tuple(
            ToolCall(id=new, name=call.name, arguments=call.arguments)
            for call, new in zip(named, ids, strict=True)
        ),
        usage=answer.usage,
        finish_reason=finish,
        warnings=tuple(warnings),
    )


def is_empty(turn: Turn) -> bool:
    """Whether the model stopped with neither words nor calls: to be asked again."""
    return turn.finish_reason == "stop" and not turn.tool_calls and not turn.content.strip()


def _without_leaks(
    answer: Answer, profile: Profile, tools: Sequence[ToolSpec], warnings: list[str]
) -> Answer:
    reasoning, content = answer.reasoning, answer.content
    markup = k3_markup if profile.markup == "kimi_k3" else kimi_tokens
    split = markup.split_thinking(content) if not reasoning else None
    if split is not None:
        reasoning, content = split
        warnings.append(
            f"The reasoning came inside the content: the server lacks {profile.flags.reasoning}."
        )
    calls = list(answer.calls)
    if markup.has_tokens(content):
        leak = _parsed(content, profile, tools)
        content = leak.text
        calls += _leaked_calls(leak, calls)
        warnings.append(
            "Tool-call tokens came inside the content and were parsed here: "
            f"the server lacks {profile.flags.tool_calls}."
        )
    if markup.has_tokens(reasoning):
        leak = _parsed(reasoning, profile, tools)
        reasoning = leak.text
        # A call in the thinking beside a real one is a false start, not a second wish.
        calls += [] if calls else _leaked_calls(leak, calls)
        warnings.append(
            "A tool call stood inside the reasoning and was taken from there; if this is "
            f"frequent, the server lacks {profile.flags.tool_calls} or {profile.flags.reasoning}."
        )
    return answer.model_copy(
        update={"reasoning": reasoning, "content": content, "calls": tuple(calls)}
    )


def _parsed(text: str, profile: Profile, tools: Sequence[ToolSpec]) -> kimi_tokens.Leak:
    if profile.markup == "kimi_k3":
        return k3_markup.parse(text)
    return kimi_tokens.parse(text, tools)


def _with_written_calls(
    answer: Answer, profile: Profile, tools: Sequence[ToolSpec], warnings: list[str]
) -> Answer:
    written = written_calls(answer.content, tools)
    if not written.calls:
        return answer
    warnings.append(
        "The model wrote its tool call into the text, and it was taken from there: "
        f"the server lacks {profile.flags.tool_calls}."
    )
    calls = tuple(AnsweredCall(name=c.name, arguments=c.arguments) for c in written.calls)
    return answer.model_copy(update={"content": written.text, "calls": calls})


def _leaked_calls(leak: kimi_tokens.Leak, known: Sequence[AnsweredCall]) -> list[AnsweredCall]:
    seen = {(call.name, call.arguments) for call in known}
    return [
        AnsweredCall(id=raw.id, name=raw.name, arguments=raw.arguments)
        for raw in leak.calls
        if (raw.name, raw.arguments) not in seen
    ]


def _with_name(call: AnsweredCall, tools: Sequence[ToolSpec], warnings: list[str]) -> AnsweredCall:
    if call.name:
        return call
    name = kimi_tokens.name_in(call.id) or kimi_tokens.infer_name(call.arguments, tools)
    if name:
        warnings.append(f"A tool call came without a name; {name!r} fits its arguments best.")
    # Nothing fits: a name that no tool has, so that the model is told so.
    return call.model_copy(update={"name": name or "unnamed"})


def unique_ids(
    calls: Sequence[AnsweredCall], taken: Container[str], calls_before: int, markup: Markup
) -> list[str]:
    """An id for each call: its own where it has the right shape and is new, else a fresh one.

    Fresh ids count on over the conversation, as SGLang's do.
    """
    given: list[str] = []
    for position, call in enumerate(calls):
        fits = KIMI_ID.fullmatch(call.id) if markup == "kimi_k2" else call.id
        chosen = call.id
        number = calls_before + position
        if not fits or chosen in taken or chosen in given:
            chosen = _new_id(call.name, number, markup)
            while chosen in taken or chosen in given:
                number += 1
                chosen = _new_id(call.name, number, markup)
        given.append(chosen)
    return given


def _new_id(name: str, number: int, markup: Markup) -> str:
    known = _NOT_IN_NAMES.sub("_", name) or "unnamed"
    match markup:
        case "kimi_k2":
            return f"functions.{known}:{number}"
        case "kimi_k3":
            return f"{known}:{number}"
        case _:
            return f"call_{number}"
