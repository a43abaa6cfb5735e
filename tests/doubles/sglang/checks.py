"""What the server refuses, in its own words."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

NO_IMAGES = (
    "Multimodal inputs are not supported when --language-model-only is set; the encoder is not "
    "loaded. Restart without the flag."
)
"""srt/managers/tokenizer_manager.py"""

VLLM_NO_IMAGES = "At most 0 image(s) may be provided in one prompt."
"""vllm/multimodal/processing/context.py"""
VLLM_NO_TOOLS = (
    '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
)
"""vllm/renderers/online_renderer.py"""


def vllm_length_error(prompt_tokens: int, window: int) -> str | None:
    """vLLM's answer to a prompt that is too long (vllm/renderers/params.py); None if it fits.

    What is asked for beyond the window is no error there: the answer ends when it is full.
    """
    if prompt_tokens <= window:
        return None
    return (
        f"This model's maximum context length is {window} tokens. However, your prompt contains "
        f"{prompt_tokens} input tokens, which exceeds this limit even without any output tokens. "
        "Please reduce the length of the input prompt."
    )


def conversation_error(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """Why a conversation is refused; None if it is sound."""
    if not messages:
        return "Messages cannot be empty."
    return _pairing_error(messages) or _arguments_error(messages)


def _pairing_error(messages: Sequence[Mapping[str, Any]]) -> str | None:
    pending: set[str] | None = None
    for message in messages:
        if message["role"] == "tool":
            call_id = message.get("tool_call_id")
            if pending is None:
                return "A tool message must follow an assistant message with tool_calls."
            if call_id not in pending:
                return f"tool_call_id {call_id!r} does not match an unanswered tool call."
            pending.discard(call_id)
            continue
        if pending:
            return f"Tool calls {sorted(pending)} have no tool message answering them."
        calls = message.get("tool_calls") or []
        pending = {c["id"] for c in calls} if message["role"] == "assistant" and calls else None
    if pending and messages[-1]["role"] == "tool":
        return f"Tool calls {sorted(pending)} have no tool message answering them."
    return None


def _arguments_error(messages: Sequence[Mapping[str, Any]]) -> str | None:
    for message in messages:
        for call in message.get("tool_calls") or []:
            try:
                arguments = json.loads(call["function"]["arguments"])
            except ValueError:
                return "Assistant tool call function.arguments must be valid JSON."
            if not isinstance(arguments, dict):
                return "Assistant tool call function.arguments must be a JSON object."
    return None


def parts_error(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """Why contents in parts are refused; None if they are sound.

    Images come from users alone (`ChatCompletionMessageUserParam` of OpenAI's description), as data
    or from elsewhere; ours never make the server fetch anything.
    """
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] == "text" and isinstance(part["text"], str):
                continue
            if part["type"] != "image_url":
                return f"Unknown part type: {part['type']}"
            if message["role"] != "user":
                return "Only user messages may hold images."
            head, _, data = part["image_url"]["url"].partition(";base64,")
            if head not in ("data:image/png", "data:image/jpeg"):
                return f"Not the data of an image: {head[:40]}"
            try:
                base64.b64decode(data, validate=True)
            except ValueError:
                return "The image's data is not base64."
    return None


def length_error(prompt_tokens: int, max_tokens: int, window: int) -> str | None:
    """Why a length is refused; None if it fits."""
    if prompt_tokens >= window:
        return (
            f"The input ({prompt_tokens} tokens) is longer than the model's context length "
            f"({window} tokens)."
        )
    if prompt_tokens + max_tokens > window:
        return (
            f"Requested token count exceeds the model's maximum context length of {window} tokens."
            f" You requested a total of {prompt_tokens + max_tokens} tokens: {prompt_tokens} tokens"
            f" from the input messages and {max_tokens} tokens for the completion. Please reduce "
            "the number of tokens in the input messages or the completion to fit within the limit."
        )
    return None


def llama_cpp_length_error(prompt_tokens: int, window: int) -> dict[str, Any] | None:
    """llama.cpp's answer to a prompt that is too long; None if it fits.

    What is asked for beyond the window is no error there: the answer ends when the window is full.
    """
    if prompt_tokens < window:
        return None
    message = (
        f"request ({prompt_tokens} tokens) exceeds the available context size ({window} tokens), "
        "try increasing it"
    )
    return {
        "error": {
            "code": 400,
            "message": message,
            "type": "exceed_context_size_error",
            "n_prompt_tokens": prompt_tokens,
            "n_ctx": window,
        }
    }
