"""What was found about a server, and what to do about it: no requests, no waiting."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agent.model import Record, ToolSpec
from agent.models import k3_markup, kimi_tokens
from agent.models.faults import Fault
from agent.models.probes import Thinking
from agent.models.profiles import ANY_MODEL, Markup, Profile, fitting_profile
from agent.models.served import ServedModel, chosen_model
from agent.models.stream import Answer
from agent.models.written_calls import written_calls

_QUOTED = 300
"""Characters of an answer that are shown."""


class Finding(Record):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    """What to do, where `ok` is false."""

    @property
    def text(self) -> str:
        """What was seen and, if it is not well, what to do."""
        return f"{self.detail} {self.fix}".strip()


def unreachable(profile: Profile, fault: Fault) -> Finding:
    """Why a server cannot be spoken to."""
    if "--tool-call-parser" in fault.reason:
        fix = f"Start the server with {profile.flags.tool_calls}."
        return Finding(name="answers", ok=False, detail=fault.reason, fix=fix)
    fix = {
        "refused": "Check the API key, the model's name and the address.",
        "too_long": f"The server's window is far too small: set {profile.flags.window}.",
    }.get(fault.kind, "Start the server, wait until its /health answers, or fix the address.")
    return Finding(name="answers", ok=False, detail=fault.reason, fix=fix)


def separate_reasoning(profile: Profile, answer: Answer) -> Finding:
    """Whether thinking has a field of its own."""
    flag = f"Start the server with {profile.flags.reasoning}."
    name = "reasoning is separate"
    if thinks_aloud(answer.content):
        detail = "The model's thinking came inside the content."
        return Finding(name=name, ok=False, detail=detail, fix=flag)
    if k3_markup.THINK_END in answer.reasoning:
        detail = "The whole answer came as reasoning."
        return Finding(name=name, ok=False, detail=detail, fix=flag)
    if answer.reasoning or not profile.markup:
        detail = f"{len(answer.reasoning)} characters of reasoning in a field of their own."
        return Finding(name=name, ok=True, detail=detail)
    return Finding(name=name, ok=False, detail="No reasoning came at all.", fix=flag)


def parsed_call(profile: Profile, answer: Answer, tool: ToolSpec, attempts: int) -> Finding:
    """Whether a call came as one."""
    flag = f"Start the server with {profile.flags.tool_calls}."
    name = "tool calls are parsed"
    if not answer.calls:
        said = answer.content.strip() or answer.reasoning.strip()
        if leaked := markup_in(answer.content + answer.reasoning):
            detail = f"The call came as raw tokens of {_WRITERS[leaked]} inside the text"
        elif written_calls(answer.content, (tool,)).calls:
            detail = "The model wrote the call into the text (it is taken from there)"
        else:
            detail = f"The model was told to call a tool and did not in {attempts} attempts"
        quoted = f": {_quoted(said)}" if said else ", and said nothing."
        return Finding(name=name, ok=False, detail=f"{detail}{quoted}", fix=flag)
    call = answer.calls[0]
    try:
        fits = call.name == tool.name and set(json.loads(call.arguments)) == {"a", "b"}
    except (ValueError, TypeError):
        fits = False
    if fits:
        return Finding(name=name, ok=True, detail=f"{call.name}({call.arguments})")
    detail = f"The call came damaged: {call.name}({call.arguments[:200]})."
    return Finding(name=name, ok=False, detail=detail, fix=flag)


def ordered_ids(profile: Profile, first: Answer, second: Answer) -> list[Finding]:
    """Whether calls are numbered as Kimi K2 expects."""
    calls = (*first.calls, *second.calls)
    if profile.markup != "kimi_k2" or not calls:
        return []
    ids = [call.id for call in calls]
    wanted = [f"functions.{call.name}:{n}" for n, call in enumerate(calls)]
    name = "call ids are in order"
    if ids == wanted:
        return [Finding(name=name, ok=True, detail=", ".join(ids))]
    detail = f"The server numbers calls as {', '.join(ids)}; the model expects {wanted[0]} …"
    fix = f"Start the server with {profile.flags.tool_calls}. (They are renamed here.)"
    return [Finding(name=name, ok=False, detail=detail, fix=fix)]


def reported_cache(profile: Profile, second: Answer) -> Finding:
    """Whether cached tokens are told, and are some."""
    name = "cached tokens are reported"
    prompt, cached = second.usage.prompt_tokens, second.usage.cached_tokens
    if not second.cache_reported:
        detail = "The usage does not say how much of the prompt was cached."
        fix = f"Start the server with {profile.flags.cache}."
        return Finding(name=name, ok=False, detail=detail, fix=fix)
    detail = f"{cached} of {prompt} prompt tokens of the second turn were cached."
    if cached:
        return Finding(name=name, ok=True, detail=detail)
    return Finding(name=name, ok=False, detail=detail, fix=profile.flags.cache_hits)


def fitting(
    profile: Profile, served: Sequence[ServedModel], model: str, seen: Markup
) -> list[Finding]:
    """Whether another profile is for this server or its model; `seen`: tokens that came as text."""
    chosen = chosen_model(served, model) or (served[0] if served else None)
    owner, known = (chosen.server, chosen.names[0]) if chosen else ("", "")
    said = [f"The server says that it is {owner}"] if owner else []
    if known:
        said.append(f"it serves {known}")
    if seen and seen != profile.markup:
        known = _WRITERS[seen]
        said.append(f"its model writes the tokens of {known}")
    better = fitting_profile(owner, known, profile)
    if not better:
        return []
    detail = f"{'; '.join(said)}. The profile {profile.name} is for another."
    fix = f"Choose the profile {better}, or one that has it as its base."
    return [Finding(name="profile", ok=False, detail=detail, fix=fix)]


def listed(served: Sequence[ServedModel], model: str) -> list[Finding]:
    """Whether the model is among those that the server lists."""
    if not served or any(model in card.names for card in served):
        return []
    if model == ANY_MODEL and len(served) == 1:
        only = f"{served[0].names[0]}, whatever name is asked for."
        return [Finding(name="model is served", ok=True, detail=only)]
    names = ", ".join(card.names[0] for card in served[:5])
    more = f" and {len(served) - 5} more" if len(served) > 5 else ""
    return [
        Finding(
            name="model is served",
            ok=False,
            detail=f"The server does not list {model}; it lists {names}{more}.",
            fix="Set the model's name to one of these.",
        )
    ]


def known_window(profile: Profile, reported: object) -> Finding:
    """Whether the server's window is the profile's."""
    wanted, name = profile.window, "window"
    if type(reported) is not int:
        detail = f"Not reported (a router hides it); the profile's {wanted} tokens are used."
        return Finding(name=name, ok=True, detail=detail)
    detail = f"{reported} tokens; the profile counts on {wanted}."
    if reported >= wanted:
        return Finding(name=name, ok=True, detail=detail)
    fix = (
        f"Start the server with {profile.flags.window} {wanted}, or set the profile's "
        f"window to {reported}."
    )
    return Finding(name=name, ok=False, detail=detail, fix=fix)


_WRITERS: Mapping[Markup, str] = {"kimi_k2": "Kimi K2", "kimi_k3": "Kimi K3", "": "no model"}


def markup_in(text: str) -> Markup:
    """Whose control tokens stand in a text; empty: nobody's."""
    if kimi_tokens.has_tokens(text):
        return "kimi_k2"
    return "kimi_k3" if k3_markup.has_tokens(text) else ""


def thinks_aloud(content: str) -> bool:
    """Whether thinking is in the content."""
    if kimi_tokens.split_thinking(content) is not None:
        return True
    return k3_markup.THINK_BEGIN in content or k3_markup.THINK_END in content


def judged_thinking(profile: Profile, seen: Thinking) -> Finding:
    """What the thinking that a server renders means for a profile."""
    name = "earlier thinking"
    if seen.with_calls is None or seen.before_answer is None:
        detail = "Not known: the usage does not count the prompt's tokens."
        return Finding(name=name, ok=True, detail=detail)
    if not seen.with_calls:
        return Finding(
            name=name,
            ok=False,
            detail="The thinking that is sent back with a tool call does not reach the model.",
            fix="Serve the model with its own chat template, and let no router drop "
            f"{' and '.join(profile.reasoning_fields)}.",
        )
    if profile.reasoning_history == "all" and not seen.before_answer:
        return Finding(
            name=name,
            ok=False,
            detail="The chat template drops the thinking before the last answer, and "
            f"{profile.model} is to see all of it.",
            fix=f"Serve {profile.model} with its own chat template (no --chat-template), or choose "
            "the profile of the model that is served.",
        )
    if profile.reasoning_history == "since_last_answer" and seen.before_answer:
        return Finding(
            name=name,
            ok=False,
            detail="The chat template keeps all thinking, also that before the last answer.",
            fix="Choose the profile of the model that is served: k2.6, k2.7-code and k3 count on "
            "that.",
        )
    kept = "all of it" if seen.before_answer else "since the last answer"
    return Finding(name=name, ok=True, detail=f"The chat template renders {kept}.")


def _quoted(text: str) -> str:
    """The beginning of an answer on one line, between quotation marks."""
    whole = " ".join(text.split())
    return f"“{whole[:_QUOTED]}{'…' if len(whole) > _QUOTED else ''}”"


def refused_back(fault: Fault) -> Finding:
    """A server that does not take its own answer."""
    return Finding(
        name="reasoning goes back",
        ok=False,
        detail=fault.reason,
        fix="The server does not take its own answer back: choose the profile that fits it.",
    )
