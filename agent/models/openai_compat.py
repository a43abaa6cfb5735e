"""The `Model` for SGLang, vLLM, KTransformers, NIM and every OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence

import httpx
from pydantic import SecretStr

from agent.model import Message, ToolSpec, Turn
from agent.models.endpoints import Endpoints, server_url
from agent.models.faults import Fault
from agent.models.http import RequestFailed, Timeouts, post_completion, request_headers
from agent.models.normalize import is_empty, turn_of
from agent.models.profiles import Profile
from agent.models.request_body import (
    Conversation,
    PictureBytes,
    body_head,
    body_tail,
    no_pictures,
)
from agent.models.retry import Patience, TurnFaults
from agent.models.served import chosen_model, list_models

OnWaiting = Callable[[str, float], Awaitable[None]]
"""Called with the reason and the seconds until the next attempt while a server is unavailable."""
OnProgress = Callable[[str, int], None]
"""Called with a server's address when it is asked, and as it answers with the number of parts that
have come: about one a token."""

TOKENS_PER_BYTE = 0.4
"""Cautious guess for text that no server has counted yet; English and code need about 0.25."""
_PROBE_S = 5.0


class OpenAICompatModel:
    """One run's conversation with a model; see docs/models.md.

    `base_urls` are one router's address or several servers', with or without `/v1`. `picture` gives
    the bytes of the images that messages name. `endpoints`
    and `client` can be shared by the runs of a process: load is then spread over all of them, and
    `close` leaves the client open. `routing_key` keeps the run on its server.
    """

    def __init__(
        self,
        profile: Profile,
        base_urls: Sequence[str],
        model: str = "",
        api_key: SecretStr | None = None,
        routing_key: str = "",
        *,
        seed: int | None = None,
        patience: Patience | None = None,
        timeouts: Timeouts | None = None,
        endpoints: Endpoints | None = None,
        client: httpx.AsyncClient | None = None,
        on_waiting: OnWaiting | None = None,
        on_progress: OnProgress | None = None,
        picture: PictureBytes = no_pictures,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.on_waiting = on_waiting
        self._on_progress = on_progress or (lambda _, __: None)
        self._profile = profile
        self._model = model or profile.model
        self._api_key = api_key or SecretStr("")
        self._key = routing_key
        self._seed = seed
        self._patience = patience or Patience()
        self._timeouts = timeouts or Timeouts()
        self._endpoints = endpoints or Endpoints(base_urls, clock)
        self._client = client or httpx.AsyncClient()
        self._owns_client = client is None
        self._clock = clock
        self._sleep = sleep
        # Spreads attempts in time; nothing secret hangs on it.
        self._rng = rng or random.Random()  # noqa: S311
        self._window = profile.window
        self._looked_up = False
        self._conversation = Conversation(profile, picture)
        self._tools: Sequence[ToolSpec] | None = None
        self._head = b""
        self._counted_bytes = 0
        self._counted_tokens = 0
        self._warned: set[str] = set()

    @property
    def name(self) -> str:
        """The profile and model, for the journal."""
        return f"{self._profile.name}/{self._model}"

    @property
    def window(self) -> int:
        """Context window in tokens: the profile's, or what the server said if that is less."""
        return self._window

    @property
    def preserves_thinking(self) -> bool:
        """Whether the model's template renders all earlier thinking."""
        return self._profile.reasoning_history == "all"

    @property
    def sees_images(self) -> bool:
        """Whether the model takes images, by its profile."""
        return self._profile.sees_images

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        """Answer the conversation; see `agent.model.Model.turn`.

        An empty answer is asked again a few times, then given with a warning. Raises `ModelError`
        when the model writes endlessly each time, and what the protocol names.
        """
        content = self._conversation.encode(messages)
        head = self._head_for(tools)
        size = len(head) + len(content) + self._picture_weight()
        max_tokens = self._output_budget(size)
        faults = TurnFaults(self._patience, self._clock, self._rng)
        notes: list[str] = []
        attempt = 0
        while True:
            # The same seed would give the same useless answer again.
            seed = None if self._seed is None else self._seed + 1_000_003 * attempt
            body = b"".join((head, content, body_tail(self._profile, max_tokens, seed)))
            attempt += 1
            try:
                turn = await self._request_turn(body, tools, faults)
            except RequestFailed as faulted:
                fault = self._told(faulted.fault)
                if room := self._output_budget_left(fault, max_tokens):
                    max_tokens = room
                    continue
                await self._wait(fault, faults.after(fault))
                notes.append(fault.reason)
                continue
            self._learn_from_usage(size, turn)
            if turn.finish_reason == "length" and not self._looked_up:
                await self._look_up_window()
            if is_empty(turn) and faults.may_ask_again:
                fault = Fault(kind="bad_turn", reason="The model answered with nothing.")
                notes.append(fault.reason)
                faults.after(fault)
                continue
            return turn.model_copy(update={"warnings": self._warnings(turn, notes)})

    async def close(self) -> None:
        """Release connections. Safe to call twice."""
        self._endpoints.release(self._key)
        if self._owns_client:
            await self._client.aclose()

    async def _request_turn(
        self, body: bytes, tools: Sequence[ToolSpec], faults: TurnFaults
    ) -> Turn:
        url = await self._choose()
        self._endpoints.request_started(url)

        def progressed(parts: int) -> None:
            faults.progressed()
            self._on_progress(url, parts)

        self._on_progress(url, 0)
        try:
            answer = await post_completion(
                self._client, url, body, self._headers(), self._timeouts, progressed
            )
        except RequestFailed as faulted:
            if faulted.fault.kind in ("away", "retry"):
                self._endpoints.mark_down(url)
            raise
        finally:
            self._endpoints.request_ended(url)
        self._endpoints.mark_up(url)
        known = self._conversation
        return turn_of(answer, self._profile, tools, known.taken, known.calls)

    async def _choose(self) -> str:
        """A server that is well, as far as can be told; the least bad one if none is."""
        for _ in self._endpoints.urls:
            url = self._endpoints.choose(self._key)
            alone = len(self._endpoints.urls) == 1
            if alone or not self._endpoints.is_suspect(url) or not self._endpoints.is_up(url):
                return url
            if await self._is_healthy(url):
                return url
            self._endpoints.mark_down(url)
        return self._endpoints.choose(self._key)

    async def _is_healthy(self, url: str) -> bool:
        try:
            answer = await self._client.get(
                f"{server_url(url)}/health", headers=self._headers(), timeout=_PROBE_S
            )
        except httpx.HTTPError:
            return False
        # A server without this address answers 404, which shows that it is alive.
        return answer.status_code < 500

    async def _wait(self, fault: Fault, seconds: float) -> None:
        """Wait, unless another server can be asked at once."""
        urls = self._endpoints.urls
        if len(urls) > 1 and any(self._endpoints.is_up(url) for url in urls):
            return
        if fault.kind == "away" and self.on_waiting is not None:
            await self.on_waiting(fault.reason, seconds)
        await self._sleep(seconds)

    def _headers(self) -> dict[str, str]:
        # Recreated each time, so that the key stands nowhere in the open.
        return request_headers(self._profile, self._api_key, self._key)

    def _head_for(self, tools: Sequence[ToolSpec]) -> bytes:
        if self._tools is None or list(self._tools) != list(tools):
            self._tools = tuple(tools)
            self._head = body_head(self._model, tools)
        return self._head

    def _picture_weight(self) -> int:
        """What images add to the bytes: by their tokens, and not by their encoded form."""
        shown = self._conversation
        return math.ceil(shown.picture_tokens / TOKENS_PER_BYTE) - shown.picture_bytes

    def _output_budget(self, size: int) -> int:
        """Tokens to ask for: what the profile allows and the window is likely to leave."""
        if self._counted_tokens and size >= self._counted_bytes:
            prompt = self._counted_tokens + (size - self._counted_bytes) * TOKENS_PER_BYTE
        elif self._counted_tokens:
            prompt = size * self._counted_tokens / self._counted_bytes * 1.05
        else:
            prompt = size * TOKENS_PER_BYTE
        left = self._window - math.ceil(prompt) - 64
        # If less is left than a turn is worth, the server says so, from its own count.
        wanted = self._profile.max_output_tokens
        return min(wanted, max(left, self._profile.min_output_tokens))

    def _output_budget_left(self, fault: Fault, requested: int) -> int:
        """Tokens that the server has left for a turn of fewer than `requested`; 0 if not enough."""
        self._window = min(self._window, fault.window or self._window)
        room = fault.room or 0
        return room if self._profile.min_output_tokens <= room < requested else 0

    def _learn_from_usage(self, size: int, turn: Turn) -> None:
        if turn.usage.prompt_tokens:
            self._counted_bytes, self._counted_tokens = size, turn.usage.prompt_tokens

    async def _look_up_window(self) -> None:
        """Ask for the window, once: llama.cpp cuts an answer where the window ends, unasked."""
        self._looked_up = True
        served = await list_models(self._client, self._endpoints.choose(self._key), self._headers())
        model = chosen_model(served, self._model)
        if model is not None and model.window:
            self._window = min(self._window, model.window)

    def _told(self, fault: Fault) -> Fault:
        """The fault without the key, and with the profile: others may be served elsewhere."""
        secret = self._api_key.get_secret_value().strip()
        reason = fault.reason.replace(secret, "…") if secret else fault.reason
        named = "" if fault.kind == "too_long" else f"{self._profile.name}: "
        return fault.model_copy(update={"reason": named + reason})

    def _warnings(self, turn: Turn, notes: Sequence[str]) -> tuple[str, ...]:
        """What was fixed, each thing told once in the life of a run, and what was tried again."""
        fresh = [text for text in turn.warnings if text not in self._warned]
        self._warned.update(fresh)
        if is_empty(turn):
            fresh.append("The model stopped with neither text nor a tool call.")
        if notes:
            fresh.append(f"Asked {len(notes) + 1} times; last: {notes[-1]}")
        return tuple(fresh)
