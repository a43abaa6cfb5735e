"""Signed webhook deliveries to the App, each recorded with what came back."""

import asyncio
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from tests.doubles.github.shapes import basic
from tests.doubles.github.state import Delivery, Installation, Json, Repo, User, World, node_id

MOST_BYTES = 25_000_000
"""An event of more is not delivered ("Webhook events and payloads")."""
TIMEOUT_S = 60.0
"""GitHub gives up after ten seconds; here a busy machine must not lose a delivery."""


class Deliverer:
    """Sends events to the App's webhook URL, in the background, without retry (as GitHub does)."""

    def __init__(self, world: World, check: Callable[[str, Json], None]) -> None:
        self._world = world
        self._check = check
        self._tasks: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    def emit(self, event: str, repo: Repo | None, sender: User, payload: Json) -> None:
        """Deliver the event when the App is installed there and subscribed to it."""
        world = self._world
        installation = None if repo is None else world.installation_for(repo)
        if repo is not None:
            if installation is None or installation.suspended_at is not None:
                return
            payload = _as_hook(payload | {"repository": basic.repository(world, repo)})
            if repo.owner.kind == "Organization":
                payload["organization"] = organization(world, repo.owner)
            ids = {
                "id": installation.id,
                "node_id": node_id("Installation", installation.id),
            }
            payload["installation"] = ids
        if repo is not None and event not in world.app.events:
            return
        if event == "merge_group" and installation and not _may_hear_queues(installation):
            return
        payload = payload | {"sender": basic.user(world.urls, sender)}
        self._check(event, payload)
        repo_id = None if repo is None else repo.id
        known = payload.get("installation", {}).get("id")
        delivery = self._record(event, payload, str(uuid.uuid4()), False, known, repo_id)
        self._start(delivery)

    def redeliver(self, old: Delivery, times: int = 1) -> list[Delivery]:
        """Send a recorded delivery again, ``times`` at once, under the same guid."""
        copies = [
            self._record(
                old.event, old.payload, old.guid, True, old.installation_id, old.repository_id
            )
            for _ in range(times)
        ]
        for delivery in copies:
            self._start(delivery)
        return copies

    def send(self, event: str, payload: Json) -> Delivery:
        """Deliver a payload as it is, for instance one of GitHub's own examples."""
        delivery = self._record(event, payload, str(uuid.uuid4()), False, None, None)
        self._start(delivery)
        return delivery

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._tasks:
            task.cancel()
        await self._client.aclose()

    def _record(
        self,
        event: str,
        payload: Json,
        guid: str,
        redelivery: bool,
        installation_id: int | None,
        repository_id: int | None,
    ) -> Delivery:
        delivery = Delivery(
            id=self._world.next_id(),
            guid=guid,
            event=event,
            action=payload.get("action"),
            payload=payload,
            delivered_at=self._world.now(),
            redelivery=redelivery,
            installation_id=installation_id,
            repository_id=repository_id,
        )
        self._world.deliveries.append(delivery)
        return delivery

    def _start(self, delivery: Delivery) -> None:
        if not self._world.app.webhook_url:
            delivery.status = "no webhook URL"
            return
        body = json.dumps(delivery.payload).encode()
        if len(body) > MOST_BYTES:
            delivery.status = "payload too large"
            return
        task = asyncio.get_running_loop().create_task(self._post(delivery, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, delivery: Delivery, body: bytes) -> None:
        app = self._world.app
        delivery.request_headers = headers(app.id, app.webhook_secret, delivery, body)
        began = time.monotonic()
        try:
            answer = await self._client.post(
                app.webhook_url, content=body, headers=delivery.request_headers
            )
        except httpx.HTTPError as error:
            timed_out = isinstance(error, httpx.TimeoutException)
            delivery.status = "timed out" if timed_out else "failed to connect to host"
            delivery.status_code = 504 if timed_out else 502
        else:
            delivery.status_code = answer.status_code
            delivery.status = answer.reason_phrase or "OK"
            delivery.response_headers = dict(answer.headers)
            delivery.response_body = answer.text
        delivery.duration_s = round(time.monotonic() - began, 3)


def _may_hear_queues(installation: Installation) -> bool:
    """An App needs the permission for merge queues to hear of them ("merge_group")."""
    return "merge_queues" in installation.permissions


def headers(app_id: int, secret: str, delivery: Delivery, body: bytes) -> dict[str, str]:
    """The headers of a delivery, with its signatures."""

    def sign(algorithm: str) -> str:
        return f"{algorithm}=" + hmac.new(secret.encode(), body, algorithm).hexdigest()

    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/standin",
        "X-GitHub-Delivery": delivery.guid,
        "X-GitHub-Event": delivery.event,
        "X-GitHub-Hook-ID": str(app_id),
        "X-GitHub-Hook-Installation-Target-ID": str(app_id),
        "X-GitHub-Hook-Installation-Target-Type": "integration",
        "X-Hub-Signature": sign("sha1"),
        "X-Hub-Signature-256": sign("sha256"),
    }


def organization(world: World, who: User) -> Json:
    """The organisation as events carry it."""
    api = f"{world.urls.api}/orgs/{who.login}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": node_id("Organization", who.id),
        "url": api,
        "repos_url": f"{api}/repos",
        "events_url": f"{api}/events",
        "hooks_url": f"{api}/hooks",
        "issues_url": f"{api}/issues",
        "members_url": f"{api}/members{{/member}}",
        "public_members_url": f"{api}/public_members{{/member}}",
        "avatar_url": f"{world.urls.web}/avatars/u/{who.id}",
        "description": None,
    }


def _as_hook(node: Any) -> Any:
    """Repositories in webhooks have their custom properties, those in most answers have not."""
    if isinstance(node, list):
        return [_as_hook(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _as_hook(value) for key, value in node.items()}
    return (
        made | {"custom_properties": {}} if {"full_name", "default_branch"} <= made.keys() else made
    )
