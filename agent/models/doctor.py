"""Whether a server fits: one short exchange, and for each failure what to set.

The exchange is two turns with one tool. The server's own words are looked at, before the client
fixes anything, since a client that fixes hides what the server lacks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import httpx
from pydantic import SecretStr

from agent.errors import ModelRefused
from agent.model import Message, Record, ToolSpec
from agent.models import kimi_tokens
from agent.models.endpoints import BadAddress, api_url
from agent.models.faults import Fault
from agent.models.http import RequestFailed, Timeouts, post_completion, request_headers
from agent.models.normalize import turn_of
from agent.models.profiles import ANY_MODEL, FITTING_PROFILES, PROFILES, Profile
from agent.models.request_body import Conversation, body_head, body_tail
from agent.models.served import ServedModel, chosen_model, list_models
from agent.models.stream import Answer
from agent.models.written_calls import written_calls

ATTEMPTS = 2
"""A model that thinks freely may answer without the tool once."""
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

    async def findings(self) -> list[Finding]:
        """All findings; only the first where the server cannot be spoken to."""
        messages: tuple[Message, ...] = (
            Message(role="system", content=_SYSTEM),
            Message(role="user", content="What is 2 + 3? When you know, what is 40 + 2?"),
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
        answer = Message(
            role="assistant",
            content=turn.content,
            reasoning=turn.reasoning,
            tool_calls=turn.tool_calls,
        )
        results = [Message(role="tool", content="5", tool_call_id=c.id) for c in turn.tool_calls]
        try:
            second = await self._ask_for_call((*messages, answer, *results))
        except RequestFailed as faulted:
            found.append(_refused_back(faulted.fault))
        else:
            done = "The server took reasoning and result back."
            found.append(Finding(name="reasoning goes back", ok=True, detail=done))
            found += [*self._ids(first, second), self._cache(second)]
        return [*found, *await self._listing()]

    async def _ask_for_call(self, messages: Sequence[Message]) -> Answer:
        body = b"".join(
            (
                body_head(self._model, (_TOOL,)),
                self._conversation.encode(messages),
                body_tail(self._profile, _MAX_TOKENS),
            )
        )
        for _ in range(ATTEMPTS):
            answer = await post_completion(self._client, self._url, body, {}, self._timeouts)
            leaked = kimi_tokens.has_tokens(answer.content + answer.reasoning)
            if answer.calls or leaked or written_calls(answer.content, (_TOOL,)).calls:
                break
        return answer

    def _unreachable(self, fault: Fault) -> Finding:
        fix = {
            "refused": "Check the API key, the model's name and the address.",
            "too_long": f"The server's window is far too small: set {self._profile.flags.window}.",
        }.get(fault.kind, "Start the server, wait until its /health answers, or fix the address.")
        return Finding(name="answers", ok=False, detail=fault.reason, fix=fix)

    def _reasoning(self, answer: Answer) -> Finding:
        flag = f"Start the server with {self._profile.flags.reasoning}."
        name = "reasoning is separate"
        if kimi_tokens.split_thinking(answer.content) is not None:
            detail = "The model's thinking came inside the content."
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
            if kimi_tokens.has_tokens(answer.content + answer.reasoning):
                detail = "The call came as raw tokens inside the text"
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
        return [*findings, self._window(chosen.window if chosen else None)]

    async def _why_refused(self, fault: Fault) -> list[Finding]:
        """What in the list of models explains that the server takes no request."""
        if fault.kind not in ("refused", "too_long"):
            return []
        return [finding for finding in await self._listing() if not finding.ok]

    def _kind(self, served: Sequence[ServedModel]) -> list[Finding]:
        fitting = next((p for c in served if (p := FITTING_PROFILES.get(c.server))), "")
        others = [PROFILES[name].flags for name in FITTING_PROFILES.values() if name != fitting]
        if not fitting or self._profile.flags not in others:
            return []
        return [
            Finding(
                name="profile",
                ok=False,
                detail=f"The server says that it is {served[0].server}; the profile "
                f"{self._profile.name} is for another kind of server.",
                fix=f"Choose the profile {fitting}, or one that has it as its base.",
            )
        ]

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
