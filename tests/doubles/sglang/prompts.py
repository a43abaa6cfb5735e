"""The prompt a conversation becomes, its tokens, and which of them a worker has cached.

The template follows Kimi K2 Thinking's: tools first, reasoning dropped up to the last assistant
message without calls, results under `## Return of ID`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.doubles.sglang import detectors as k2

CHARS_PER_TOKEN = 4
"""A plain measure: what is counted has to be consistent, not right."""
PAGE = 64
"""Characters of one page of the cache."""


def render(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> str:
    """The prompt's text."""
    parts = []
    if tools:
        declared = json.dumps(tools, separators=(",", ":"), ensure_ascii=False)
        parts.append(f"<|im_system|>tool_declare<|im_middle|>{declared}<|im_end|>")
    last_plain = max(
        (i for i, m in enumerate(messages) if m["role"] == "assistant" and not m.get("tool_calls")),
        default=-1,
    )
    parts += [_message(m, i > last_plain) for i, m in enumerate(messages)]
    return "".join(parts) + "<|im_assistant|>assistant<|im_middle|>"


def _message(message: Mapping[str, Any], with_reasoning: bool) -> str:
    role = message["role"]
    content = message.get("content") or ""
    if role == "tool":
        body = f"## Return of {message['tool_call_id']}\n{content}"
        return f"<|im_system|>tool<|im_middle|>{body}<|im_end|>"
    if role != "assistant":
        return f"<|im_{role}|>{role}<|im_middle|>{content}<|im_end|>"
    thought = (message.get("reasoning_content") or "") if with_reasoning else ""
    calls = message.get("tool_calls") or []
    body = f"{k2.THINK_BEGIN}{thought}{k2.THINK_END}{content}"
    if calls:
        written = "".join(
            f"{k2.CALL_BEGIN}{c['id']}{k2.ARGUMENT_BEGIN}{c['function']['arguments']}{k2.CALL_END}"
            for c in calls
        )
        body += f"{k2.SECTION_BEGIN}{written}{k2.SECTION_END}"
    return f"<|im_assistant|>assistant<|im_middle|>{body}<|im_end|>"


def tokens(text: str) -> int:
    """How many tokens the text counts."""
    return -(-len(text) // CHARS_PER_TOKEN)


class PrefixCache:
    """The prefixes that a worker has computed, page by page."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def cached(self, prompt: str) -> int:
        """Tokens of the longest beginning of the prompt that was seen before."""
        pages = 0
        for digest in _digests(prompt):
            if digest not in self._known:
                break
            pages += 1
        return pages * PAGE // CHARS_PER_TOKEN

    def add(self, text: str) -> None:
        """Remember a prompt, with the answer that was written after it."""
        self._known.update(_digests(text))


def _digests(text: str) -> list[bytes]:
    """One digest per whole page, each of all the text up to its end."""
    chain = hashlib.blake2b(digest_size=16)
    found = []
    for end in range(PAGE, len(text) + 1, PAGE):
        chain.update(text[end - PAGE : end].encode("utf-8", "replace"))
        found.append(chain.digest())
    return found
