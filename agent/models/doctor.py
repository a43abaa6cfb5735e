"""Whether a server fits: one short exchange and a few probes, and for each failure what to set.

The exchange is a few turns with one tool: parsers that take single calls well were seen to lose
turns after results (smg-project/smg#1873). The server's own words are looked at, before the client
fixes anything, since a client that fixes hides what the server lacks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import httpx
from pydantic import SecretStr

from agent.errors import ModelRefused
from agent.model import Message, Record, ToolSpec, Turn
from agent.models import findings, probes
from agent.models.endpoints import BadAddress, api_url
from agent.models.faults import Fault
from agent.models.findings import Finding
from agent.models.http import RequestFailed, Timeouts, post_completion, request_headers
from agent.models.normalize import turn_of
from agent.models.profiles import Markup, Profile
from agent.models.request_body import Conversation, body_head, body_tail
from agent.models.served import chosen_model, list_models
from agent.models.stream import Answer
from agent.models.written_calls import written_calls

ATTEMPTS = 2
"""A model that thinks freely may answer without the tool once."""
TURNS = 4
"""Of the exchange, at most."""
_MAX_TOKENS = 4_096

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


async def check_endpoint(endpoint: Endpoint, timeouts: Timeouts | None = None) -> list[Finding]:
    """Try each server with a short exchange. Never raises for what a server does."""
    timeouts = timeouts or Timeouts(first_s=600.0)
    profile = endpoint.profile
    model = endpoint.model or profile.model
    found: list[Finding] = []
    try:
        headers = request_headers(profile, endpoint.api_key, "doctor")
    except ModelRefused as problem:
        return [Finding(name="answers", ok=False, detail=str(problem), fix="Set the key anew.")]
    async with httpx.AsyncClient(headers=headers) as client:
        for url in endpoint.base_urls:
            try:
                here = await _ServerCheck(client, api_url(url), profile, model, timeouts).examine()
            except BadAddress as problem:
                fix = "Give the whole address, with http:// or https://."
                here = [Finding(name="answers", ok=False, detail=str(problem), fix=fix)]
            several = len(endpoint.base_urls) > 1
            found += [
                f.model_copy(update={"name": f"{f.name} ({url})"}) if several else f for f in here
            ]
    secret = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
    return [_without(f, secret) for f in found] if secret else found


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

    async def examine(self) -> list[Finding]:
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
            return [
                findings.unreachable(self._profile, faulted.fault),
                *await self._why_refused(faulted.fault),
            ]
        found = [Finding(name="answers", ok=True, detail=f"{self._url} answers.")]
        found.append(findings.separate_reasoning(self._profile, first))
        found.append(findings.parsed_call(self._profile, first, _TOOL, ATTEMPTS))
        turn = turn_of(first, self._profile, (_TOOL,))
        if not turn.tool_calls:
            return [*found, *await self._listing()]
        messages = (*messages, *_answered(turn))
        try:
            second = await self._ask_for_call(messages)
        except RequestFailed as faulted:
            found.append(findings.refused_back(faulted.fault))
        else:
            done = "The server took reasoning and result back."
            found.append(Finding(name="reasoning goes back", ok=True, detail=done))
            found += findings.ordered_ids(self._profile, first, second)
            found.append(findings.reported_cache(self._profile, second))
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
            if findings.markup_in(answer.content + answer.reasoning):
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
        return [findings.judged_thinking(self._profile, seen)]

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
            leaked = findings.markup_in(answer.content + answer.reasoning)
            if answer.calls or leaked or written_calls(answer.content, (_TOOL,)).calls:
                break
        self._markup = self._markup or leaked
        return answer

    async def _listing(self) -> list[Finding]:
        """What the list of models says about the profile, the model's name and the window."""
        served = await list_models(self._client, self._url)
        chosen = chosen_model(served, self._model)
        found = findings.fitting(self._profile, served, self._model, self._markup)
        found += findings.listed(served, self._model)
        window = chosen.window if chosen else None
        if window is None and self._profile.server in ("sglang", "ktransformers"):
            window = await self._refused_window()
        return [*found, findings.known_window(self._profile, window)]

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
