"""Fetching attachments: where it may go, and what it takes."""

from __future__ import annotations

import httpx
import pytest

from app.attachments.fetch import MOST_BYTES, Origin, fetch_image, fetch_text

URL = "https://github.com/user-attachments/files/1/a.log"
PUBLIC = "93.184.215.14"


async def at(address: str) -> list[str]:
    return [address]


def origin(*addresses: str, web: str = "https://github.com", networks: tuple[str, ...] = ()):
    async def resolve(host: str, port: int) -> list[str]:
        if not addresses:
            raise OSError("no such name")
        return list(addresses)

    return Origin(web, networks, resolve=resolve)


async def fetched(handler, where: Origin | None = None, fetch=fetch_text, url: str = URL):
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        return await fetch(client, url, where or origin(PUBLIC))


def to(location: str, data: bytes = b"Traceback\n", **headers: str):
    """The forge leads there, and there is the data."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "github.com":
            return httpx.Response(302, headers={"location": location})
        return httpx.Response(200, content=data, headers=headers)

    return answer


async def test_a_file_comes_by_a_redirect_and_without_credentials():
    seen: list[httpx.Request] = []
    led = to("https://objects.example/a?sig=1")

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return led(request)

    assert await fetched(answer) == b"Traceback\n"
    # The connection goes to the address that was looked at, under the name that was asked for.
    assert [r.url.host for r in seen] == ["github.com", PUBLIC]
    assert seen[1].headers["host"] == "objects.example"
    assert seen[1].extensions["sni_hostname"] == "objects.example"
    assert not {"authorization", "cookie"} & {name for r in seen for name in r.headers}


async def test_a_cookie_is_not_carried_on():
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) == 1:
            headers = {"location": "https://github.com/again", "set-cookie": "session=1; Path=/"}
            return httpx.Response(302, headers=headers)
        return httpx.Response(200, content=b"log\n")

    assert await fetched(answer) == b"log\n"
    assert "cookie" not in seen[1].headers


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(404),
        httpx.Response(302, headers={"location": "http://169.254.169.254/latest"}),
        httpx.Response(302, headers={"location": "file:///etc/passwd"}),
        httpx.Response(302, headers={"location": "https://user:secret@objects.example/"}),
        httpx.Response(200, content=b"\x7fELF\0"),
        httpx.Response(200, content=b"x" * (MOST_BYTES + 1)),
        httpx.Response(302, headers={"location": URL}),
        httpx.Response(302),
    ],
    ids=[
        *("missing", "plain http", "file", "user", "binary", "too large", "endless", "nowhere"),
    ],
)
async def test_what_is_not_a_log_is_none(response: httpx.Response):
    assert await fetched(lambda request: response) is None


async def test_a_server_that_is_away_is_none():
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert await fetched(away) is None


INTERNAL = (
    *("127.0.0.1", "10.0.0.7", "192.168.1.1", "172.16.0.9", "169.254.169.254", "100.64.0.1"),
    *("0.0.0.0", "::1", "fd00::1", "fe80::1", "::ffff:127.0.0.1", "64:ff9b::a00:1"),
    "168.63.129.16",
)


@pytest.mark.parametrize("address", INTERNAL)
async def test_no_name_leads_to_an_internal_address(address: str):
    asked: list[str] = []
    led = to("https://objects.example/a")

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return led(request)

    for where in (origin(address), origin(PUBLIC, address)):
        assert await fetched(answer, where) is None
    assert set(asked) == {"github.com"}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "10.0.0.7:8443"])
async def test_no_redirect_leads_to_an_internal_address(host: str):
    assert await fetched(to(f"https://{host}/a")) is None


async def test_an_operator_may_name_their_own_storage():
    led = to("https://minio.corp.example/a")
    assert await fetched(led, origin("10.0.0.7")) is None
    assert await fetched(led, origin("10.0.0.7", networks=("10.0.0.0/24",))) == b"Traceback\n"


async def test_the_forge_itself_may_stand_inside():
    own = origin(web="http://127.0.0.1:8100")
    url = "http://127.0.0.1:8100/user-attachments/files/1/a.log"
    answer = httpx.Response(200, content=b"log\n")
    assert await fetched(lambda _: answer, own, url=url) == b"log\n"
    # Its port is part of it.
    other = "http://127.0.0.1:8101/user-attachments/files/1/a.log"
    assert await fetched(lambda _: answer, own, url=other) is None


async def test_behind_a_proxy_names_are_resolved_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.corp.example:3128")
    assert await fetched(to("https://objects.example/a"), origin()) == b"Traceback\n"
    assert await fetched(to("https://10.0.0.7/a"), origin()) is None


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("image/png", True),
        ("IMAGE/JPEG; charset=binary", True),
        ("application/octet-stream", True),
        ("", True),
        ("text/html; charset=utf-8", False),
        ("image/svg+xml", False),
        ("application/json", False),
    ],
)
async def test_an_image_is_what_its_server_calls_one(kind: str, taken: bool):
    headers = {"content-type": kind} if kind else {}
    led = to("https://objects.example/a", b"\x89PNG\0", **headers)
    assert (await fetched(led, fetch=fetch_image) is not None) == taken
