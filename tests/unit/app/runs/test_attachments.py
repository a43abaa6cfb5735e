"""Logs that an issue links to: what is taken, and what is left alone."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest

from agent.journal.store import MemoryStore
from app.runs.attachments import MOST_BYTES, fetch_file, linked_files, links

WEB = "https://github.com"


def test_jobs_and_attachments_are_found_once_each():
    body = (
        "See https://github.com/acme/shop/actions/runs/77/job/4711?pr=3 and again "
        "https://github.com/acme/shop/actions/runs/77/job/4711\n"
        "[crash.log](https://github.com/user-attachments/files/123/crash.log)\n"
        "[old](https://github.com/acme/shop/files/9/out.txt)"
    )
    found = links([body, body], WEB, "acme/shop")
    assert found.checks == (4711,)
    assert found.files == (
        "https://github.com/user-attachments/files/123/crash.log",
        "https://github.com/acme/shop/files/9/out.txt",
    )


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/other/repo/actions/runs/77/job/4711",
        "https://evil.example/user-attachments/files/123/crash.log",
        "https://github.com.evil.example/user-attachments/files/1/a.log",
        "https://github.com/user-attachments/files/123/photo.png",
        "https://github.com/acme/shop/files/../../etc/passwd.log",
        "https://github.com/acme/shop/actions/runs/" + "7" * 500 + "/job/1",
    ],
)
def test_anything_else_is_left_alone(text: str):
    found = links([text], WEB, "acme/shop")
    assert (found.checks, found.files) == ((), ())


def test_there_is_a_limit_to_links():
    text = " ".join(f"{WEB}/user-attachments/files/{n}/a.log" for n in range(50))
    assert len(links([text], WEB, "acme/shop").files) == 5


URL = "https://github.com/user-attachments/files/1/a.log"


async def fetched(handler: object) -> bytes | None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        return await fetch_file(client, URL)


async def test_a_file_comes_by_a_redirect_and_without_credentials():
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.host == "github.com":
            return httpx.Response(302, headers={"location": "https://objects.example/a?sig=1"})
        return httpx.Response(200, content=b"Traceback\n")

    assert await fetched(answer) == b"Traceback\n"
    assert [r.url.host for r in seen] == ["github.com", "objects.example"]
    assert not any("authorization" in r.headers for r in seen)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(404),
        httpx.Response(302, headers={"location": "http://169.254.169.254/latest"}),
        httpx.Response(302, headers={"location": "file:///etc/passwd"}),
        httpx.Response(200, content=b"\x7fELF\0"),
        httpx.Response(200, content=b"x" * (MOST_BYTES + 1)),
        httpx.Response(302, headers={"location": URL}),
    ],
    ids=["missing", "plain http", "file", "binary", "too large", "endless redirect"],
)
async def test_what_is_not_a_log_is_none(response: httpx.Response):
    assert await fetched(lambda request: response) is None


async def test_a_server_that_is_away_is_none():
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert await fetched(away) is None


async def test_attached_files_are_kept_with_the_run(monkeypatch: pytest.MonkeyPatch):
    async def fetch(client: httpx.AsyncClient, url: str) -> bytes | None:
        return b"boom\n" if url.endswith("a.log") else None

    monkeypatch.setattr("app.runs.attachments.fetch_file", fetch)
    run = SimpleNamespace(store=MemoryStore(), record=SimpleNamespace(id="r1"))
    kept = await linked_files(run, (URL, "https://github.com/user-attachments/files/2/gone.log"))
    assert [(a.id, a.name, a.size) for a in kept] == [("attached:1", "a.log", 5)]
    assert run.store.get_log("r1", "attached:1") == b"boom\n"
