"""Requests to a cluster's API server, with its refusals as `SandboxError`s."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from sandbox.errors import EngineUnavailable, SandboxError, SandboxGone
from sandbox.kubernetes.access import Access

_TIMEOUT_S = 30.0

Object = dict[str, Any]


class Api:
    """One API server. For one event loop."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._client: httpx.AsyncClient | None = None
        self._connecting = asyncio.Lock()

    async def get(self, path: str, **query: str) -> Object:
        """Read an object or a list. Errors as `_request`."""
        return await self._request("GET", path, query=query)

    async def create(self, path: str, body: Object) -> Object:
        """Create an object in a list. Errors as `_request`."""
        return await self._request("POST", path, body=body)

    async def delete(self, path: str) -> None:
        """Delete an object, with hardly a moment of grace. Errors as `_request`."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 1}
        await self._request("DELETE", path, body=options)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: dict[str, str] | None = None,
    ) -> Object:
        """Raises `SandboxGone` when there is no such object, `EngineUnavailable` when nobody
        answers, `SandboxError` when the server refuses.
        """
        client = await self._open_client()
        try:
            answer = await client.request(
                method, path, json=body, params=query, headers=self.access.headers()
            )
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                f"The cluster at {self.access.server} does not respond: {error!r}"
            ) from None
        if answer.status_code == 404:
            raise SandboxGone(f"The cluster has no {path}")
        if answer.status_code >= 500:
            raise EngineUnavailable(
                f"The cluster at {self.access.server} answered {answer.status_code}"
            )
        if answer.status_code >= 400:
            raise SandboxError(f"The cluster refused {method} {path}: {_message(answer)}")
        found: Object = answer.json()
        return found

    async def _open_client(self) -> httpx.AsyncClient:
        async with self._connecting:
            if self._client is None:
                tls = await asyncio.to_thread(self.access.tls)
                self._client = httpx.AsyncClient(
                    base_url=self.access.server,
                    verify=tls if tls is not None else True,
                    timeout=_TIMEOUT_S,
                    trust_env=False,
                )
            return self._client


def _message(answer: httpx.Response) -> str:
    """Why, as the server's `Status` says."""
    try:
        text = str(answer.json().get("message", ""))
    except (ValueError, AttributeError):
        text = ""
    return f"{answer.status_code} {text[:500]}".strip()
