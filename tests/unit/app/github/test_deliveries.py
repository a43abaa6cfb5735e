"""Which deliveries were missed, from GitHub's list of attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.github import deliveries
from app.github.app import GithubApp
from app.github.deliveries import MissedDelivery

NOW = datetime(2026, 1, 5, tzinfo=UTC)
APP = GithubApp(app_id="1", private_key="unused")


def attempt(number: int, guid: str, status: int, hours_ago: float = 1) -> dict[str, Any]:
    at = (NOW - timedelta(hours=hours_ago)).isoformat().replace("+00:00", "Z")
    return {
        "id": number,
        "guid": guid,
        "status_code": status,
        "event": "issues",
        "delivered_at": at,
    }


def pages(monkeypatch: pytest.MonkeyPatch, *listed: list[dict[str, Any]], header: str) -> list[str]:
    """GitHub's answers, page by page; gives the cursors that were asked for."""
    asked: list[str] = []

    def get(_app: GithubApp, path: str, query: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        assert path == "/app/hook/deliveries"
        asked.append(query.get("cursor", ""))
        at = len(asked) - 1
        more = at + 1 < len(listed)
        link = f'<https://x/app/hook/deliveries?per_page=100&cursor=v1_{at}>; rel="next"'
        headers = {"link": link} if header == "link" else {"x-next-cursor": f"v1_{at}"}
        return (headers if more else {}), listed[at]

    monkeypatch.setattr(deliveries, "_get", get)
    return asked


@pytest.mark.parametrize("header", ["link", "x-next-cursor"])
def test_only_what_no_attempt_brought_oldest_first(
    monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    asked = pages(
        monkeypatch,
        [attempt(9, "c", 502), attempt(8, "b", 200), attempt(7, "b", 504)],
        [attempt(6, "a", 0), attempt(5, "a", 500), attempt(4, "d", 202)],
        header=header,
    )
    found = deliveries.missed_deliveries(APP, NOW - timedelta(days=3))
    assert found == [MissedDelivery(6, "a", "issues"), MissedDelivery(9, "c", "issues")]
    assert asked == ["", "v1_0"]


def test_what_is_older_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    old = [attempt(3, "x", 502, hours_ago=80), attempt(2, "y", 502, hours_ago=90)]
    asked = pages(monkeypatch, [attempt(4, "z", 502), *old], [attempt(1, "w", 502)], header="link")
    found = deliveries.missed_deliveries(APP, NOW - timedelta(days=3))
    assert [one.guid for one in found] == ["z"]
    assert asked == [""]
