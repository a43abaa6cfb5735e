"""The server's chunks, answers and errors, in its own shapes."""

from __future__ import annotations

import json
from typing import Any

from tests.doubles.sglang.detectors import CallPiece

CREATED = 1_763_942_400
"""A fixed moment, so that answers are the same each time."""


def sse(chunk: object) -> bytes:
    """One event."""
    text = json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def text_chunk(
    request_id: str,
    model: str,
    *,
    role: str | None = None,
    content: str | None = None,
    reasoning: str | None = None,
    finish: str | None = None,
    vllm: bool = False,
) -> dict[str, Any]:
    """A chunk of text, of the role or of the finish.

    `reasoning_content` is always there; vLLM has `reasoning`, and only where there is some
    (vllm/entrypoints/generate/base/protocol.py).
    """
    delta: dict[str, Any] = {} if vllm else {"reasoning_content": reasoning}
    if vllm and reasoning is not None:
        delta["reasoning"] = reasoning
    if role is not None:
        delta["role"] = role
    if content is not None:
        delta["content"] = content
    return _chunk(request_id, model, delta, finish)


def call_chunk(
    request_id: str, model: str, piece: CallPiece, call_id: str | None, *, vllm: bool = False
) -> dict[str, Any]:
    """A piece of a tool call; id and name come with its first one."""
    call = {
        "id": call_id,
        "index": piece.index,
        "type": "function",
        "function": {"name": piece.name, "arguments": piece.arguments},
    }
    delta: dict[str, Any] = {"tool_calls": [call]}
    if not vllm:
        delta = {"role": None, "content": None, "reasoning_content": None, **delta}
    return _chunk(request_id, model, delta, None) | {"usage": None}


def usage_chunk(request_id: str, model: str, usage: dict[str, Any]) -> dict[str, Any]:
    """The last chunk, without choices."""
    return _chunk(request_id, model, {}, None) | {"choices": [], "usage": usage}


def _chunk(
    request_id: str, model: str, delta: dict[str, Any], finish: str | None
) -> dict[str, Any]:
    choice = {
        "index": 0,
        "delta": delta,
        "logprobs": None,
        "finish_reason": finish,
        "matched_stop": None,
    }
    return {
        "id": request_id,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "choices": [choice],
    }


def completion(
    request_id: str, model: str, message: dict[str, Any], finish: str, usage: dict[str, Any]
) -> dict[str, Any]:
    """A whole answer."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", **message},
        "logprobs": None,
        "finish_reason": finish,
        "matched_stop": None,
    }
    return {
        "id": request_id,
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


def usage(prompt: int, answer: int, cached: int | None) -> dict[str, Any]:
    """Token counts; `cached` is None without `--enable-cache-report`."""
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt + answer,
        "completion_tokens": answer,
        "prompt_tokens_details": None if cached is None else {"cached_tokens": cached},
        "reasoning_tokens": 0,
    }


def error(
    message: str, status: int, kind: str = "BadRequestError", *, vllm: bool = False
) -> dict[str, Any]:
    """An error as plain answers carry it: flat, or nested by vLLM."""
    told = {"message": message, "type": kind, "param": None, "code": status}
    return {"error": told} if vllm else {"object": "error", **told}
