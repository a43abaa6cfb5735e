"""The App itself at GitHub: its client, and the deliveries that did not arrive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import requests
from github import GithubException

from app.github.answers import OddAnswer
from app.github.app import integration
from app.github.convert import forge_error
from app.github.errors import ForgeAway

if TYPE_CHECKING:
    from app.github.app import GithubApp

PAGES = 50
"""Of a hundred deliveries each; older ones are not looked for."""


@dataclass(frozen=True, slots=True)
class MissedDelivery:
    """A delivery that was never answered with success."""

    id: int
    """GitHub's number of one attempt."""
    guid: str
    """The delivery's own id, the same in all attempts."""
    event: str


def missed_deliveries(app: GithubApp, since: datetime) -> list[MissedDelivery]:
    """Deliveries after `since` that never reached us, oldest first. Raises `ForgeError`.

    Source of facts: GitHub's `GET /app/hook/deliveries`, which keeps three days.
    """
    found: dict[str, MissedDelivery] = {}
    arrived: set[str] = set()
    for item in _deliveries(app, since):
        guid = str(item["guid"])
        if 200 <= int(item["status_code"]) < 300:
            arrived.add(guid)
        elif guid not in found:
            found[guid] = MissedDelivery(int(item["id"]), guid, str(item["event"]))
    return [one for one in reversed(found.values()) if one.guid not in arrived]


def payload(app: GithubApp, delivery: MissedDelivery) -> bytes:
    """What the delivery would have brought. Raises `ForgeError`."""
    data = _get(app, f"/app/hook/deliveries/{delivery.id}", {})[1]
    return json.dumps(data["request"]["payload"]).encode()


def _deliveries(app: GithubApp, since: datetime) -> Iterator[dict[str, Any]]:
    """Newest first."""
    cursor = ""
    # A margin: GitHub's clock is not ours.
    oldest = since - timedelta(minutes=5)
    for _ in range(PAGES):
        query = {"per_page": 100, **({"cursor": cursor} if cursor else {})}
        headers, items = _get(app, "/app/hook/deliveries", query)
        for item in items:
            if datetime.fromisoformat(item["delivered_at"].replace("Z", "+00:00")) < oldest:
                return
            yield item
        cursor = _next_cursor(headers)
        if not cursor:
            return


def _next_cursor(headers: dict[str, Any]) -> str:
    """GitHub gives it in the Link header; some servers use a different header."""
    for part in str(headers.get("link", "")).split(","):
        url, _, relation = part.partition(";")
        if 'rel="next"' in relation and "cursor=" in url:
            return url.partition("cursor=")[2].strip(" >").partition("&")[0]
    return str(headers.get("x-next-cursor", ""))


def _get(app: GithubApp, path: str, query: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    client = integration(app)
    try:
        return client.requester.requestJsonAndCheck("GET", path, parameters=query)
    except GithubException as error:
        raise forge_error("look for missed deliveries", error) from None
    except requests.RequestException as error:
        reason = type(error).__name__
        raise ForgeAway(f"GitHub cannot be reached ({reason}).") from None
    except OddAnswer as error:
        raise ForgeAway(f"What came was no answer of GitHub ({error}).") from None
    finally:
        client.close()
