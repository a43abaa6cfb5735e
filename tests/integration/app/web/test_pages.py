"""The pages over real HTTP: who may read them, what they show, and that nothing in them runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args, get_origin

import httpx
import pytest
from pydantic import TypeAdapter

from agent.journal.events import (
    AnyEvent,
    AttemptEnded,
    Check,
    GateJudged,
    ModelTurned,
    PublicationStep,
    RunEnded,
    RunPhase,
    SnapshotTaken,
    ToolFinished,
    ToolStarted,
    now,
)
from agent.model import Usage
from app.settings.schema import Settings
from app.storage import audit
from app.storage.archive import archive
from app.storage.inbox import Inbox
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from tests.support.runs.proven import PROVEN, REPRODUCED, STARTED, SUBMITTED
from tests.support.runs.stored import trigger
from tests.support.serving import serving

TOKEN, SCRAPES = "operators-token", "prometheus-token"
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}"


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return SqlStore(f"sqlite:///{tmp_path / 'p.db'}")


def serve(store: SqlStore, tmp_path: Path, token: str) -> Iterator[str]:
    settings = Settings(state_dir=tmp_path, operator_token=token, metrics_token=SCRAPES)
    with serving(create_app(Web(settings, store, lambda _run_id: None))) as url:
        yield url


@pytest.fixture
def url(store: SqlStore, tmp_path: Path) -> Iterator[str]:
    yield from serve(store, tmp_path, TOKEN)


@pytest.fixture
def without_token(store: SqlStore, tmp_path: Path) -> Iterator[str]:
    yield from serve(store, tmp_path, "")


@pytest.fixture
def operator() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as client:
        yield client


def start(store: SqlStore, title: str = "It breaks", delivery: str = "d1") -> str:
    return store.accept(delivery, "issues", trigger(title=title), model="offline").run_id


def test_a_run_and_its_journal_are_shown_escaped(
    url: str, store: SqlStore, operator: httpx.Client
) -> None:
    run_id = start(store, EVIL)
    store.append(
        run_id,
        [
            RunPhase(phase="preparing", attempt=0),
            ToolFinished(call_id="c", name="bash", status="ok", output=EVIL),
        ],
    )
    page = operator.get(f"{url}/runs/{run_id}")
    assert page.status_code == 200
    assert "preparing" in page.text
    assert "alert(1)" in page.text
    # The one script is a file of our own.
    assert page.text.count("<script") == page.text.count('<script src="/assets/dashboard.js"') == 1
    assert "<img" not in page.text
    assert "{{ 7*7 }}" in page.text
    listing = operator.get(f"{url}/runs")
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
    known = {
        str: "text",
        bool: True,
        int: 1,
        float: 1.5,
        datetime: datetime(2026, 1, 2, tzinfo=UTC),
    }
    return known[annotation] if annotation in known else (get_origin(annotation) or dict)()


def test_every_kind_of_event_can_be_shown(
    url: str, store: SqlStore, operator: httpx.Client
) -> None:
    run_id = start(store)
    kinds = get_args(get_args(AnyEvent)[0])
    for kind in kinds:
        required = {
            n: sample(f.annotation) for n, f in kind.model_fields.items() if f.is_required()
        }
        store.append(run_id, [TypeAdapter(kind).validate_python(required)])
    page = operator.get(f"{url}/runs/{run_id}")
    assert page.status_code == 200
    # A call's beginning is shown until its end is.
    shown = set(re.findall(r'id="e(\d+)"', page.text))
    assert shown == {str(n) for n, kind in enumerate(kinds) if kind is not ToolStarted}
    for words in ("phase", "turn", "gate", "snapshot", "hypothesis confirmed", "model away"):
        assert f">{words}</span>" in page.text


def test_long_journals_are_paged_from_their_end(
    url: str, store: SqlStore, operator: httpx.Client
) -> None:
    run_id = start(store)
    store.append(run_id, [RunPhase(phase=f"phase-{n}") for n in range(450)])
    last = operator.get(f"{url}/runs/{run_id}").text
    assert 'id="e449"' in last
    assert 'id="e250"' in last
    assert 'id="e249"' not in last
    assert "?first=50" in last
    assert f"/runs/{run_id}/stream?after=449" in last
    first = operator.get(f"{url}/runs/{run_id}?first=0").text
    assert 'id="e199"' in first
    assert 'id="e200"' not in first
    assert "?first=200" in first
    assert "/stream" not in first
    assert operator.get(f"{url}/runs/{run_id}?first=-1").status_code == 422


def test_events_as_json_from_a_place_on(url: str, store: SqlStore, operator: httpx.Client) -> None:
    run_id = start(store)
    store.append(run_id, [RunPhase(phase=str(n)) for n in range(5)])
    some = operator.get(f"{url}/runs/{run_id}/events", params={"after": 1, "limit": 2}).json()
    assert [e["seq"] for e in some["events"]] == [2, 3]
    assert some["after"] == 3
    assert some["events"][0]["event"]["phase"] == "2"
    rest = operator.get(f"{url}/runs/{run_id}/events", params={"after": 4}).json()
    assert (rest["events"], rest["after"], rest["status"]) == ([], 4, "queued")


def test_the_list_is_filtered_and_paged(url: str, store: SqlStore, operator: httpx.Client) -> None:
    for n in range(60):
        store.accept(f"d{n}", "issues", trigger(n + 1, title=f"issue no {n}."), model="m")
    first = operator.get(f"{url}/runs").text
    assert "issue no 59." in first
    assert "issue no 9." not in first
    link = first.split('aria-label="More runs"><a href="')[1].split('"')[0].replace("&amp;", "&")
    assert "issue no 9." in operator.get(url + link).text
    none = operator.get(f"{url}/runs", params={"repository": "no/body"}).text
    assert "No runs match" in none


def test_an_unknown_run_is_404(url: str, operator: httpx.Client) -> None:
    assert operator.get(f"{url}/runs/nope").status_code == 404
    page = operator.get(f"{url}/runs/nope", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "<h1>Error 404</h1>" in page.text


@pytest.mark.parametrize("path", ["/runs/a%00b", "/runs?search=%00", "/runs/a/logs/%00"])
def test_an_address_with_a_zero_byte_is_refused(
    url: str, operator: httpx.Client, path: str
) -> None:
    assert operator.get(url + path).status_code == 400


@pytest.mark.parametrize("path", ["/runs/", "/setup/"])
def test_no_answer_leads_to_the_host_that_a_request_names(url: str, path: str) -> None:
    answer = httpx.get(url + path, headers={"Host": "evil.example"})
    assert answer.status_code == 404 and "location" not in answer.headers


def test_the_token_opens_the_pages(url: str, store: SqlStore) -> None:
    run_id = start(store)
    for path in ("/runs", f"/runs/{run_id}", f"/runs/{run_id}/events"):
        assert httpx.get(url + path).status_code == 401
        for wrong in ("=", "x", TOKEN + "x", TOKEN[:-1]):
            bearer = {"Authorization": f"Bearer {wrong}"}
            assert httpx.get(url + path, headers=bearer).status_code == 401
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(url + path, headers=right).status_code == 200
        cookie = {"Cookie": f"patchwright_operator={TOKEN}"}
        assert httpx.get(url + path, headers=cookie).status_code == 401
    # No token says whether a run exists.
    assert httpx.get(f"{url}/runs/nope").status_code == 401


def test_a_token_in_the_address_becomes_a_cookie(url: str, store: SqlStore) -> None:
    run_id = start(store)
    with httpx.Client() as client:
        answer = client.get(f"{url}/runs/{run_id}?first=0&token={TOKEN}")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/runs/{run_id}?first=0"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert TOKEN not in cookie
        assert client.get(f"{url}/runs/{run_id}").status_code == 200
    assert httpx.get(f"{url}/runs?token=wrong").status_code == 401


def test_health_needs_no_token(url: str) -> None:
    for path in ("/healthz", "/readyz", "/assets/style.css", "/sign-in"):
        assert httpx.get(url + path).status_code == 200
    assert httpx.get(f"{url}/docs").status_code == 404


def test_nothing_but_proof_opens_the_pages(without_token: str, store: SqlStore) -> None:
    run_id = start(store)
    # As nginx passes a stranger's request on by default: from this machine, with its own name.
    for headers in ({}, {"Host": "127.0.0.1:18311"}, {"Host": "localhost"}, {"Host": "e.example"}):
        for path in ("/runs", f"/runs/{run_id}", f"/runs/{run_id}/stream", "/queue", "/statistics",
                     "/metrics", "/setup", "/setup/review", "/setup/callback"):  # fmt: skip
            for shown in ("", "Bearer", "Bearer x"):
                headers |= {"Authorization": shown, "Cookie": "patchwright_operator="}
                assert httpx.get(without_token + path, headers=headers).status_code in (401, 403)


def test_figures_are_for_who_shows_a_token(url: str, operator: httpx.Client) -> None:
    scraper = {"Authorization": f"Bearer {SCRAPES}"}
    assert httpx.get(f"{url}/metrics").status_code == 401
    assert httpx.get(f"{url}/metrics", headers=scraper).status_code == 200
    assert operator.get(f"{url}/metrics").status_code == 200
    assert httpx.get(f"{url}/runs", headers=scraper).status_code == 401


def test_runs_are_searched_by_title_and_number(
    url: str, store: SqlStore, operator: httpx.Client
) -> None:
    store.accept("d1", "issues", trigger(41, title="Rounding is 50% wrong"), model="m")
    store.accept("d2", "issues", trigger(42, title="Empty list crashes"), model="m")
    for search, found in (("50%", "Rounding"), ("#42", "Empty list"), ("ROUNDING", "Rounding")):
        text = operator.get(f"{url}/runs", params={"search": search}).text
        assert found in text
        assert ("Rounding" in text) != ("Empty list" in text)
    assert "No runs match" in operator.get(f"{url}/runs", params={"search": "_"}).text


def form_token(page: str) -> str:
    return page.split('name="form_token" value="')[1].split('"')[0]


def test_a_run_is_steered_by_forms_of_its_own_page_only(
    url: str, store: SqlStore, operator: httpx.Client
) -> None:
    run_id = start(store)
    token = form_token(operator.get(f"{url}/runs/{run_id}").text)
    hint = {"form_token": token, "text": "look at the sign"}
    for headers, fields in (
        ({}, {"text": "x"}),
        ({}, {**hint, "form_token": token[:-1]}),
        ({"Origin": "https://evil.example"}, hint),
        ({"Sec-Fetch-Site": "cross-site"}, hint),
    ):
        refused = operator.post(f"{url}/runs/{run_id}/hint", data=fields, headers=headers)
        assert refused.status_code == 403
    assert store.hints(run_id) == []
    answer = operator.post(f"{url}/runs/{run_id}/hint", data=hint)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}")
    assert [(h.author, h.text) for h in store.hints(run_id)] == [("operator", "look at the sign")]
    assert operator.post(f"{url}/runs/{run_id}/retry", data=hint).status_code == 409
    assert operator.post(f"{url}/runs/{run_id}/burn", data=hint).status_code == 404
    assert operator.post(f"{url}/runs/{run_id}/hint", data={**hint, "text": " "}).status_code == 422
    assert operator.post(f"{url}/runs/{run_id}/stop", data=hint).status_code == 303
    assert store.stop_reason(run_id)
    lease = store.claim(run_id, "w")
    lease.finish(run_id, RunEnded(outcome="stopped", attempt=0))
    again = operator.post(f"{url}/runs/{run_id}/retry", data=hint).headers["location"]
    assert again != f"/runs/{run_id}"
    assert store.get_run(again.rpartition("/")[2]).status == "queued"
    actions = {e.action for e in audit.entries(store.database)}
    assert {"hint", "stop", "retry"} <= actions


def test_a_kept_patch_is_published_from_the_page(
    url: str, store: SqlStore, operator: httpx.Client
) -> None:
    run_id = start(store)
    button = f"/runs/{run_id}/publish"
    form = {"form_token": form_token(operator.get(f"{url}/runs/{run_id}").text)}
    assert operator.post(f"{url}{button}", data=form).status_code == 409  # not over yet
    proven = (STARTED, REPRODUCED, SUBMITTED, PROVEN, AttemptEnded(outcome="proven"))
    lease = store.claim(run_id, "w")
    lease.append(run_id, proven)
    lease.finish(run_id, RunEnded(outcome="proven", attempt=0, chosen_attempt=1))
    assert f'action="{button}"' in operator.get(f"{url}/runs/{run_id}").text
    assert operator.post(f"{url}{button}", data=form).headers["location"] == f"/runs/{run_id}"
    assert (store.get_run(run_id).status, store.get_run(run_id).round) == ("queued", 2)
    assert f'action="{button}"' not in operator.get(f"{url}/runs/{run_id}").text
    assert "publish" in {e.action for e in audit.entries(store.database)}
    again = store.claim(run_id, "w")
    again.finish(run_id, RunEnded(outcome="proven", attempt=0, pull_request="https://x/1"))
    assert operator.post(f"{url}{button}", data=form).status_code == 409
    assert f'action="{button}"' not in operator.get(f"{url}/runs/{run_id}").text
    # A later change that could not be pushed.
    kept = PublicationStep(attempt=0, step="push", status="refused", kind="signatures", change=2)
    store.claim(run_id, "w").append(run_id, [kept])
    assert f'action="{button}"' in operator.get(f"{url}/runs/{run_id}").text
    assert operator.post(f"{url}{button}", data=form).status_code == 303
    [asked] = Inbox(store.database).requested(run_id, "publish", 3)
    assert asked.startswith("publish:page-")


def test_a_stream_sends_what_comes_and_ends_with_the_run(
    url: str, store: SqlStore, operator: httpx.Client
) -> None:
    run_id = start(store)
    store.append(run_id, [RunPhase(phase="first", attempt=0), RunPhase(phase="second", attempt=0)])
    seen: list[str] = []
    with operator.stream("GET", f"{url}/runs/{run_id}/stream?after=0", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        for line in lines:
            seen.append(line)
            if line == "event: head":
                break
        lease = store.claim(run_id, "w")
        lease.finish(run_id, RunEnded(outcome="failed", diagnosis=f"a\r\n{EVIL}"))
        seen += lines
    text = "\n".join(seen)
    assert "second" in text
    assert 'id="e0"' not in text
    assert text.rstrip().endswith("event: over\ndata: failed")
    assert "<script" not in text
    with operator.stream(
        "GET", f"{url}/runs/{run_id}/stream?after=-1", headers={"Last-Event-ID": "1"}
    ) as answer:
        assert 'id="e1"' not in answer.read().decode()


def test_logs_are_plain_text_and_snapshots_are_compared(
    url: str, store: SqlStore, operator: httpx.Client
) -> None:
    run_id = start(store)
    patch = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-a\n+{}\n"
    for name, text in (("s1", "b<i>"), ("s2", "c")):
        store.put_log(run_id, f"patch:{name}", patch.format(text).encode())
        store.append(run_id, [SnapshotTaken(snapshot=name, patch_log=f"patch:{name}", why=name)])
    log = operator.get(f"{url}/runs/{run_id}/logs/patch:s1")
    assert log.headers["content-type"] == "text/plain; charset=utf-8"
    assert log.headers["x-content-type-options"] == "nosniff"
    assert "+b<i>" in log.text
    store.put_log(run_id, "patch", patch.format("c").encode())
    kept = operator.get(f"{url}/runs/{run_id}/logs/patch")
    assert kept.headers["content-disposition"] == 'attachment; filename="fix.patch"'
    page = operator.get(f"{url}/runs/{run_id}/compare", params={"left": "1-s1", "right": "1-s2"})
    assert "+b&lt;i&gt;" in page.text
    assert "+c" in page.text
    same = operator.get(f"{url}/runs/{run_id}/compare", params={"left": "1-s1", "right": "1-s1"})
    assert "the same in both" in same.text
    with_base = operator.get(f"{url}/runs/{run_id}/compare", params={"left": "", "right": "1-s2"})
    assert "as in the base" in with_base.text
    assert "+c" in with_base.text
    assert operator.get(f"{url}/runs/{run_id}/compare?right=no").status_code == 404
    assert operator.get(f"{url}/runs/{run_id}/logs/no").status_code == 404


def test_a_run_in_the_archive_is_shown_like_any_other(
    url: str, store: SqlStore, tmp_path: Path, operator: httpx.Client
) -> None:
    run_id = start(store)
    store.put_log(run_id, "bash:1", b"whole output")
    store.append(run_id, [RunPhase(phase="first", attempt=0)])
    store.claim(run_id, "w").finish(run_id, RunEnded(outcome="failed", diagnosis="known so far"))
    assert archive(store, run_id, tmp_path / "archives", now())
    assert store.events(run_id) == []
    page = operator.get(f"{url}/runs/{run_id}").text
    assert 'id="e0"' in page
    assert "known so far" in page
    assert operator.get(f"{url}/runs/{run_id}/logs/bash:1").text == "whole output"
    assert len(operator.get(f"{url}/runs/{run_id}/events").json()["events"]) == 2


def test_queue_and_statistics_have_their_figures(
    url: str, store: SqlStore, tmp_path: Path, operator: httpx.Client
) -> None:
    for n, outcome in enumerate(("proven", "proven", "diagnosis")):
        run_id = store.accept(f"d{n}", "issues", trigger(n + 1), model="m").run_id
        lease = store.claim(run_id, "w")
        check = Check(name="tests after", ok=outcome == "proven")
        lease.append(
            run_id,
            [
                ModelTurned(
                    usage=Usage(prompt_tokens=900, completion_tokens=100, cached_tokens=810)
                ),
                ToolFinished(call_id="c", name="bash", status="timeout", output=""),
                GateJudged(verdict="proven" if check.ok else "unproven", checks=(check,)),
            ],
        )
        lease.finish(run_id, RunEnded(outcome=outcome, attempt=0))
        if n == 0:  # an old one, which counts like the others
            assert archive(store, run_id, tmp_path / "archives", now())
    waiting = start(store, "I wait", "d9")
    assert waiting in operator.get(f"{url}/queue").text
    text = operator.get(f"{url}/statistics").text
    for figure in ("67 %", "1,000", "90.0 %", "gate: tests after", "tool: bash timeout"):
        assert figure in text, figure
