"""One request and its answer over HTTP: no retries, no repairs."""

from __future__ import annotations

import asyncio
import json
import string
from collections.abc import Callable, Mapping
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from agent.errors import ModelError, ModelRefused
from agent.model import Record
from agent.models.faults import Fault, fault_of_exception, fault_of_response
from agent.models.profiles import Profile
from agent.models.stream import Answer, Assembly, StreamBroken

_AFTER_DONE_S = 5.0
"""Seconds to wait for a connection to become free again after the last event."""
_LONGEST_ERROR = 64 * 1024


class Timeouts(Record):
    """Seconds after which a server counts as gone."""

    connect_s: float = 10.0
    first_s: float = 900.0
    """Until the first token: waiting in the server's queue and reading a long prompt included."""
    idle_s: float = 120.0
    """Between two tokens."""


class RequestFailed(Exception):
    """An attempt failed."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.reason)


def request_headers(
    profile: Profile, api_key: SecretStr | None = None, routing_key: str = ""
) -> dict[str, str]:
    """The headers of each request. Raises `ModelRefused` for a key that no header can hold."""
    headers = {"Accept": "text/event-stream"}
    secret = api_key.get_secret_value().strip() if api_key else ""
    # Checked here, since the error of the transport would show the key.
    if not (secret.isascii() and secret.isprintable()):
        raise ModelRefused("The API key contains a line break or characters that no key has.")
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    if routing_key and profile.routing_header:
        headers[profile.routing_header] = quote(routing_key, safe=string.punctuation)
    return headers


async def post_completion(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    timeouts: Timeouts,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Answer:
    """Post a chat completion and read its stream to the end.

    `on_progress` is told how many parts of the answer have come, about one a token. Cancelling
    closes the connection, which aborts the generation. Raises `RequestFailed`.
    """
    assembly = Assembly()
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeouts.first_s) as limit:
            async with client.stream(
                "POST",
                f"{url}/chat/completions",
                content=body,
                headers={"Content-Type": "application/json", **headers},
                timeout=httpx.Timeout(None, connect=timeouts.connect_s),
            ) as response:
                if response.status_code != 200:
                    raise RequestFailed(await _refusal(response))
                if "json" in response.headers.get("content-type", ""):
                    # A server that does not stream, or one that reports an error with status 200.
                    _read_unstreamed(assembly, await response.aread())
                    return assembly.finish()
                async for data in response.aiter_bytes():
                    before = assembly.events
                    assembly.feed(data)
                    if assembly.done:
                        limit.reschedule(loop.time() + _AFTER_DONE_S)
                    elif assembly.events > before:
                        on_progress(assembly.events)
                        limit.reschedule(loop.time() + timeouts.idle_s)
    except RequestFailed:
        raise
    except Exception as error:
        # With the last event in hand it does not matter how the connection ended.
        if not (assembly.done and isinstance(error, TimeoutError | httpx.HTTPError)):
            fault = _fault(error, assembly, timeouts)
            if fault is None:
                raise
            raise RequestFailed(fault) from error
    try:
        return assembly.finish()
    except ModelError as error:
        fault = _fault(error, assembly, timeouts)
        if fault is None:
            raise
        raise RequestFailed(fault) from error


def _read_unstreamed(assembly: Assembly, body: bytes) -> None:
    try:
        assembly.take(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise StreamBroken("The server sent an answer that is not JSON.") from error
    assembly.done = True


async def _refusal(response: httpx.Response) -> Fault:
    body = bytearray()
    async for data in response.aiter_bytes():
        body += data
        if len(body) > _LONGEST_ERROR:
            break
    return fault_of_response(response.status_code, response.headers, bytes(body))


def _fault(error: Exception, assembly: Assembly, timeouts: Timeouts) -> Fault | None:
    if isinstance(error, TimeoutError) and not assembly.events:
        reason = f"The model server did not begin to answer within {timeouts.first_s:.0f} s."
        return Fault(kind="away", reason=reason)
    return fault_of_exception(error)
