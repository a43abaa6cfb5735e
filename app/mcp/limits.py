"""What is taken from a server before its connection is closed."""

from __future__ import annotations

LONGEST_MESSAGE = 8 * 1024 * 1024
"""Bytes of one message."""
MOST_BYTES = 16 * 1024 * 1024
MOST_MESSAGES = 2000
"""Bytes and messages between two requests of ours: an answer with its progress and log lines."""
MOST_GARBAGE = 64 * 1024
"""Bytes of lines that are no messages; some programs greet."""


class ServerFailed(Exception):
    """The server did not do its part; the message says what it did, and is fit for people."""


class Meter:
    """Counts what came since the last request of ours."""

    def __init__(self) -> None:
        self._bytes = self._messages = 0
        self.why = ""
        """Why the connection was closed; empty: it was not for this."""

    def begin(self) -> None:
        """A request of ours is sent: what came before no longer counts."""
        self._bytes = self._messages = 0

    def take_bytes(self, count: int) -> None:
        """Raises `ServerFailed` when it is too much."""
        self._bytes += count
        if self._bytes > MOST_BYTES:
            self._refuse(f"it sent more than {MOST_BYTES // 1024**2} MiB for one request")

    def take_message(self) -> None:
        """Raises `ServerFailed` when it is one too many."""
        self._messages += 1
        if self._messages > MOST_MESSAGES:
            self._refuse(f"it sent more than {MOST_MESSAGES} messages for one request")

    def take_long(self, length: int) -> None:
        """Of a message that has not ended yet. Raises `ServerFailed` when it is too long."""
        if length > LONGEST_MESSAGE:
            self._refuse(f"it sent a message of more than {LONGEST_MESSAGE // 1024**2} MiB")

    def take_garbage(self, total: int) -> None:
        """Of all lines that are no messages. Raises `ServerFailed` when it is too much."""
        if total > MOST_GARBAGE:
            self._refuse("what it writes to its standard output is no MCP")

    def _refuse(self, why: str) -> None:
        self.why = self.why or why
        raise ServerFailed(why)
