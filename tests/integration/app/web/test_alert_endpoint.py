"""Alerts over real HTTP: who is believed, what is refused, and that nothing is taken twice."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.settings.schema import Settings
from app.storage import alerts as storage
from app.storage import tables
from app.storage.alerts import Alerts
from app.storage.inbox import Inbox
from app.storage.store import SqlStore
from app.web.alert_endpoint import LONGEST_ALERT
from app.web.app import Web, create_app
from tests.support.alerts import payloads as p
from tests.support.serving import serving

SECRET = "s3cret-of-the-source"
FILE = """\
[[source]]
name = "sentry"
kind = "sentry"
secret_file = "{secret}"

[[source]]
name = "prometheus"
kind = "alertmanager"
secret_file = "{secret}"

[[source]]
name = "other"
kind = "generic"
secret_file = "{secret}"

[[route]]
repository = "acme/shop"
match = {{ project = "shop-*" }}
"""


class World:
    """A service with two sources of alerts."""

    def __init__(self, folder: Path) -> None:
        self.secret = folder / "secret"
        self.secret.write_text(SECRET + "\n")
        self.file = folder / "alerts.toml"
        self.file.write_text(FILE.format(secret=self.secret))
        self.settings = Settings(state_dir=folder, github_webhook_secret="x", alerts_file=self.file)
        self.store = SqlStore(self.settings.database)
        self.told: list[str] = []
        self.url = ""

    def send(
        self, payload: Any, *, source: str = "sentry", resource: str = "issue", **headers: str
    ) -> httpx.Response:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        usual = {
            "sentry-hook-resource": resource,
            "sentry-hook-signature": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
            "authorization": f"Bearer {SECRET}",
        }
        sent = {k.lower(): v for k, v in (usual | headers).items() if v}
        return httpx.post(
            f"{self.url}/webhooks/alerts/{source}", content=body, headers=sent, timeout=30
        )

    def kept(self) -> int:
        return len(Alerts(self.store.database).newest(limit=100))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    web = Web(world.settings, world.store, lambda _run: None, enqueue_event=world.told.append)
    with serving(create_app(web)) as world.url:
        yield world


def test_an_alert_is_kept_told_and_acknowledged(world: World) -> None:
    answer = world.send(p.issue("created", "16"))
    assert (answer.status_code, answer.json()) == (202, {"result": "noted"})
    assert world.told == Inbox(world.store.database).open_events()
    assert len(world.told) == 1
    again = world.send(p.issue("created", "16"))
    assert (again.status_code, again.json()) == (200, {"result": "duplicate"})
    assert len(world.told) == 1
    # Of the same error, but another delivery: counted, and told later.
    event = p.sentry_event("16", p.PYTHON_FRAMES, release="1.4.2")
    assert world.send(p.event_alert(event), resource="event_alert").status_code == 202
    assert (world.kept(), len(world.told)) == (1, 1)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sentry-hook-signature": "0" * 64}, 401),
        ({"sentry-hook-signature": "", "authorization": ""}, 401),
        ({"sentry-hook-signature": "", "authorization": "Bearer wrong"}, 401),
    ],
)
def test_strangers_are_refused_before_anything_is_parsed(
    world: World, headers: dict[str, str], status: int
) -> None:
    for body in (p.issue("created", "1"), b"not json"):
        answer = world.send(body, **headers)
        assert answer.status_code == status
        assert answer.json()["error"]
        assert SECRET not in answer.text
    assert (world.kept(), world.told) == (0, [])


@pytest.mark.parametrize(
    ("body", "resource", "status"),
    [
        (b"not json", "issue", 400),
        (b"", "issue", 400),
        (b'{"a":' * 100_000, "issue", 400),
        (p.issue("created", "../x"), "issue", 400),
        (p.issue("created", "1"), "nothing", 400),
        ({"action": "created", "data": {}}, "comment", 200),
    ],
)
def test_bad_deliveries_are_refused_and_not_kept(
    world: World, body: Any, resource: str, status: int
) -> None:
    assert world.send(body, resource=resource).status_code == status
    assert (world.kept(), world.told) == (0, [])


def test_a_source_that_is_not_in_the_file(world: World) -> None:
    for name in ("another", "..%2fgithub", "sentry/x", "S"):
        assert world.send(p.issue("created", "1"), source=name).status_code in (404, 405)
    assert world.kept() == 0


def test_bodies_are_bounded(world: World) -> None:
    assert world.send(b" " * (LONGEST_ALERT + 1)).status_code == 413


def test_no_file_no_alerts(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, github_webhook_secret="x")
    store = SqlStore(settings.database)
    with serving(create_app(Web(settings, store, lambda _run: None))) as url:
        assert httpx.post(f"{url}/webhooks/alerts/sentry", content=b"{}").status_code == 404


def test_a_file_with_a_mistake_says_so_to_the_operator_alone(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.file.write_text("[[source]]\nname = 'sentry'\nkind = 'sentri'\nsecret_file = 'x'\n")
    answer = world.send(p.issue("created", "1"))
    assert answer.status_code == 503
    assert "sentri" not in answer.text
    world.secret.unlink()
    world.file.write_text(FILE.format(secret=world.secret))
    assert world.send(p.issue("created", "1")).status_code == 503


def test_a_flood_of_new_alerts_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MOST_NEW", 2)
    statuses = [world.send(p.issue("created", str(n))).status_code for n in range(4)]
    assert statuses == [202, 202, 429, 429]
    assert world.kept() == 2


def test_of_a_group_beyond_the_limit_what_is_known_is_taken_and_the_rest_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "MOST_NEW", 1)
    known = p.prometheus_alert({"service": "shop-api"}, {"summary": "A"})
    new = p.prometheus_alert({"service": "shop-api"}, {"summary": "B"}) | {"fingerprint": "b"}
    world.send(p.alertmanager(known), source="prometheus")
    answer = world.send(p.alertmanager(new, known), source="prometheus")
    assert (answer.status_code, answer.json()) == (202, {"result": "noted", "not_taken": 1})
    [kept] = Alerts(world.store.database).newest(limit=9)
    assert kept.seen == 2


def test_alertmanager(world: World) -> None:
    alerts = [
        p.prometheus_alert({"service": "shop-api"}, {"summary": "A"}),
        p.prometheus_alert({"service": "other"}, {"summary": "B"}) | {"fingerprint": "b"},
    ]
    assert world.send(p.alertmanager(*alerts), source="prometheus").status_code == 202
    kept = Alerts(world.store.database).newest(limit=9)
    assert {each.title[-1]: each.state for each in kept} == {"A": "waiting", "B": "unrouted"}
    assert len(world.told) == 1


def test_any_other_service_may_say_the_same_of_each_occurrence(world: World) -> None:
    body = b'{"fingerprint": "cart", "title": "A"}'
    begun = int(time.time())
    for at in (begun, begun, begun + 1):
        signature = hmac.new(SECRET.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
        proof = {
            "x-patchwright-timestamp": str(at),
            "x-patchwright-signature": f"sha256={signature}",
        }
        assert world.send(body, source="other", **proof).status_code in (200, 202)
    [kept] = Alerts(world.store.database).newest(limit=9)
    assert kept.seen == 2


def test_secrets_are_not_kept(world: World) -> None:
    token = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
    world.send(p.issue("created", "16", title=f"Refused {token}", culprit=token))
    [kept] = Alerts(world.store.database).newest(limit=9)
    assert token not in kept.title + kept.report
    assert "Refused" in kept.title
    # Nor where an alert is told from others by one.
    alert = p.prometheus_alert({"service": "shop-api"}, {"summary": "B"}) | {"fingerprint": token}
    assert world.send(p.alertmanager(alert), source="prometheus").status_code == 202
    with world.store.database.connect() as connection:
        rows = connection.execute(sa.select(tables.alerts)).all()
    assert len(rows) == 2
    assert token not in str(rows)
