"""Kimi K3's raw channels, for servers that let them through as text.

`<|open|>think<|sep|>…<|close|>think<|sep|>`, then the channels `response` and `tools`; a call is
`<|open|>call tool="NAME" index="1"<|sep|>` with one `argument` element a key, whose text is raw
where its type is `string`, else JSON (sglang/srt/function_call/kimik3_detector.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from agent.models.kimi_tokens import Leak, RawCall, without

THINK_BEGIN = "<|open|>think<|sep|>"
THINK_END = "<|close|>think<|sep|>"
RESPONSE_BEGIN = "<|open|>response<|sep|>"
TOOLS_BEGIN = "<|open|>tools<|sep|>"
TOOLS_END = "<|close|>tools<|sep|>"
CALL_END = "<|close|>call<|sep|>"

_MARKER = re.compile(
    r"<\|open\|>\w+(?:\s+\w+=\"[^\"]*\")*(?:<\|sep\|>|\Z)|<\|close\|>\w+(?:<\|sep\|>|\Z)"
    r"|<\|(?:open|close|sep|end_of_msg)\|>"
)
_CALL = re.compile(r"<\|open\|>call((?:\s+\w+=\"[^\"]*\")*)<\|sep\|>")
_ELEMENT = re.compile(r"<\|open\|>(argument|json)((?:\s+\w+=\"[^\"]*\")*)<\|sep\|>")
_ATTRIBUTE = re.compile(r"(\w+)=\"([^\"]*)\"")


def has_tokens(text: str) -> bool:
    """Whether any of the channels' markers is in the text."""
    return _MARKER.search(text) is not None


def parse(text: str) -> Leak:
    """The calls that are in the text, and the text without them and without markers.

    Text that ends within a call gives it with what there is, which is no JSON.
    """
    calls: list[RawCall] = []
    kept: list[str] = []
    at = 0
    while found := _CALL.search(text, at):
        kept.append(text[at : found.start()])
        end = text.find(CALL_END, found.end())
        body = text[found.end() : end if end != -1 else len(text)]
        name = _attributes(found[1]).get("tool", "")
        calls.append(RawCall(id="", name=name, arguments=body if end == -1 else _arguments(body)))
        at = end + len(CALL_END) if end != -1 else len(text)
    kept.append(text[at:])
    return Leak(text=without("".join(kept), _MARKER), calls=tuple(calls))


def split_thinking(content: str) -> tuple[str, str] | None:
    """Reasoning and the rest, where a server left the channels in the content; else None."""
    head = content.lstrip()
    opened = head.startswith(THINK_BEGIN)
    body = head[len(THINK_BEGIN) :] if opened else content
    ends = [at for t in (THINK_END, RESPONSE_BEGIN, TOOLS_BEGIN) if (at := body.find(t)) != -1]
    if not ends:
        return (body, "") if opened else None
    end = min(ends)
    return body[:end], body[end:].removeprefix(THINK_END)


def _arguments(body: str) -> str:
    values: dict[str, object] = {}
    for kind, head, text in _elements(body):
        if kind == "json":
            return text
        attributes = _attributes(head)
        value: object = text
        if attributes.get("type", "string") != "string":
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                value = text
        values[attributes.get("key", "")] = value
    return json.dumps(values, ensure_ascii=False)


def _elements(body: str) -> Iterator[tuple[str, str, str]]:
    """Kind, attributes and text of each element that is closed."""
    at, unclosed = 0, set[str]()
    while begin := _ELEMENT.search(body, at):
        kind, at = begin[1], begin.end()
        close = f"<|close|>{kind}<|sep|>"
        # Looked for once only: each time costs the length of the text.
        end = -1 if kind in unclosed else body.find(close, at)
        if end == -1:
            unclosed.add(kind)
            continue
        yield kind, begin[2], body[at:end]
        at = end + len(close)


def _attributes(head: str) -> dict[str, str]:
    return {
        key: value.replace("&quot;", '"').replace("&amp;", "&")
        for key, value in _ATTRIBUTE.findall(head)
    }
