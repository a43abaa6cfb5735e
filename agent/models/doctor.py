"""Whether a server fits: one short exchange and a few probes, and for each failure what to set.

The exchange is a few turns with one tool: parsers that take single calls well were seen to lose
turns after results (smg-project/smg#1873). The server's own words are looked at, before the client
fixes anything, since a client that fixes hides what the server lacks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import httpx
from pydantic import SecretStr

from agent.errors import ModelRefused
from agent.model import Message, Record, ToolSpec, Turn
from agent.models import k3_markup, kimi_tokens, probes
from agent.models.endpoints import BadAddress, api_url
from agent.models.faults import Fault
from agent.models.http import RequestFailed, Timeouts, post_completion, request_headers
from agent.models.normalize import turn_of
from agent.models.profiles import ANY_MODEL, Markup, Profile, fitting_profile
from agent.models.request_body import Conversation, body_head, body_tail
from agent.models.served import ServedModel, chosen_model, list_models
from agent.models.stream import Answer
from agent.models.written_calls import written_calls

ATTEMPTS = 2
"""A model that thinks freely may answer without the tool once."""
TURNS = 4
"""Of the exchange, at most."""
_MAX_TOKENS = 4_096
_QUOTED = 300
"""Characters of an answer that are shown."""

_TOOL = ToolSpec(
    name="add",
    description="Add two whole numbers.",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)
_RULE = (
    "Never add numbers yourself: call the tool `add` once for each sum, and wait for its result."
)
# Long enough that a cache which works page by page has whole pages of it.
_SYSTEM = "\n".join(
    ["You check the connection between an agent and its model server.", *[_RULE] * 20]
)


class Endpoint(Record):
    """What is to be examined: servers of one kind with one model."""

    profile: Profile
    base_urls: tuple[str, ...]
    model: str = ""
    """Empty: the profile's."""
    api_key: SecretStr | None = None


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


async def check_endpoint(endpoint: Endpoint, timeouts: Timeouts | None = None) -> list[Finding]:
    """Try each server with a short exchange. Never raises for what a server does."""
    timeouts = timeouts or Timeouts(first_s=600.0)
    profile = endpoint.profile
    model = endpoint.model or profile.model
    findings: list[Finding] = []
    try:
        headers = request_headers(profile, endpoint.api_key, "doctor")
    except ModelRefused as problem:
        return [Finding(name="answers", ok=False, detail=str(problem), fix="Set the key anew.")]
    async with httpx.AsyncClient(headers=headers) as client:
        for url in endpoint.base_urls:
            try:
                found = await _ServerCheck(
                    client, api_url(url), profile, model, timeouts
                ).findings()
            except BadAddress as problem:
                fix = "Give the whole address, with http:// or https://."
                found = [Finding(name="answers", ok=False, detail=str(problem), fix=fix)]
            several = len(endpoint.base_urls) > 1
            findings += [
                f.model_copy(update={"name": f"{f.name} ({url})"}) if several else f for f in found
            ]
    secret = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
    return [_without(f, secret) for f in findings] if secret else findings


def _without(finding: Finding, secret: str) -> Finding:
    return finding.model_copy(update={"detail": finding.detail.replace(secret, "…")})


class _ServerCheck:
    """The examination of one server."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, profile: Profile, model: str, timeouts: Timeouts
    ) -> None:
        self._client = client
        self._url = url
        self._profile = profile
        self._model = model
        self._timeouts = timeouts
        self._conversation = Conversation(profile)
        self._markup: Markup = ""
        """Whose control tokens came as text."""

    async def findings(self) -> list[Finding]:
        """All findings; only the first where the server cannot be spoken to."""
        messages: tuple[Message, ...] = (
            Message(role="system", content=_SYSTEM),
            Message(
                role="user",
                content="What is 2 + 3? When you know, what is 40 + 2? Then 7 + 8, then 20 + 1?",
            ),
        )
        try:
            first = await self._ask_for_call(messages)
        except RequestFailed as faulted:
            return [self._unreachable(faulted.fault), *await self._why_refused(faulted.fault)]
        found = [Finding(name="answers", ok=True, detail=f"{self._url} answers.")]
        found += [self._reasoning(first), self._call(first)]
        turn = turn_of(first, self._profile, (_TOOL,))
        if not turn.tool_calls:
            return [*found, *await self._listing()]
        messages = (*messages, *_answered(turn))
        try:
            second = await self._ask_for_call(messages)
        except RequestFailed as faulted:
            found.append(_refused_back(faulted.fault))
        else:
            done = "The server took reasoning and result back."
            found.append(Finding(name="reasoning goes back", ok=True, detail=done))
            found += [*self._ids(first, second), self._cache(second)]
            found += await self._later_turns(messages, second)
            found += [*await self._thinking(), *await self._pictures()]
        return [*found, *await self._listing()]

    async def _later_turns(self, messages: Sequence[Message], answer: Answer) -> list[Finding]:
        """Whether the turns after the first result are as whole as the first one."""
        name, fault = "several turns", ""
        number = 2
        while not fault:
            known = self._conversation
            turn = turn_of(answer, self._profile, (_TOOL,), known.taken, known.calls)
            if markup_in(answer.content + answer.reasoning):
                fault = f"Turn {number} came with raw tokens inside the text."
            elif not turn.tool_calls and not turn.content.strip():
                fault = f"Turn {number} came back with neither words nor a call."
            elif not turn.tool_calls or number == TURNS:
                return [Finding(name=name, ok=True, detail=f"{number} turns with results.")]
            else:
                messages = (*messages, *_answered(turn))
                number += 1
                try:
                    answer = await self._ask(messages)
                except RequestFailed as faulted:
                    fault = f"Turn {number} was refused: {faulted.fault.reason}"
        fix = (
            "If a router stands before the server, let the server parse: start the router without "
            f"parsers of its own, and the server with {self._profile.flags.tool_calls} "
            f"{self._profile.flags.reasoning}."
        )
        return [Finding(name=name, ok=False, detail=fault, fix=fix)]

    async def _thinking(self) -> list[Finding]:
        """Whether the template renders earlier thinking as the profile says."""
        history = self._profile.reasoning_history
        if not self._profile.markup or history == "none":
            return []
        seen = probes.Thinking(
            with_calls=await self._reaches(
                *(probes.after_call(thought, _TOOL) for thought in (probes.THOUGHT, ""))
            ),
            before_answer=await self._reaches(
                *(probes.after_answer(thought) for thought in (probes.THOUGHT, ""))
            ),
        )
        return [judged_thinking(self._profile, seen)]

    async def _reaches(self, longer: Sequence[Message], shorter: Sequence[Message]) -> bool | None:
        counts = [
            await self._prompt_tokens(probes.body_of(self._profile, self._model, m, (_TOOL,)))
            for m in (longer, shorter)
        ]
        return counts[0] - counts[1] >= probes.FEWEST_TOKENS if all(counts) else None

    async def _prompt_tokens(self, body: bytes) -> int:
        """Tokens of the prompt, as the server counts them; 0 if it does not say."""
        try:
            answer = await post_completion(self._client, self._url, body, {}, self._timeouts)
        except RequestFailed:
            return 0
        return answer.usage.prompt_tokens

    async def _pictures(self) -> list[Finding]:
        """Whether a picture reaches the model, where the profile says that it sees them."""
        if not self._profile.sees_images:
            return []
        name, fix = "images are seen", self._profile.flags.images
        body = probes.with_picture(self._profile, self._model, picture=True)
        try:
            answer = await post_completion(self._client, self._url, body, {}, self._timeouts)
        except RequestFailed as faulted:
            return [Finding(name=name, ok=False, detail=faulted.fault.reason, fix=fix)]
        without = probes.with_picture(self._profile, self._model, picture=False)
        more = answer.usage.prompt_tokens - await self._prompt_tokens(without)
        if answer.usage.prompt_tokens and more < 1:
            detail = "The server takes an image, and the prompt is no longer for it."
            return [Finding(name=name, ok=False, detail=detail, fix=fix)]
        return [Finding(name=name, ok=True, detail=f"An image is {more} tokens of the prompt.")]

    async def _ask(self, messages: Sequence[Message]) -> Answer:
        body = b"".join(
            (
                body_head(self._model, (_TOOL,)),
                self._conversation.encode(messages),
                body_tail(self._profile, _MAX_TOKENS),
            )
        )
        return await post_completion(self._client, self._url, body, {}, self._timeouts)

    async def _ask_for_call(self, messages: Sequence[Message]) -> Answer:
        for _ in range(ATTEMPTS):
            answer = await self._ask(messages)
            leaked = markup_in(answer.content + answer.reasoning)
            if answer.calls or leaked or written_calls(answer.content, (_TOOL,)).calls:
                break
        self._markup = self._markup or leaked
        return answer

    def _unreachable(self, fault: Fault) -> Finding:
        if "--tool-call-parser" in fault.reason:
            fix = f"Start the server with {self._profile.flags.tool_calls}."
            return Finding(name="answers", ok=False, detail=fault.reason, fix=fix)
        fix = {
            "refused": "Check the API key, the model's name and the address.",
            "too_long": f"The server's window is far too small: set {self._profile.flags.window}.",
        }.get(fault.kind, "Start the server, wait until its /health answers, or fix the address.")
        return Finding(name="answers", ok=False, detail=fault.reason, fix=fix)

    def _reasoning(self, answer: Answer) -> Finding:
        flag = f"Start the server with {self._profile.flags.reasoning}."
        name = "reasoning is separate"
        if _thinks_aloud(answer.content):
            detail = "The model's thinking came inside the content."
            return Finding(name=name, ok=False, detail=detail, fix=flag)
        if k3_markup.THINK_END in answer.reasoning:
            detail = "The whole answer came as reasoning."
            return Finding(name=name, ok=False, detail=detail, fix=flag)
        if answer.reasoning or not self._profile.markup:
            detail = f"{len(answer.reasoning)} characters of reasoning in a field of their own."
            return Finding(name=name, ok=True, detail=detail)
        return Finding(name=name, ok=False, detail="No reasoning came at all.", fix=flag)

    def _call(self, answer: Answer) -> Finding:
        flag = f"Start the server with {self._profile.flags.tool_calls}."
        name = "tool calls are parsed"
        if not answer.calls:
            said = answer.content.strip() or answer.reasoning.strip()
            if leaked := markup_in(answer.content + answer.reasoning):
                detail = f"The call came as raw tokens of {_WRITERS[leaked]} inside the text"
            elif written_calls(answer.content, (_TOOL,)).calls:
                detail = "The model wrote the call into the text (it is taken from there)"
            else:
                detail = f"The model was told to call a tool and did not in {ATTEMPTS} attempts"
            quoted = f": {_quoted(said)}" if said else ", and said nothing."
            return Finding(name=name, ok=False, detail=f"{detail}{quoted}", fix=flag)
        call = answer.calls[0]
        try:
            fits = call.name == _TOOL.name and set(json.loads(call.arguments)) == {"a", "b"}
        except (ValueError, TypeError):
            fits = False
        if fits:
            return Finding(name=name, ok=True, detail=f"{call.name}({call.arguments})")
        detail = f"The call came damaged: {call.name}({call.arguments[:200]})."
        return Finding(name=name, ok=False, detail=detail, fix=flag)

    def _ids(self, first: Answer, second: Answer) -> list[Finding]:
        calls = (*first.calls, *second.calls)
        if self._profile.markup != "kimi_k2" or not calls:
            return []
        ids = [call.id for call in calls]
        wanted = [f"functions.{call.name}:{n}" for n, call in enumerate(calls)]
        name = "call ids are in order"
        if ids == wanted:
            return [Finding(name=name, ok=True, detail=", ".join(ids))]
        detail = f"The server numbers calls as {', '.join(ids)}; the model expects {wanted[0]} …"
        fix = f"Start the server with {self._profile.flags.tool_calls}. (They are renamed here.)"
        return [Finding(name=name, ok=False, detail=detail, fix=fix)]

    def _cache(self, second: Answer) -> Finding:
        name = "cached tokens are reported"
        prompt, cached = second.usage.prompt_tokens, second.usage.cached_tokens
        if not second.cache_reported:
            detail = "The usage does not say how much of the prompt was cached."
            fix = f"Start the server with {self._profile.flags.cache}."
            return Finding(name=name, ok=False, detail=detail, fix=fix)
        detail = f"{cached} of {prompt} prompt tokens of the second turn were cached."
        if cached:
            return Finding(name=name, ok=True, detail=detail)
        return Finding(name=name, ok=False, detail=detail, fix=self._profile.flags.cache_hits)

    async def _listing(self) -> list[Finding]:
        """What the list of models says about the profile, the model's name and the window."""
        served = await list_models(self._client, self._url)
        chosen = chosen_model(served, self._model)
        findings = [*self._kind(served), *self._name(served)]
        window = chosen.window if chosen else None
        if window is None and self._profile.server in ("sglang", "ktransformers"):
            window = await self._refused_window()
        return [*findings, self._window(window)]

    async def _refused_window(self) -> int | None:
        """The window that a server behind a router names when it refuses more than that."""
        body = probes.beyond_window(self._profile, self._model)
        try:
            await post_completion(self._client, self._url, body, {}, self._timeouts)
        except RequestFailed as faulted:
            return faulted.fault.window
        return None

    async def _why_refused(self, fault: Fault) -> list[Finding]:
        """What in the list of models explains that the server takes no request."""
        if fault.kind not in ("refused", "too_long"):
            return []
        return [finding for finding in await self._listing() if not finding.ok]

    def _kind(self, served: Sequence[ServedModel]) -> list[Finding]:
        chosen = chosen_model(served, self._model) or (served[0] if served else None)
        owner, model = (chosen.server, chosen.names[0]) if chosen else ("", "")
        said = [f"The server says that it is {owner}"] if owner else []
        if model:
            said.append(f"it serves {model}")
        if self._markup and self._markup != self._profile.markup:
            model = _WRITERS[self._markup]
            said.append(f"its model writes the tokens of {model}")
        fitting = fitting_profile(owner, model, self._profile)
        if not fitting:
            return []
        detail = f"{'; '.join(said)}. The profile {self._profile.name} is for another."
        fix = f"Choose the profile {fitting}, or one that has it as its base."
        return [Finding(name="profile", ok=False, detail=detail, fix=fix)]

    def _name(self, served: Sequence[ServedModel]) -> list[Finding]:
        if not served or any(self._model in card.names for card in served):
            return []
        if self._model == ANY_MODEL and len(served) == 1:
            only = f"{served[0].names[0]}, whatever name is asked for."
            return [Finding(name="model is served", ok=True, detail=only)]
        names = ", ".join(card.names[0] for card in served[:5])
        more = f" and {len(served) - 5} more" if len(served) > 5 else ""
        return [
            Finding(
                name="model is served",
                ok=False,
                detail=f"The server does not list {self._model}; it lists {names}{more}.",
                fix="Set the model's name to one of these.",
            )
        ]

    def _window(self, reported: object) -> Finding:
        wanted, name = self._profile.window, "window"
        if type(reported) is not int:
            detail = f"Not reported (a router hides it); the profile's {wanted} tokens are used."
            return Finding(name=name, ok=True, detail=detail)
        detail = f"{reported} tokens; the profile counts on {wanted}."
        if reported >= wanted:
            return Finding(name=name, ok=True, detail=detail)
        fix = (
            f"Start the server with {self._profile.flags.window} {wanted}, or set the profile's "
            f"window to {reported}."
        )
        return Finding(name=name, ok=False, detail=detail, fix=fix)


_WRITERS: Mapping[Markup, str] = {"kimi_k2": "Kimi K2", "kimi_k3": "Kimi K3", "": "no model"}


def markup_in(text: str) -> Markup:
    """Whose control tokens stand in a text; empty: nobody's."""
    if kimi_tokens.has_tokens(text):
        return "kimi_k2"
    return "kimi_k3" if k3_markup.has_tokens(text) else ""


def _thinks_aloud(content: str) -> bool:
    """Whether thinking is in the content."""
    if kimi_tokens.split_thinking(content) is not None:
        return True
    return k3_markup.THINK_BEGIN in content or k3_markup.THINK_END in content


def judged_thinking(profile: Profile, seen: probes.Thinking) -> Finding:
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


def _answered(turn: Turn) -> tuple[Message, ...]:
    """A turn and the results of its calls."""
    answer = Message(
        role="assistant",
        content=turn.content,
        reasoning=turn.reasoning,
        tool_calls=turn.tool_calls,
    )
    results = (
        Message(role="tool", content=_sum(c.arguments), tool_call_id=c.id) for c in turn.tool_calls
    )
    return (answer, *results)


def _sum(arguments: str) -> str:
    try:
        given = json.loads(arguments)
        return str(int(given["a"]) + int(given["b"]))
    except (ValueError, TypeError, KeyError):
        return "error: a and b must be whole numbers"


def _quoted(text: str) -> str:
    """The beginning of an answer on one line, between quotation marks."""
    whole = " ".join(text.split())
    return f"“{whole[:_QUOTED]}{'…' if len(whole) > _QUOTED else ''}”"


def _refused_back(fault: Fault) -> Finding:
    return Finding(
        name="reasoning goes back",
        ok=False,
        detail=fault.reason,
        fix="The server does not take its own answer back: choose the profile that fits it.",
    )
