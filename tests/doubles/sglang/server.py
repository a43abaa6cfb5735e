"""The stand-in as an ASGI application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.doubles.sglang import chaos, checks, wire
from tests.doubles.sglang.answering import Markup, Parsing, Said, cut, parse_whole
from tests.doubles.sglang.chaos import Chaos
from tests.doubles.sglang.detectors import CallPiece
from tests.doubles.sglang.latency import HARDWARE, Latency
from tests.doubles.sglang.prompts import (
    CHARS_PER_TOKEN,
    TEMPLATES,
    PrefixCache,
    Template,
    has_images,
    render,
    tokens,
    with_image_tokens,
)
from tests.doubles.sglang.turns import Policy, Say
from tests.doubles.sglang.vllm_parsing import VllmParsing

Server = Literal["sglang", "vllm", "ktransformers", "nim"]
"""What is stood in for: SGLang 0.5.23, vLLM 0.33, sglang-kt 0.7.2, and NIM, which is vLLM with
addresses of its own (docs.nvidia.com/nim/large-language-models, API reference)."""


@dataclass(frozen=True)
class Flags:
    """The launch command's words that matter to a client."""

    tool_call_parser: bool = True
    reasoning_parser: bool = True
    parsers: Markup = ""
    """Whose parsers they are; empty: those of the model."""
    enable_cache_report: bool = True
    context_length: int = 262_144
    api_key: str = ""
    model: str = "moonshotai/Kimi-K2-Thinking"
    template: str = "k2-thinking"
    """The chat template, by the name of its model's profile."""
    language_model_only: bool = False
    """The vision encoder is not loaded."""
    hides_window: bool = False
    """The list of models has no window, as a router's."""
    drops_thinking: bool = False
    """Something before the server takes earlier thinking out of requests."""
    server: Server = "sglang"
    llama_cpp: bool = False
    """List the model and refuse long prompts as llama.cpp's server does."""

    @property
    def rendered_with(self) -> Template:
        """The chat template."""
        return TEMPLATES[self.template]

    @property
    def is_vllm(self) -> bool:
        """Whether vLLM answers."""
        return self.server in ("vllm", "nim")

    @property
    def sees_nothing(self) -> bool:
        """Whether images are refused."""
        return self.language_model_only or self.template == "k2-thinking"

    @property
    def calls_parser(self) -> Markup:
        """The tool-call parser that is switched on."""
        return (self.parsers or self.rendered_with.markup) if self.tool_call_parser else ""

    @property
    def thinking_parser(self) -> Markup:
        """The reasoning parser that is switched on."""
        return (self.parsers or self.rendered_with.markup) if self.reasoning_parser else ""


@dataclass
class Seen:
    """What the stand-in has seen, for tests and simulations to look at."""

    requests: int = 0
    answered: int = 0
    chunks: int = 0
    """Of all streams so far."""
    aborted: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    virtual_s: float = 0.0
    refusals: list[str] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    connections: set[int] = field(default_factory=set)
    """The clients' ports: one for each connection."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """The last requests, newest at the end."""


@dataclass(frozen=True)
class _Job:
    """One request that was let in."""

    id: str
    request: Mapping[str, Any]
    raw: str
    finish: str
    fault: str
    calls_parser: Markup
    thinking_parser: Markup
    functions: tuple[Mapping[str, Any], ...]
    calls_before: int
    usage: dict[str, Any]
    seconds: tuple[float, float]
    """Virtual seconds until the first token and for all of them."""


class StandIn:
    """One worker. `app` is its ASGI application."""

    def __init__(
        self,
        policy: Policy,
        flags: Flags | None = None,
        chaos: Chaos | None = None,
        latency: Latency | None = None,
        piece: int = 12,
        cache_tokens: int = 0,
    ) -> None:
        self.flags = flags or Flags()
        self.seen = Seen()
        self._policy = policy
        self._chaos = chaos or Chaos()
        self._latency = latency or Latency(HARDWARE["8xH200-int4"])
        self._piece = piece
        self._cache_tokens = cache_tokens
        self._cache = PrefixCache(cache_tokens)
        self._told: set[str] = set()
        paths = ("/health", "/health_generate", "/ready", "/v1/health/live", "/v1/health/ready")
        health = [Route(path, self._health) for path in paths]
        self.app = Starlette(
            routes=[
                *health,
                Route("/server_info", self._server_info),
                Route("/model_info", self._model_info),
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._completions, methods=["POST"]),
                Route("/metrics", self._metrics),
                Route("/_stand_in", self._report),
            ]
        )

    async def _health(self, _: Request) -> Response:
        return Response(status_code=200)

    async def _metrics(self, _: Request) -> Response:
        """The gauge of the cache's size as SGLang's `metrics_collector.py` has it."""
        labels = f'model_name="{self.flags.model}",engine_type="unified",tp_rank="0",pp_rank="0"'
        return PlainTextResponse(
            "# HELP sglang:max_total_num_tokens Tokens in the KV cache pool.\n"
            "# TYPE sglang:max_total_num_tokens gauge\n"
            f"sglang:max_total_num_tokens{{{labels}}} {float(self._cache_tokens)}\n"
        )

    async def _server_info(self, _: Request) -> Response:
        flags = self.flags
        return JSONResponse(
            {
                "model_path": flags.model,
                "served_model_name": flags.model,
                "context_length": flags.context_length,
                "tool_call_parser": flags.calls_parser or None,
                "reasoning_parser": flags.thinking_parser or None,
                "enable_cache_report": flags.enable_cache_report,
                "tp_size": 8,
                "dp_size": 1,
                "version": "0.5.23",
            }
        )

    async def _model_info(self, _: Request) -> Response:
        return JSONResponse({"model_path": self.flags.model, "is_generation": True})

    async def _models(self, request: Request) -> Response:
        if not self._may_enter(request):
            return JSONResponse({"error": "Unauthorized"}, 401)
        card = {
            "id": self.flags.model,
            "object": "model",
            "created": wire.CREATED,
            "owned_by": "vllm" if self.flags.is_vllm else "sglang",
            "root": self.flags.model,
            "parent": None,
            "max_model_len": self.flags.context_length,
        }
        if self.flags.hides_window:
            del card["max_model_len"]
        if self.flags.llama_cpp:
            del card["max_model_len"]
            card |= {
                "owned_by": "llamacpp",
                "aliases": [self.flags.model],
                "meta": {"n_ctx": self.flags.context_length, "n_ctx_train": 262_144},
            }
        return JSONResponse({"object": "list", "data": [card]})

    async def _report(self, _: Request) -> Response:
        seen = {k: v for k, v in vars(self.seen).items() if k not in ("bodies", "connections")}
        return JSONResponse(seen)

    def _may_enter(self, request: Request) -> bool:
        wanted = self.flags.api_key
        return not wanted or request.headers.get("authorization") == f"Bearer {wanted}"

    async def _completions(self, request: Request) -> Response:
        if not self._may_enter(request):
            return JSONResponse({"error": "Unauthorized"}, 401)
        try:
            body = json.loads(await request.body())
        except ValueError as error:
            return self._refuse(f"Invalid JSON: {error}")
        key = request.headers.get("x-smg-routing-key", "")
        self.seen.requests += 1
        self.seen.connections.add(request.client.port if request.client else 0)
        self.seen.keys[key] = self.seen.keys.get(key, 0) + 1
        self.seen.bodies = [*self.seen.bodies[-9:], body]
        messages = body.get("messages") or []
        refused = checks.parts_error(messages) or self._refusal(body)
        if refused:
            return self._refuse(refused)
        say = self._policy(body)
        fault = self._fault(say, body)
        if fault:
            self.seen.faults[fault] = self.seen.faults.get(fault, 0) + 1
        if fault in ("429", "500", "503"):
            return _unwell(int(fault), vllm=self.flags.is_vllm)
        if self.flags.drops_thinking:
            body["messages"] = [
                {k: v for k, v in m.items() if not k.startswith("reasoning")}
                for m in body["messages"]
            ]
        template = self.flags.rendered_with
        prompt = render(body["messages"], body.get("tools") or [], template, body)
        prompt = with_image_tokens(prompt, messages)
        max_tokens = int(body.get("max_tokens") or body.get("max_completion_tokens") or 1)
        window = self.flags.context_length
        if self.flags.llama_cpp:
            too_long = checks.llama_cpp_length_error(tokens(prompt), window)
            if too_long:
                self.seen.refusals.append(too_long["error"]["message"])
                return JSONResponse(too_long, 400)
            max_tokens = min(max_tokens, window - tokens(prompt))
        refused = checks.length_error(tokens(prompt), max_tokens, window)
        if self.flags.is_vllm:
            refused = checks.vllm_length_error(tokens(prompt), window)
            max_tokens = min(max_tokens, window - tokens(prompt))
        if refused:
            return self._refuse(refused)
        job = self._job(body, prompt, max_tokens, say, fault)
        if not body.get("stream"):
            return await self._plain(job)
        return StreamingResponse(self._watched(job), media_type="text/event-stream")

    def _refusal(self, body: Mapping[str, Any]) -> str | None:
        """Why a request is refused, whatever its length."""
        messages = body.get("messages") or []
        blind = self.flags.sees_nothing and has_images(messages)
        if self.flags.is_vllm:
            if body.get("tools") and not self.flags.tool_call_parser:
                return checks.VLLM_NO_TOOLS
            return checks.VLLM_NO_IMAGES if blind else None
        return checks.NO_IMAGES if blind else checks.conversation_error(messages)

    def _refuse(self, message: str) -> Response:
        self.seen.refusals.append(message)
        return JSONResponse(wire.error(message, 400, vllm=self.flags.is_vllm), 400)

    def _fault(self, say: Say, body: Mapping[str, Any]) -> str:
        """The turn's own fault, the first time it is asked for; else one by chance."""
        place = json.dumps([m["role"] for m in body["messages"]]) + say.fault
        if say.fault and place not in self._told:
            self._told.add(place)
            return say.fault
        return self._chaos.next()

    def _job(
        self, body: Mapping[str, Any], prompt: str, max_tokens: int, say: Say, fault: str
    ) -> _Job:
        before = sum(len(m.get("tool_calls") or []) for m in body["messages"])
        template = self.flags.rendered_with
        said = chaos.altered(say, fault, before, template)
        raw, finish = said.tokens(before, template), said.finish
        if tokens(raw) > max_tokens:
            raw, finish = raw[: max_tokens * CHARS_PER_TOKEN], "length"
        cached = self._cache.cached(prompt)
        # The end of the prompt is computed anew in any case, to have something to go on from.
        cached = min(cached, tokens(prompt) - 1)
        self._cache.add(prompt + raw)
        first = self._latency.first_token_s(tokens(prompt) - cached)
        writing = self._latency.writing_s(tokens(raw))
        self.seen.prompt_tokens += tokens(prompt)
        self.seen.cached_tokens += cached
        self.seen.completion_tokens += tokens(raw)
        self.seen.virtual_s += first + writing
        return _Job(
            id=f"{self.seen.requests:032x}",
            request=body,
            raw=raw,
            finish=finish,
            fault=fault,
            calls_parser="" if fault == "leaked_tokens" else self.flags.calls_parser,
            thinking_parser=self.flags.thinking_parser,
            functions=tuple(t["function"] for t in body.get("tools") or []),
            calls_before=before,
            usage=wire.usage(
                tokens(prompt), tokens(raw), cached if self.flags.enable_cache_report else None
            ),
            seconds=(first, writing),
        )

    async def _plain(self, job: _Job) -> Response:
        await asyncio.sleep(sum(job.seconds) * self._latency.scale)
        reasoning, content, pieces = parse_whole(
            job.raw, job.calls_parser, job.thinking_parser, job.functions
        )
        finish = "tool_calls" if pieces and job.finish == "stop" else job.finish
        calls = [
            {
                "id": _call_id(job, piece),
                "index": i,
                "type": "function",
                "function": {"name": piece.name, "arguments": piece.arguments},
            }
            for i, piece in enumerate(pieces)
        ]
        message = {
            "content": content,
            "reasoning_content": reasoning or None,
            "tool_calls": calls or None,
        }
        self.seen.answered += 1
        return JSONResponse(wire.completion(job.id, self.flags.model, message, finish, job.usage))

    async def _watched(self, job: _Job) -> AsyncIterator[bytes]:
        """The stream, with its end noted: whole, or cut by the client."""
        whole = False
        try:
            async for data in self._stream(job):
                yield data
                self.seen.chunks += 1
            whole = True
        finally:
            self.seen.answered += whole
            self.seen.aborted += not whole

    async def _stream(self, job: _Job) -> AsyncIterator[bytes]:
        if job.fault == "reset_early":
            yield b": \n\n"
            raise ConnectionResetError("as planned")
        await asyncio.sleep(job.seconds[0] * self._latency.scale)
        vllm = self.flags.is_vllm
        begin = wire.text_chunk(job.id, self.flags.model, role="assistant", content="", vllm=vllm)
        yield wire.sse(begin)
        parsing = self._parsing(job)
        pieces = cut(job.raw, self._piece, job.id)
        for number, piece in enumerate(pieces):
            if number == len(pieces) // 2:
                if job.fault == "stream_error":
                    message = "Request waiting timeout reached."
                    told = wire.error(message, 503, "SERVICE_UNAVAILABLE", vllm=vllm)
                    yield wire.sse(told if vllm else {"error": told})
                    yield wire.DONE
                    return
                await _interrupt(job.fault)
            await asyncio.sleep(job.seconds[1] / len(pieces) * self._latency.scale)
            said = parsing.feed(piece, last=number == len(pieces) - 1)
            for chunk in self._chunks(job, said):
                yield wire.sse(chunk)
        finish = "tool_calls" if parsing.has_calls and job.finish == "stop" else job.finish
        yield wire.sse(wire.text_chunk(job.id, self.flags.model, finish=finish, vllm=vllm))
        if (job.request.get("stream_options") or {}).get("include_usage"):
            yield wire.sse(wire.usage_chunk(job.id, self.flags.model, job.usage))
        yield wire.DONE

    def _parsing(self, job: _Job) -> Parsing | VllmParsing:
        """The parsers of the server's kind."""
        both = {job.calls_parser, job.thinking_parser}
        if self.flags.is_vllm and both == {"kimi_k2"} and job.functions:
            return VllmParsing()
        return Parsing(
            job.calls_parser,
            job.thinking_parser,
            job.functions,
            only_named=self.flags.server == "ktransformers",
            ends_at_calls=self.flags.server != "ktransformers",
        )

    def _chunks(self, job: _Job, said: Said) -> Iterator[dict[str, Any]]:
        model, vllm = self.flags.model, self.flags.is_vllm
        if said.reasoning:
            yield wire.text_chunk(job.id, model, reasoning=said.reasoning, vllm=vllm)
        if said.content:
            yield wire.text_chunk(job.id, model, content=said.content, vllm=vllm)
        for piece in said.calls:
            call_id = _call_id(job, piece, vllm=vllm) if piece.name else None
            yield wire.call_chunk(job.id, model, piece, call_id, vllm=vllm)


def _call_id(job: _Job, piece: CallPiece, *, vllm: bool = False) -> str:
    if vllm and job.calls_parser == "kimi_k3":
        # vllm/renderers/chat_utils: random for all but Kimi K2.
        return f"chatcmpl-tool-{job.id[-8:]}{piece.index:02x}"
    if job.fault == "foreign_ids":
        return f"call_{job.id[-8:]}{piece.index:02x}"
    number = 0 if job.fault == "duplicate_ids" else job.calls_before + piece.index
    # serving_chat.py:_process_tool_call_id
    return f"{'' if job.calls_parser == 'kimi_k3' else 'functions.'}{piece.name}:{number}"


async def _interrupt(fault: str) -> None:
    if fault == "reset":
        raise ConnectionResetError("as planned")
    if fault == "stall":
        # Until the client has had enough: its leaving cancels this.
        await asyncio.Event().wait()


def _unwell(status: int, *, vllm: bool) -> Response:
    if status == 429:
        message, kind, headers = "Rate limit reached.", "RateLimitError", {"Retry-After": "1"}
    elif status == 503:
        message, kind, headers = "The request queue is full.", "SERVICE_UNAVAILABLE", {}
    else:
        message, kind, headers = "Internal server error", "InternalServerError", {}
    return JSONResponse(wire.error(message, status, kind, vllm=vllm), status, headers)
