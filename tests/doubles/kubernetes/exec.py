"""`exec` in a pod over a WebSocket, as the API server speaks it (v4 and v5.channel.k8s.io)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any
from urllib.parse import urlsplit

import docker
from starlette.websockets import WebSocket, WebSocketDisconnect

from sandbox.docker.address import engine_address

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STATUS, _CLOSE = 0, 3, 255
_PIECE = 64 * 1024


async def carry(socket: WebSocket, engine: docker.DockerClient, container: Any) -> None:
    """Carry a program's input and outputs until it ends; then its status."""
    offered = socket.scope.get("subprotocols", [])
    spoken = next((name for name in PROTOCOLS if name in offered), None)
    if spoken is None:
        await socket.close(1002)
        return
    query = socket.query_params
    created = await asyncio.to_thread(
        engine.api.exec_create,
        container.id,
        query.getlist("command"),
        stdin=query.get("stdin") == "true",
        stdout=query.get("stdout") == "true",
        stderr=query.get("stderr") == "true",
        tty=query.get("tty") == "true",
    )
    reader, writer = await _attach(created["Id"])
    await socket.accept(subprotocol=spoken)
    inward = asyncio.create_task(_inward(socket, writer))
    try:
        await _outward(socket, reader)
        code = await _code(engine, created["Id"])
        await socket.send_bytes(bytes([_STATUS]) + json.dumps(_status(code)).encode())
        await socket.close(1000)
    except (WebSocketDisconnect, RuntimeError, OSError):
        # The client went away.
        pass
    finally:
        inward.cancel()
        writer.close()


async def _attach(exec_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(urlsplit(engine_address().url).path)
    body = b'{"Detach": false, "Tty": false}'
    head = (
        f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\n"
        f"Content-Type: application/json\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def _inward(socket: WebSocket, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(WebSocketDisconnect, OSError, KeyError):
        while True:
            received = await socket.receive()
            if received["type"] == "websocket.disconnect":
                break
            # Some clients send text, which a server takes too.
            message = received.get("bytes") or received["text"].encode()
            if message[0] == _STDIN:
                writer.write(message[1:])
                await writer.drain()
            elif message[0] == _CLOSE and message[1] == _STDIN:
                writer.write_eof()
    # The client is gone: the program sees the end of its input.
    writer.close()


async def _outward(socket: WebSocket, reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            header = await reader.readexactly(8)
            left = int.from_bytes(header[4:8], "big")
            while left:
                piece = await reader.readexactly(min(left, _PIECE))
                left -= len(piece)
                await socket.send_bytes(header[:1] + piece)


async def _code(engine: docker.DockerClient, exec_id: str) -> int:
    for _ in range(100):
        found = await asyncio.to_thread(engine.api.exec_inspect, exec_id)
        if not found["Running"]:
            return int(found["ExitCode"] or 0)
        await asyncio.sleep(0.05)
    return 137


def _status(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
