"""The prompt a conversation becomes, its tokens, and which of them a worker has cached.

The templates follow those of the Kimi models, written anew from what they do. Compared with the
originals by tests/integration/agent/models/test_templates.py.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image

from tests.doubles.sglang import detectors as k2
from tests.doubles.sglang import k3_detectors as k3

CHARS_PER_TOKEN = 4
"""A plain measure: what is counted has to be consistent, not right."""
PIXELS_PER_TOKEN = 28
"""Patches of 14 pixels, merged two by two."""
PAGE = 64
"""Characters of one page of the cache."""

Messages = Sequence[Mapping[str, Any]]
Keeps = Literal["since_last_answer", "on_request", "all"]


@dataclass(frozen=True)
class Template:
    """What tells the models' templates apart."""

    markup: Literal["kimi_k2", "kimi_k3"] = "kimi_k2"
    keeps: Keeps = "since_last_answer"
    """Whose thinking is rendered; `on_request`: all of it with `preserve_thinking`."""
    opens_thinking: bool = True
    """Whether the prompt ends within the thinking."""


TEMPLATES: Mapping[str, Template] = {
    "k2-thinking": Template(opens_thinking=False),
    "k2.5": Template(),
    "k2.6": Template(keeps="on_request"),
    "k2.7-code": Template(keeps="all"),
    "k3": Template(markup="kimi_k3", keeps="all"),
}
"""By the name of the model's profile."""


def render(
    messages: Messages,
    tools: Sequence[Mapping[str, Any]],
    template: Template = TEMPLATES["k2-thinking"],
    request: Mapping[str, Any] | None = None,
) -> str:
    """The prompt's text; `request` has the switches that the template knows."""
    if template.markup == "kimi_k3":
        return _k3(messages, tools, str((request or {}).get("reasoning_effort") or "max"))
    switches = (request or {}).get("chat_template_kwargs") or {}
    parts = []
    if tools:
        declared = json.dumps(tools, separators=(",", ":"), ensure_ascii=False)
        parts.append(f"<|im_system|>tool_declare<|im_middle|>{declared}<|im_end|>")
    plain = (
        i for i, m in enumerate(messages) if m["role"] == "assistant" and not m.get("tool_calls")
    )
    keeps_all = template.keeps == "all" or (
        template.keeps == "on_request" and bool(switches.get("preserve_thinking"))
    )
    last_plain = -1 if keeps_all else max(plain, default=-1)
    parts += [_k2_message(m, i > last_plain) for i, m in enumerate(messages)]
    return "".join(parts) + stub(template)


def stub(template: Template) -> str:
    """What a prompt ends in: the head of the answer."""
    if template.markup == "kimi_k3":
        return f'{k3.OPEN}message role="assistant"{k3.SEP}{k3.THINK_OPEN}'
    return "<|im_assistant|>assistant<|im_middle|>" + k2.THINK_BEGIN * template.opens_thinking


def _k2_message(message: Mapping[str, Any], with_reasoning: bool) -> str:
    role = message["role"]
    content = _content(message, "<|media_begin|>image<|media_content|><|media_pad|><|media_end|>")
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


def _content(message: Mapping[str, Any], image: str) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part["text"] if part["type"] == "text" else image for part in content)


def has_images(messages: Messages) -> bool:
    """Whether any message has an image."""
    return any(
        part["type"] == "image_url"
        for message in messages
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )


def _k3(messages: Messages, tools: Sequence[Mapping[str, Any]], effort: str) -> str:
    parts = []
    if tools:
        declared = json.dumps(tools, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
        head = "# Tools\nHere are the available tools, described in JSONSchema."
        body = f"{head}\n\n```json\n{declared}\n```"
        parts.append(_k3_message(body, role="system", type="tool-declare"))
    told = (
        "`thinking_effort` guides on how much to think in your thinking channel (not including the "
        "response channel), supported values include `low`, `medium`, `high`, and `max`.\n"
        f"Now the system is invoked with `thinking_effort={effort}`."
    )
    parts.append(_k3_message(told, role="system", type="thinking-effort"))
    names: list[str] = []
    results = 0
    for message in messages:
        content = _content(message, "<|kimi_image_placeholder|>")
        match message["role"]:
            case "assistant":
                calls = message.get("tool_calls") or []
                names, results = [c["function"]["name"] for c in calls], 0
                parts.append(_k3_message(_k3_answer(message, content, calls), role="assistant"))
            case "tool":
                name = names[results] if results < len(names) else ""
                results += 1
                head = {"role": "tool", "tool": name, "index": str(results)}
                parts.append(_k3_message(content, **head))
            case role:
                parts.append(_k3_message(content, role=role))
    return "".join(parts) + stub(TEMPLATES["k3"])


def _k3_answer(message: Mapping[str, Any], content: str, calls: Sequence[Mapping[str, Any]]) -> str:
    thought = message.get("reasoning_content") or message.get("reasoning") or ""
    text = f"{k3.THINK_OPEN}{thought if thought.strip() else ''}{k3.THINK_CLOSE}"
    text += f"{k3.RESPONSE_OPEN}{content}{k3.RESPONSE_CLOSE}"
    written = [(c["function"]["name"], c["function"]["arguments"]) for c in calls]
    return text + (k3.written(written) if written else "")


def _k3_message(body: str, **attributes: str) -> str:
    return f"{k3.tag('message', **attributes)}{body}{k3.MESSAGE_CLOSE}{k3.END_OF_MESSAGE}"


def with_image_tokens(prompt: str, messages: Messages) -> str:
    """The prompt as a server counts it: each image's mark stands for as many tokens as it takes.

    The same image is the same tokens, so that the cache knows it; no two are alike.
    """
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] == "image_url":
                prompt = _PAD.sub(_image_tokens(part["image_url"]["url"]), prompt, count=1)
    return prompt


_PAD = re.compile(r"<\|media_pad\|>|<\|kimi_image_placeholder\|>")


def _image_tokens(url: str) -> str:
    data = base64.b64decode(url.partition(";base64,")[2])
    with Image.open(io.BytesIO(data)) as image:
        across, down = (-(-side // PIXELS_PER_TOKEN) for side in image.size)
    mark = hashlib.blake2b(data, digest_size=CHARS_PER_TOKEN).hexdigest()[:CHARS_PER_TOKEN]
    return mark * (across * down)


def tokens(text: str) -> int:
    """How many tokens the text counts."""
    return -(-len(text) // CHARS_PER_TOKEN)


class PrefixCache:
    """The prefixes that a worker has computed, page by page.

    With a limit, the page that was not used for longest is lost first; of pages used together, the
    last of a prompt goes before the first, as in SGLang's radix cache, which evicts leaves.
    """

    def __init__(self, most_tokens: int = 0) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._most = most_tokens * CHARS_PER_TOKEN // PAGE

    def cached(self, prompt: str) -> int:
        """Tokens of the longest beginning of the prompt that is known."""
        pages = 0
        for digest in _digests(prompt):
            if digest not in self._known:
                break
            pages += 1
        return pages * PAGE // CHARS_PER_TOKEN

    def add(self, text: str) -> None:
        """Remember a prompt, with the answer that was written after it."""
        for digest in reversed(_digests(text)):
            self._known[digest] = None
            self._known.move_to_end(digest)
        while self._most and len(self._known) > self._most:
            self._known.popitem(last=False)


def _digests(text: str) -> list[bytes]:
    """One digest per whole page, each of all the text up to its end."""
    chain = hashlib.blake2b(digest_size=16)
    found = []
    for end in range(PAGE, len(text) + 1, PAGE):
        chain.update(text[end - PAGE : end].encode("utf-8", "replace"))
        found.append(chain.digest())
    return found
