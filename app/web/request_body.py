"""Bodies of requests, within limits whatever their headers say.

Anybody can begin a body, so no limit of one request is enough: what all unfinished and unproven
bodies together may hold is limited, too, and of too much the largest goes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_FORM = 65_536
"""Bytes of any body but a delivery's."""
MOST_HELD = 64 * 1024 * 1024
"""Bytes of all deliveries that are not read to their end and checked yet."""


class BodyMemory:
    """What bodies hold together; of too much, the largest lets go of all it has."""

    def __init__(self, limit: int = MOST_HELD) -> None:
        self._limit = limit
        self._bodies: set[HeldBody] = set()

    @property
    def held(self) -> int:
        """Bytes at this moment."""
        return sum(body.size for body in self._bodies)

    @contextmanager
    def body(self) -> Iterator[HeldBody]:
        """A body that counts until the end of the block."""
        body = HeldBody(self)
        self._bodies.add(body)
        try:
            yield body
        finally:
            body.let_go()
            self._bodies.discard(body)

    def make_room(self) -> None:
        """Hold no more than the limit."""
        while self.held > self._limit:
            max(self._bodies, key=lambda body: body.size).let_go()


class HeldBody:
    """One body as far as it has come."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        # One buffer: a list of pieces would hold far more than is counted if they are tiny.
        self._bytes = bytearray()
        self.dropped = False

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self._bytes)

    def add(self, piece: bytes) -> None:
        """Keep a piece. Raises 503 when this body had to make room for others."""
        if not self.dropped:
            self._bytes += piece
            self._memory.make_room()
        self._check_kept()

    def let_go(self) -> None:
        """Drop everything."""
        self._bytes = bytearray()
        self.dropped = True

    def whole(self) -> bytes:
        """The body. Raises 503 as `add` does."""
        self._check_kept()
        return bytes(self._bytes)

    def _check_kept(self) -> None:
        if self.dropped:
            raise HTTPException(
                503, "Too many requests are arriving. Send it again.", {"Connection": "close"}
            )


async def read_body(request: Request, limit: int, body: HeldBody) -> bytes:
    """The request's body, never holding more than `limit` bytes of it. Raises 413, 503 or 400."""
    declared = request.headers.get("content-length")
    if declared is not None and int(declared) > limit:
        raise too_large(limit)
    try:
        async for piece in request.stream():
            if body.size + len(piece) > limit:
                raise too_large(limit)
            body.add(piece)
    except ClientDisconnect:
        raise HTTPException(400, "The body ended early.") from None
    return body.whole()


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of a small form, the first value of each. Raises `HTTPException` 413 or 415."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise HTTPException(415, "Only forms from these pages are accepted.")
    try:
        body = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "The body ended early.") from None
    try:
        read = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
    except ValueError:
        raise HTTPException(400, "The form has too many fields.") from None
    return {name: values[0] for name, values in read.items()}


def too_large(limit: int) -> HTTPException:
    """The answer to a body above its limit: 413."""
    # Closing ends the sender's flow: the server would read the rest to its end otherwise.
    return HTTPException(413, f"The body is larger than {limit} bytes.", {"Connection": "close"})


class BoundedBodies:
    """Counts what comes of every body, whoever reads it; as plain ASGI.

    A request with both a length and chunks, or with a length that is none, is refused: what stands
    before the service may have read it otherwise. So is an address with a zero byte.
    """

    def __init__(self, app: ASGIApp, limits: dict[str, int]) -> None:
        self._app = app
        self._limits = limits
        """By path, or by its beginning if that ends in a slash; `LONGEST_FORM` of any other."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        names = [name for name, _ in scope["headers"]]
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if lengths and b"transfer-encoding" in names:
            await _refuse(send, b"A body has a length or comes in chunks, not both.")
            return
        if len(lengths) > 1 or any(not (v.isdigit() and len(v) < 20) for v in lengths):
            await _refuse(send, b"The Content-Length header is not a number.")
            return
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            # Nothing has one in its name, and PostgreSQL takes none.
            await _refuse(send, b"The address holds a zero byte.")
            return
        limit = self._limit_of(scope["path"])
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise too_large(limit)
            return message

        await self._app(scope, counted, send)

    def _limit_of(self, path: str) -> int:
        begin = path[: path.rindex("/") + 1] if "/" in path else path
        return self._limits.get(path, self._limits.get(begin, LONGEST_FORM))


async def _refuse(send: Send, why: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": why + b"\n"})
