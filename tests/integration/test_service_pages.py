"""The pages over real HTTP: who may read them, what they show, and that nothing in them runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import httpx
import pytest
from pydantic import TypeAdapter

from agent.events import AnyEvent, RunPhase, ToolFinished
from app.service import Web, create_app
from app.settings import Settings
from app.store import SqlStore
from tests.integration.serving import serving
from tests.unit.test_app_store import trigger

TOKEN = "operators-token"
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}"


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return SqlStore(f"sqlite:///{tmp_path / 'p.db'}")


def serve(store: SqlStore, tmp_path: Path, token: str = "") -> Iterator[str]:
    settings = Settings(state_dir=tmp_path, operator_token=token)
    with serving(create_app(Web(settings, store, lambda _run_id: None))) as url:
        yield url


@pytest.fixture
def url(store: SqlStore, tmp_path: Path) -> Iterator[str]:
    yield from serve(store, tmp_path)


@pytest.fixture
def guarded(store: SqlStore, tmp_path: Path) -> Iterator[str]:
    yield from serve(store, tmp_path, TOKEN)


def start(store: SqlStore, title: str = "It breaks", delivery: str = "d1") -> str:
    return store.accept(delivery, "issues", trigger(title=title), model="offline").run_id


def test_a_run_and_its_journal_are_shown_escaped(url: str, store: SqlStore) -> None:
    run_id = start(store, EVIL)
    store.append(
        run_id,
        [
            RunPhase(phase="preparing", attempt=0),
            ToolFinished(call_id="c", name="bash", status="ok", output=EVIL),
        ],
    )
    page = httpx.get(f"{url}/runs/{run_id}")
    assert page.status_code == 200
    assert "preparing" in page.text
    assert "alert(1)" in page.text
    assert "<script" not in page.text
    assert "<img" not in page.text
    assert "{{ 7*7 }}" in page.text
    listing = httpx.get(f"{url}/runs")
    assert "alert(1)" in listing.text
    assert "<script" not in listing.text
    for response in (page, listing):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert "<style" not in response.text
        assert " style=" not in response.text


def sample(annotation: object) -> object:
    """Some value of a field's type."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    known = {str: "text", bool: True, int: 1, float: 1.5}
    return known[annotation] if annotation in known else (get_origin(annotation) or dict)()


def test_every_kind_of_event_can_be_shown(url: str, store: SqlStore) -> None:
    run_id = start(store)
    kinds = get_args(get_args(AnyEvent)[0])
    for kind in kinds:
        required = {
            n: sample(f.annotation) for n, f in kind.model_fields.items() if f.is_required()
        }
        store.append(run_id, [TypeAdapter(kind).validate_python(required)])
    page = httpx.get(f"{url}/runs/{run_id}")
    assert page.status_code == 200
    for kind in kinds:
        assert kind.model_fields["type"].default.replace("_", " ") in page.text


def test_long_journals_are_paged(url: str, store: SqlStore) -> None:
    run_id = start(store)
    store.append(run_id, [RunPhase(phase=f"phase-{n}") for n in range(450)])
    first = httpx.get(f"{url}/runs/{run_id}").text
    assert 'id="e199"' in first
    assert 'id="e200"' not in first
    assert "?first=200" in first
    assert "refresh" not in first
    last = httpx.get(f"{url}/runs/{run_id}?first=400").text
    assert 'id="e449"' in last
    assert "?first=200" in last
    assert "refresh" in last
    assert httpx.get(f"{url}/runs/{run_id}?first=-1").status_code == 422


def test_events_as_json_from_a_place_on(url: str, store: SqlStore) -> None:
    run_id = start(store)
    store.append(run_id, [RunPhase(phase=str(n)) for n in range(5)])
    some = httpx.get(f"{url}/runs/{run_id}/events", params={"after": 1, "limit": 2}).json()
    assert [e["seq"] for e in some["events"]] == [2, 3]
    assert some["after"] == 3
    assert some["events"][0]["event"]["phase"] == "2"
    rest = httpx.get(f"{url}/runs/{run_id}/events", params={"after": 4}).json()
    assert (rest["events"], rest["after"], rest["status"]) == ([], 4, "queued")


def test_the_list_is_filtered_and_paged(url: str, store: SqlStore) -> None:
    for n in range(60):
        store.accept(f"d{n}", "issues", trigger(n + 1, title=f"issue no {n}."), model="m")
    first = httpx.get(f"{url}/runs").text
    assert "issue no 59." in first
    assert "issue no 9." not in first
    link = first.split('<nav><a href="')[1].split('"')[0].replace("&amp;", "&")
    assert "issue no 9." in httpx.get(url + link).text
    none = httpx.get(f"{url}/runs", params={"repository": "no/body"}).text
    assert "No runs match" in none


def test_an_unknown_run_is_404(url: str) -> None:
    assert httpx.get(f"{url}/runs/nope").status_code == 404
    page = httpx.get(f"{url}/runs/nope", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "<h1>Error 404</h1>" in page.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
    ],
)
def test_without_a_token_only_this_machine_reads(url: str, headers: dict[str, str]) -> None:
    assert httpx.get(f"{url}/runs").status_code == 200
    refused = httpx.get(f"{url}/runs", headers=headers)
    assert refused.status_code == 403
    assert "PATCHWRIGHT_OPERATOR_TOKEN" in refused.text


def test_the_token_opens_the_pages(guarded: str, store: SqlStore) -> None:
    run_id = start(store)
    for path in ("/runs", f"/runs/{run_id}", f"/runs/{run_id}/events"):
        assert httpx.get(guarded + path).status_code == 401
        for wrong in ("=", "x", TOKEN + "x", TOKEN[:-1]):
            bearer = {"Authorization": f"Bearer {wrong}"}
            assert httpx.get(guarded + path, headers=bearer).status_code == 401
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(guarded + path, headers=right).status_code == 200
        cookie = {"Cookie": f"patchwright_operator={TOKEN}"}
        assert httpx.get(guarded + path, headers=cookie).status_code == 401
    # No token says whether a run exists.
    assert httpx.get(f"{guarded}/runs/nope").status_code == 401


def test_a_token_in_the_address_becomes_a_cookie(guarded: str, store: SqlStore) -> None:
    run_id = start(store)
    with httpx.Client() as client:
        answer = client.get(f"{guarded}/runs/{run_id}?first=0&token={TOKEN}")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/runs/{run_id}?first=0"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert TOKEN not in cookie
        assert client.get(f"{guarded}/runs/{run_id}").status_code == 200
    assert httpx.get(f"{guarded}/runs?token=wrong").status_code == 401


def test_health_needs_no_token(guarded: str) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/assets/style.css"):
        assert httpx.get(guarded + path).status_code == 200
    assert httpx.get(f"{guarded}/docs").status_code == 404
