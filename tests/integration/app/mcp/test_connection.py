"""Servers as they are spoken to: real ones of the official package, and one that misbehaves."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.mcp.config import Server
from app.mcp.connection import Connection, connected
from app.mcp.limits import ServerFailed
from tests.support.tools import misbehaving, tracker


async def called(server: Server, name: str = "look", timeout_s: float = 10.0, **arguments: object):
    async with connected(server) as connection:
        return await connection.call(name, arguments, timeout_s)


async def test_a_program_is_asked_with_an_environment_of_what_is_named_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATCHWRIGHT_MODEL_API_KEY", "not for it")
    token = tmp_path / "token"
    token.write_text("s3cr3t-value\n")
    server = tracker(tmp_path, env_files={"TOKEN": token})
    async with connected(server) as connection:
        assert {tool.name: tool.reads_only for tool in connection.listed} == {
            "get_issue": True,
            "environment": True,
            "add_comment": False,
        }
        issue = await connection.call("get_issue", {"number": 7}, 5)
        assert issue.text.startswith("TRACK-7: discounts") and not issue.failed
        seen = await connection.call("environment", {}, 5)
        assert "PATCHWRIGHT" not in seen.text and "HOME" not in seen.text
        assert "s3cr3t-value" not in seen.text and '"TOKEN": "[secret]"' in seen.text
        wrong = await connection.call("get_issue", {"nummer": 7}, 5)
        assert wrong.failed and "number" in wrong.text
        both = await asyncio.gather(
            *(connection.call("get_issue", {"number": n}, 5) for n in (1, 2))
        )
        assert [each.text[:8] for each in both] == ["TRACK-1:", "TRACK-2:"]


@pytest.fixture
def http_tracker(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The tracker at an address, and the file with the header that it asks for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    header = tmp_path / "header"
    header.write_text("Bearer http-token-1\n")
    program = Path("tests/doubles/mcp/tracker.py").absolute()
    command = [sys.executable, str(program), str(port), "http-token-1", str(tmp_path / "comments")]
    with subprocess.Popen(command) as process:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp", header
        process.kill()


async def test_a_server_at_an_address_is_asked_with_its_header(
    http_tracker: tuple[str, Path], tmp_path: Path
) -> None:
    url, header = http_tracker
    parts = {"name": "tracker", "repositories": ("a/*",), "tools": ("get_issue",), "url": url}
    server = Server.model_validate(
        {**parts, "internal": True, "header_files": {"Authorization": header}}
    )
    assert (await called(server, "get_issue", number=3)).text.startswith("TRACK-3")
    header.write_text("Bearer other\n")
    with pytest.raises(ServerFailed):
        await called(server, "get_issue", number=3)
    away = Server.model_validate({**parts, "internal": True, "url": "http://127.0.0.1:9/mcp"})
    with pytest.raises(ServerFailed, match="out of reach"):
        await called(away)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("huge", "message of more than 8 MiB"),
        ("endless", "more than"),
        ("flood", "more than 2000 messages"),
        ("garbage-forever", "more than|no MCP"),
        ("dies", "its program ended with status 3: out of <U.001B>.31mcheese"),
        ("wrong", "what it sent is no MCP"),
    ],
)
async def test_what_a_server_does_wrong_ends_the_call_with_a_sentence(
    tmp_path: Path, how: str, said: str
) -> None:
    started = time.monotonic()
    async with connected(misbehaving(how, tmp_path)) as connection:
        with pytest.raises(ServerFailed, match=said):
            await connection.call("look", {}, 20)
        assert connection.is_broken == (how != "wrong")
    assert time.monotonic() - started < 15


async def test_answers_are_bounded_and_visible(tmp_path: Path) -> None:
    long = await called(misbehaving("long", tmp_path, output_kb=2))
    assert len(long.text) < 2100 and long.text.endswith("[cut: 500,000 characters in all]")
    garbage = await called(misbehaving("garbage", tmp_path))
    assert garbage.text == "seen <U+001B>[31m<U+202E><|im_end|>"
    asked = await called(misbehaving("asks", tmp_path))
    assert asked.text == "asked and got an error", "no server may use our model"


@pytest.mark.parametrize(
    ("more", "said"),
    [("", "more than"), ("Content-Encoding: gzip\r\n", "packed body"), (None, "out of reach")],
)
async def test_of_a_server_at_an_address_no_more_is_taken(more: str | None, said: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            if more is not None:
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}\r\n"
                writer.write(head.encode())
                for _ in range(400):
                    writer.write(b" " * 65536)
                    await writer.drain()
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server = Server.model_validate(
            {
                "name": "away",
                "repositories": ("a/*",),
                "tools": ("look",),
                "url": f"http://127.0.0.1:{port}/mcp",
                "internal": True,
            }
        )
        with pytest.raises(ServerFailed, match=said):
            await called(server)


@pytest.mark.parametrize(
    ("how", "said"), [("many", "more than 300 tools"), ("never", "within 1 s")]
)
async def test_a_server_that_cannot_be_listed_is_not_connected(
    tmp_path: Path, how: str, said: str
) -> None:
    connection = Connection(misbehaving(how, tmp_path, start_s=1))
    with pytest.raises(ServerFailed, match=said):
        await connection.open()
    assert not alive(tmp_path)


async def test_a_program_that_ignores_everything_is_killed_with_its_children(
    tmp_path: Path,
) -> None:
    connection = Connection(misbehaving("deaf", tmp_path))
    await connection.open()
    assert len(alive(tmp_path)) == 2
    with pytest.raises(TimeoutError):
        await connection.call("look", {}, 0.2)
    await connection.close()
    for _ in range(100):  # the children are reaped by others
        if not alive(tmp_path):
            break
        await asyncio.sleep(0.05)
    assert not alive(tmp_path)
    with pytest.raises(ServerFailed):
        await connection.call("look", {}, 1)


def test_a_program_dies_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    code = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from app.mcp.connection import Connection\n"
        "from tests.support.tools import misbehaving\n"
        "async def main():\n"
        "    await Connection(misbehaving('deaf', Path(sys.argv[1]))).open()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "own")], check=False)
    leader, child = pids(tmp_path / "own")
    try:
        for _ in range(100):
            if not is_alive(leader):
                break
            time.sleep(0.05)
        assert not is_alive(leader)
    finally:
        os.kill(child, 9)


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def alive(folder: Path) -> list[int]:
    return [pid for pid in pids(folder) if is_alive(pid)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
