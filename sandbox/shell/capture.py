"""One command's output, kept within bounds and ended by a marker that it cannot know."""

from __future__ import annotations

from dataclasses import dataclass

_SLACK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Captured:
    """The whole or the two ends of an output, and the status that the marker carried."""

    output: bytes
    dropped_bytes: int
    status: int


class Capture:
    """Collects a stream until `NONCE STATUS\\n` appears in it.

    Holds at most about twice `limit` bytes: the first half of `limit` and the end of the stream.
    """

    def __init__(self, nonce: bytes, limit: int) -> None:
        self._nonce = nonce
        self._head_size = limit // 2
        self._tail_size = limit - self._head_size
        self._limit = limit
        self._head: bytes | None = None
        self._rest = bytearray()
        self._dropped = 0
        self.seen = 0
        """Bytes that came, markers included."""
        self._marker_size = len(nonce) + len(" 255\n")

    def feed(self, data: bytes) -> Captured | None:
        """Take the next piece; the result when the marker is complete."""
        self.seen += len(data)
        start = max(0, len(self._rest) - self._marker_size)
        self._rest += data
        at = self._rest.find(self._nonce, start)
        if at >= 0:
            end = self._rest.find(b"\n", at)
            if end >= 0:
                status = int(self._rest[at + len(self._nonce) : end])
                return self._result(at, status)
            return None
        self._trim()
        return None

    def partial(self) -> Captured:
        """What came so far, when the marker never will."""
        return self._result(len(self._rest), 0)

    def _trim(self) -> None:
        if self._head is None:
            if len(self._rest) <= self._limit + _SLACK:
                return
            self._head = bytes(self._rest[: self._head_size])
            del self._rest[: self._head_size]
        keep = self._tail_size + self._marker_size
        # Cutting a bytearray's front copies the rest, so it is done rarely.
        if len(self._rest) > 2 * keep + _SLACK:
            cut = len(self._rest) - keep
            self._dropped += cut
            del self._rest[:cut]

    def _result(self, end: int, status: int) -> Captured:
        body = bytes(memoryview(self._rest)[:end])
        head = self._head
        if head is None:
            if len(body) <= self._limit:
                return Captured(body, 0, status)
            head, body = body[: self._head_size], body[self._head_size :]
        tail = body[-self._tail_size :] if self._tail_size else b""
        return Captured(head + tail, self._dropped + len(body) - len(tail), status)
