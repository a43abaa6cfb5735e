"""Deliveries over real HTTP: what is refused, what is kept, and how often."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.github.webhooks import sign
from app.settings.schema import Settings
from app.storage.inbox import Inbox
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from tests.support.github.payloads import encoded, labeled
from tests.support.serving import serving

SECRET = "s3cret"
MIB = 1024 * 1024


class World:
    """A service over a state folder, with a record of what it told the durable engine."""

    def __init__(self, state_dir: Path) -> None:
        self.settings = Settings(
            state_dir=state_dir, github_webhook_secret=SECRET, metrics_token=SECRET
        )
        self.store = SqlStore(self.settings.database)
        self.told: list[str] = []
        self.engine_down = False
        self.url = ""

    def enqueue(self, run_id: str) -> None:
        if self.engine_down:
            raise ConnectionError("the engine is away")
        self.told.append(run_id)
        self.store.mark_enqueued(self.store.get_run(run_id))

    def runs(self) -> int:
        return sum(self.store.count_runs().values())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    with serving(create_app(Web(world.settings, world.store, world.enqueue))) as world.url:
        yield world


def headers(body: bytes, **change: str | None) -> dict[str, str]:
    usual: dict[str, str | None] = {
        "X-Hub-Signature-256": sign(SECRET, body),
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "Content-Type": "application/json",
    }
    changed = usual | {name.replace("_", "-"): value for name, value in change.items()}
    return {name: value for name, value in changed.items() if value is not None}


def deliver(world: World, body: bytes, **change: str | None) -> httpx.Response:
    return httpx.post(
        f"{world.url}/webhooks/github", content=body, headers=headers(body, **change), timeout=30
    )


def test_a_label_is_kept_told_and_acknowledged(world: World) -> None:
    response = deliver(world, encoded(labeled()))
    assert response.status_code == 202
    run = world.store.get_run(response.json()["run"])
    assert (run.repository, run.issue_number, run.status) == ("octo/calc", 7, "queued")
    assert (run.installation_id, run.triggered_by, run.model) == (11, "maintainer", "offline")
    assert world.told == [run.id]
    assert world.store.unqueued() == []
    assert response.json()["url"].endswith(f"/runs/{run.id}")


@pytest.mark.parametrize(
    ("body", "change", "status"),
    [
        (encoded(labeled()), {"X_Hub_Signature_256": "sha256=" + "0" * 64}, 401),
        (encoded(labeled()), {"X_Hub_Signature_256": sign("other", encoded(labeled()))}, 401),
        (encoded(labeled()), {"X_Hub_Signature_256": None}, 401),
        (encoded(labeled()), {"X_Hub_Signature_256": ""}, 401),
        (encoded(labeled()), {"X_GitHub_Event": None}, 400),
        (encoded(labeled()), {"X_GitHub_Delivery": None}, 400),
        (encoded(labeled()), {"X_GitHub_Delivery": "../x"}, 400),
        (encoded(labeled()), {"X_GitHub_Delivery": "d" * 65}, 400),
        (b"not json", {}, 400),
        (b"", {}, 400),
        (b"[1]", {}, 400),
        (encoded({"action": "labeled"}), {}, 400),
        (b'{"a":' * 100_000, {}, 400),
    ],
)
def test_bad_deliveries_are_refused_and_not_queued(
    world: World, body: bytes, change: dict[str, str | None], status: int
) -> None:
    response = deliver(world, body, **change)
    assert response.status_code == status
    assert response.json()["error"]
    assert (world.runs(), world.told) == (0, [])


def test_thirty_megabytes_are_refused(world: World) -> None:
    body = b" " * (30 * MIB)
    assert deliver(world, body).status_code == 413
    assert (world.runs(), world.told) == (0, [])


def test_a_large_body_of_no_declared_length_is_refused_before_it_is_read(world: World) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 2**30:
            sent += MIB
            yield b" " * MIB

    with httpx.Client(timeout=60) as client:
        try:
            response = client.post(
                f"{world.url}/webhooks/github", content=endless(), headers=headers(b"")
            )
            assert response.status_code == 413
        except (httpx.WriteError, httpx.RemoteProtocolError):
            pass  # the server closed the connection on us in mid-sentence, as it may
    assert sent < 2**29
    assert (world.runs(), world.told) == (0, [])
    assert httpx.get(f"{world.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 99999999999999999999999999", b"400"),
        (b"Content-Length: 31457280", b"413"),
        (b"Content-Length: -1", b"400"),
    ],
)
def test_the_declared_length_alone_is_enough(world: World, head: bytes, status: bytes) -> None:
    host, port = httpx.URL(world.url).host, httpx.URL(world.url).port
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        answer = connection.recv(64)
    assert answer.split()[1] in (status, b"400")
    assert world.runs() == 0


def test_another_label_may_be_the_repositorys_own(world: World) -> None:
    body = encoded({**labeled(), "label": {"name": "bug"}})
    assert deliver(world, body).json() == {"result": "noted"}
    assert deliver(world, body).json() == {"result": "duplicate"}
    assert (world.runs(), world.told) == (0, [])
    assert len(Inbox(world.store.database).unqueued()) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sender": {"login": "x[bot]", "type": "Bot"}}, "bot"),
        ({"action": "opened"}, "not an event"),
    ],
)
def test_irrelevant_deliveries_are_acknowledged(
    world: World, change: dict[str, Any], reason: str
) -> None:
    response = deliver(world, encoded({**labeled(), **change}))
    assert response.status_code == 200
    assert reason in response.json()["reason"]
    assert world.runs() == 0
    assert deliver(world, b'{"zen": "x"}', X_GitHub_Event="ping").status_code == 200


async def test_five_at_once_and_again_after_a_restart_are_one_run(
    world: World, tmp_path: Path
) -> None:
    body = encoded(labeled())
    async with httpx.AsyncClient(timeout=30) as client:
        answers = await asyncio.gather(
            *(
                client.post(f"{world.url}/webhooks/github", content=body, headers=headers(body))
                for _ in range(5)
            )
        )
    assert sorted(a.status_code for a in answers) == [200, 200, 200, 200, 202]
    assert len({a.json()["run"] for a in answers}) == 1
    assert (world.runs(), len(world.told)) == (1, 1)

    again = World(tmp_path)
    with serving(create_app(Web(again.settings, again.store, again.enqueue))) as again.url:
        answer = await asyncio.to_thread(deliver, again, body)
    assert answer.status_code == 200
    assert answer.json() == answers[0].json() | {"result": "duplicate"}
    assert (again.runs(), again.told) == (1, [])


def test_another_label_event_on_a_live_issue_joins_its_run(world: World) -> None:
    first = deliver(world, encoded(labeled())).json()["run"]
    second = deliver(world, encoded(labeled()), X_GitHub_Delivery="another")
    assert second.status_code == 200
    assert second.json()["run"] == first
    assert len(world.told) == 1


def test_when_the_engine_is_away_the_run_waits_in_the_outbox(world: World) -> None:
    world.engine_down = True
    response = deliver(world, encoded(labeled()))
    assert response.status_code == 202
    assert [run.id for run in world.store.unqueued()] == [response.json()["run"]]


def test_without_a_secret_every_delivery_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    settings = Settings(state_dir=tmp_path)
    with serving(create_app(Web(settings, world.store, world.enqueue))) as world.url:
        body = encoded(labeled())
        assert deliver(world, body, X_Hub_Signature_256=sign("", body)).status_code == 401
    assert world.runs() == 0


def test_health_and_figures(world: World) -> None:
    deliver(world, encoded(labeled()))
    deliver(world, b"nope")
    assert httpx.get(f"{world.url}/healthz").text == "ok\n"
    assert httpx.get(f"{world.url}/readyz").status_code == 200
    scraper = {"Authorization": f"Bearer {SECRET}"}
    text = httpx.get(f"{world.url}/metrics", headers=scraper).text
    assert 'patchwright_runs{outcome="",status="queued"} 1.0' in text
    assert 'patchwright_deliveries_total{result="new"} 1.0' in text
    assert 'patchwright_deliveries_total{result="refused 400"} 1.0' in text
    assert "octo" not in text


def test_not_ready_without_the_engine(tmp_path: Path) -> None:
    world = World(tmp_path)
    web = Web(world.settings, world.store, world.enqueue, ready=lambda: False)
    with serving(create_app(web)) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/readyz").status_code == 503
