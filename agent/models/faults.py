"""What went wrong with a request, and what is to be done about it.

Texts: SGLang 0.5, sglang-router 0.3, vLLM, llama.cpp and Moonshot's API (see docs/models.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx

from agent.model import Record
from agent.models.stream import EndlessRepetition, StreamBroken, StreamError

FaultKind = Literal["retry", "away", "bad_turn", "too_long", "refused"]
"""retry: this attempt failed, another may not. away: the server is not there or overloaded, wait.
bad_turn: the server is well, the answer is useless. too_long: cut the context. refused: for good.
"""


class Fault(Record):
    """One failure of one attempt."""

    kind: FaultKind
    reason: str
    """In words for the operator."""
    retry_after_s: float | None = None
    """What the server asked for."""
    room: int | None = None
    """Of too_long: tokens that the server says are left for the answer."""
    window: int | None = None
    """Of too_long: the server's whole window in tokens, if it says so."""


_TOO_LONG = re.compile(
    r"longer than the (?:model's context|maximum model) length"
    r"|maximum context length"
    r"|context_length_exceeded"
    r"|exceed_context_size_error|exceeds? the available context size|context size has been exceeded"
    r"|exceeds? (?:the )?context window"
    r"|exceeded model token limit"
    r"|max_(?:completion_)?tokens.{0,40}too large",
    re.IGNORECASE,
)
_ROOM = re.compile(
    r"maximum context length (?:of|is) (?P<window>\d+) tokens.*?"
    r"(?:: (?P<a>\d+) tokens from the input|\((?P<b>\d+) in the messages"
    r"|request has (?P<c>\d+) input tokens)",
    re.DOTALL | re.IGNORECASE,
)
_WINDOW = re.compile(
    r"(?:context length (?:of |is |\()|context size \()(\d+) tokens"
    r"|(?:token limit:|context window of|maximum model length of) ?(\d+)",
    re.IGNORECASE,
)
_UPSTREAM = re.compile(r"call_upstream|no_available_workers|upstream|no available worker", re.I)
_OUT_OF_QUOTA = re.compile(r"exceeded_current_quota|insufficient_quota|insufficient balance", re.I)
_AWAY = frozenset({408, 425, 429, 502, 503, 504})
_LONGEST_REASON = 600


def fault_of_response(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime | None = None
) -> Fault:
    """The fault of an HTTP answer that is not 200."""
    return _of_body(status, body, _retry_after(headers, now or datetime.now(UTC)))


def fault_of_exception(error: Exception) -> Fault | None:
    """The fault of a transport error or a broken stream; None for anything else."""
    match error:
        case StreamError():
            code = error.error.get("code")
            # An error without a status of its own is the server's, not the request's.
            status = code if type(code) is int else 500
            return _of_body(status, json.dumps(dict(error.error)).encode(), None)
        case EndlessRepetition():
            return Fault(kind="bad_turn", reason=str(error))
        case StreamBroken():
            return Fault(kind="retry", reason=str(error))
        case TimeoutError() | httpx.ReadTimeout():
            return Fault(kind="retry", reason="The server stopped sending in the middle of a turn.")
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.PoolTimeout():
            return Fault(kind="away", reason=f"The model server cannot be reached ({error}).")
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Fault(kind="refused", reason=f"The model server's address is wrong: {error}")
        case httpx.HTTPError():
            name = type(error).__name__
            return Fault(kind="retry", reason=f"The connection broke ({name}: {error}).")
        case _:
            return None


def _of_body(status: int, body: bytes, retry_after_s: float | None) -> Fault:
    text = _error_message(body)
    message = f"{text} (HTTP {status})" if text else f"HTTP {status}"
    # llama.cpp has sent this one with 500, too.
    if status == 413 or _TOO_LONG.search(text):
        window, prompt = _counts(body)
        room = max(0, window - prompt) if window and prompt else _tokens_left(text)
        return Fault(kind="too_long", reason=message, room=room, window=window or _window(text))
    if status == 429 and _OUT_OF_QUOTA.search(text):
        return Fault(kind="refused", reason=f"The account's quota is used up: {message}")
    if status in (401, 403):
        return Fault(kind="refused", reason=f"The model server refused the API key: {message}")
    if status in _AWAY or (status >= 500 and _UPSTREAM.search(text)):
        reason = f"The model server is overloaded or unavailable: {message}"
        return Fault(kind="away", reason=reason, retry_after_s=retry_after_s)
    if status >= 500:
        reason = f"The model server failed: {message}"
        return Fault(kind="retry", reason=reason, retry_after_s=retry_after_s)
    return Fault(kind="refused", reason=f"The model server refused the request: {message}")


def _counts(body: bytes) -> tuple[int | None, int | None]:
    """The window and the prompt's tokens, in the fields that llama.cpp has for them."""
    try:
        whole = json.loads(body)
        error = whole.get("error", whole)
        counts = [error.get(name) for name in ("n_ctx", "n_prompt_tokens")]
    except (ValueError, RecursionError, AttributeError):
        return None, None
    window, prompt = (n if type(n) is int and n > 0 else None for n in counts)
    return window, prompt


def _tokens_left(text: str) -> int | None:
    match = _ROOM.search(text)
    if match is None:
        return None
    return int(match["window"]) - int(match["a"] or match["b"] or match["c"])


def _window(text: str) -> int | None:
    match = _WINDOW.search(text)
    return int(match[1] or match[2]) if match else None


def _error_message(body: bytes) -> str:
    """The server's own words, whichever of the usual shapes they come in."""
    text = body.decode("utf-8", "replace").strip()
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return text[:_LONGEST_REASON]
    if isinstance(message, dict):
        inner = message.get("error", message)
        if isinstance(inner, dict):
            words = [str(inner[k]) for k in ("message", "detail") if inner.get(k)]
            kinds = [str(inner[k]) for k in ("type", "code") if isinstance(inner.get(k), str)]
            message = f"{'; '.join(words)} [{', '.join(kinds)}]" if kinds else "; ".join(words)
        else:
            message = inner
    return str(message)[:_LONGEST_REASON] if message else text[:_LONGEST_REASON]


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
