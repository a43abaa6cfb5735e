"""A cluster's API server through the official client, with its refusals as `SandboxError`s.

https://github.com/kubernetes-client/python (`kubernetes.aio`)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import sandbox.kubernetes.access as cluster
from sandbox.errors import EngineUnavailable, SandboxError, SandboxGone
from sandbox.kubernetes.access import Access

_TIMEOUT_S = 30.0
_UNAUTHORIZED = 401

Object = dict[str, Any]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Clients:
    """The official client's parts that we use; each has the operations of one API group."""

    core: Any
    batch: Any
    networking: Any
    authorization: Any
    version: Any
    streams: Any
    """Like `core`, with operations that open a WebSocket."""
    configuration: Any


class Api:
    """One API server, connected to at the first call. For one event loop."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._clients: Clients | None = None
        self._connecting = asyncio.Lock()
        self.closed_namespaces: set[str] = set()
        """Where a pod was seen not to reach what its policy closes."""

    async def ask(self, operation: Callable[[Clients], Awaitable[Any]]) -> Object:
        """What an operation answers, checked against the API's models, as its JSON.

        Errors as `call`.
        """
        answered = await self.call(operation)
        clients = await self._connected()
        found: Object = clients.core.api_client.sanitize_for_serialization(answered)
        return found

    async def call(self, operation: Callable[[Clients], Awaitable[Answer]]) -> Answer:
        """Do an operation of the client, again with new credentials when the server wants others.

        Raises `SandboxGone` when there is no such object, `EngineUnavailable` when nobody answers,
        `SandboxError` when the server refuses.
        """
        try:
            return await self._once(operation)
        except _Unauthorized:
            clients = await self._connected()
            await cluster.renew(self._access, clients.configuration)
            return await self._once(operation)

    async def host(self) -> str:
        """The API server's address, `https://…`."""
        return str((await self._connected()).configuration.host)

    async def close(self) -> None:
        """Close the connections."""
        clients, self._clients = self._clients, None
        if clients is not None:
            await clients.core.api_client.close()
            await clients.streams.api_client.close()

    async def _once(self, operation: Callable[[Clients], Awaitable[Answer]]) -> Answer:
        from aiohttp import ClientError, WSServerHandshakeError
        from kubernetes.aio.client.exceptions import ApiException

        clients = await self._connected()
        server = f"The cluster at {clients.configuration.host}"
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await operation(clients)
        except ApiException as error:
            raise _refusal(server, error.status, _reason(error.body)) from None
        except WSServerHandshakeError as error:
            raise _refusal(server, error.status, "") from None
        except (ClientError, OSError, TimeoutError) as error:
            raise EngineUnavailable(f"{server} does not respond: {error!r}") from None
        except ValueError as error:
            raise SandboxError(f"{server} answered nonsense: {error}") from None

    async def _connected(self) -> Clients:
        async with self._connecting:
            if self._clients is None:
                self._clients = await _connect(self._access)
            return self._clients


class _Unauthorized(SandboxError):
    """The server does not know our credentials."""


async def _connect(access: Access) -> Clients:
    from kubernetes.aio import client
    from kubernetes.aio.stream import WsApiClient

    configuration = await cluster.client_configuration(access)
    try:
        plain, streams = client.ApiClient(configuration), WsApiClient(configuration)
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            f"The certificates for the cluster at {configuration.host} cannot be used: {error}"
        ) from None
    return Clients(
        core=client.CoreV1Api(plain),
        batch=client.BatchV1Api(plain),
        networking=client.NetworkingV1Api(plain),
        authorization=client.AuthorizationV1Api(plain),
        version=client.VersionApi(plain),
        streams=client.CoreV1Api(streams),
        configuration=configuration,
    )


def _refusal(server: str, status: int, reason: str) -> SandboxError:
    if status == 404:
        return SandboxGone(f"{server} does not have it: {reason or 'not found'}")
    if status >= 500:
        return EngineUnavailable(f"{server} answered {status} {reason}".rstrip())
    kind = _Unauthorized if status == _UNAUTHORIZED else SandboxError
    return kind(f"{server} refused: {status} {reason}".rstrip())


def _reason(body: Any) -> str:
    """Why, as the server's `Status` says."""
    try:
        return str(json.loads(body).get("message", ""))[:500]
    except (ValueError, TypeError, AttributeError):
        return ""
