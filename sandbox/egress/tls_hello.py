"""The server's name in a TLS client's first record (RFC 8446, section 4.1.2; RFC 6066)."""

from __future__ import annotations

RECORD_HEADER = 5
MOST_RECORD = 16 * 1024
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME = 22, 1, 0


class _Short(Exception):
    """The message ends before what it announces."""


class _Bytes:
    """Reads a message's fields one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise _Short
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> _Bytes:
        return _Bytes(self.take(self.number(size)))

    @property
    def more(self) -> bool:
        return self._at < len(self._data)


def record_size(header: bytes) -> int:
    """How many bytes follow the 5 bytes of a handshake record's header; 0: this is none."""
    size = int.from_bytes(header[3:5], "big")
    if len(header) != RECORD_HEADER or header[0] != _HANDSHAKE or size > MOST_RECORD:
        return 0
    return size


def server_name(record: bytes) -> str:
    """The host that a client hello asks for; empty when it names none or is no client hello.

    `record` is the record's payload. A hello that spans several records counts as none.
    """
    try:
        return _server_name(_Bytes(record))
    except (_Short, UnicodeDecodeError):
        return ""


def _server_name(message: _Bytes) -> str:
    if message.number(1) != _CLIENT_HELLO:
        return ""
    hello = message.vector(3)
    hello.take(2 + 32)  # version, random
    hello.vector(1)  # session
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression
    extensions = hello.vector(2)
    while extensions.more:
        kind, body = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            names = body.vector(2)
            if names.number(1) == 0:
                return names.take(names.number(2)).decode("ascii")
    return ""
