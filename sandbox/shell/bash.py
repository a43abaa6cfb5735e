"""A persistent bash at the other end of a stream.

Each command is one `eval` line followed by a line that prints a secret marker with the status.
The command's input is /dev/null and the marker's text is still unread (or in bash's own memory)
while the command runs, so its output cannot contain the marker. Redirections of the `eval` are
undone by bash afterwards, so `exec >/dev/null` and closed descriptors end with the command.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from sandbox.errors import SandboxError
from sandbox.shell.capture import Capture, Captured

INTERACTIVE = ("bash", "--noprofile", "--norc", "--noediting", "-i")
"""For commands of the model: an interactive bash survives SIGINT, which is how a loop that runs
in the shell itself is stopped with directory, variables and functions kept."""

BATCH = ("bash", "--noprofile", "--norc")
"""For our own scripts: reads its input byte by byte, so a payload may follow a line."""

_CHUNK = 256 * 1024
_START_S = 30.0
_START = (
    b"PS1= PS2= PS4='+ '; set +o history +H; exec 3>&1 1>/dev/null 2>&1; "
    b"builtin printf 'pid=%d\\n' $$ >&3\n"
)
_PID = re.compile(rb"pid=(\d+)\n")
# An interactive bash without a terminal says this after a command died of a signal.
_TTY_COMPLAINT = re.compile(rb"bash: \[\d+: \d+ \(\d+\)\] tcsetattr: [^\n]*\n")

Payload = bytes | Path


class Stream(Protocol):
    """A program's standard input and output; `on_data` and `on_end` are called as it speaks."""

    ended: bool
    on_data: Callable[[bytes], None]
    on_end: Callable[[], None]

    async def write(self, data: bytes) -> None:
        """Send to standard input, waiting while no more is taken."""
        ...

    def write_now(self, data: bytes) -> None:
        """Send to standard input without waiting: for short data."""
        ...

    def pause(self) -> None:
        """Read nothing until `resume`."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def abort(self) -> None:
        """Drop the connection; the program sees the end of its input."""
        ...


class ShellDied(Exception):
    """The shell ended, or its stream did."""

    def __init__(self, partial: Captured) -> None:
        super().__init__("the shell ended")
        self.partial = partial


class Shell:
    """One bash; runs one thing at a time."""

    def __init__(self, stream: Stream, exec_id: str) -> None:
        self.exec_id = exec_id
        self.pid = 0
        self._stream = stream
        self._capture: Capture | None = None
        self._captured: Captured | None = None
        self._waiter: asyncio.Future[None] | None = None
        stream.on_data = self._on_data
        stream.on_end = self._wake

    @classmethod
    async def start(cls, stream: Stream, exec_id: str, prelude: str = "") -> Shell:
        """Prepare a bash that was just started; `prelude` is run first."""
        shell = cls(stream, exec_id)
        nonce = secrets.token_hex(16).encode()
        shell._expect(nonce, 64 * 1024)
        stream.write_now(_START + prelude.encode() + _epilogue(nonce))
        started = await shell.wait(_START_S)
        found = _PID.search(started.output) if started else None
        if found is None:
            stream.abort()
            raise SandboxError(f"The sandbox's shell did not start within {_START_S:.0f} s")
        shell.pid = int(found[1])
        return shell

    @property
    def alive(self) -> bool:
        """Whether the stream still stands."""
        return not self._stream.ended

    def begin(self, command: bytes, limit: int) -> None:
        """Start a command with no input."""
        nonce = self._expect(secrets.token_hex(16).encode(), limit)
        self._stream.write_now(_line(command, b"</dev/null ") + _epilogue(nonce))

    async def begin_with(self, command: bytes, limit: int, payload: Payload) -> None:
        """Start a command of ours whose input is exactly `payload`, which it must read whole."""
        nonce = self._expect(secrets.token_hex(16).encode(), limit)
        await self._stream.write(_line(command, b""))
        async for chunk in _chunks(payload):
            await self._stream.write(chunk)
        await self._stream.write(_epilogue(nonce))

    async def wait(self, timeout_s: float) -> Captured | None:
        """The result, or None when it is not there in time. Raises `ShellDied`."""
        if self._captured is None and not self._stream.ended:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(timeout_s, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if self._captured is not None:
            return self._captured
        if self._stream.ended:
            raise ShellDied(self.partial())
        return None

    @property
    def seen(self) -> int:
        """How many bytes the command has printed so far."""
        return self._capture.seen if self._capture else 0

    def partial(self) -> Captured:
        """What the command has printed so far."""
        return self._capture.partial() if self._capture else Captured(b"", 0, 0)

    def drop(self) -> None:
        """Let the shell go."""
        self._stream.abort()

    def _expect(self, nonce: bytes, limit: int) -> bytes:
        self._capture = Capture(nonce, limit)
        self._captured = None
        self._stream.resume()
        return nonce

    def _on_data(self, data: bytes) -> None:
        if self._capture is None or self._captured is not None:
            return
        self._captured = self._capture.feed(data)
        if self._captured is not None:
            self._stream.pause()
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def shell_quote(text: bytes) -> bytes:
    """The text as one word of a shell."""
    return b"'" + text.replace(b"'", b"'\\''") + b"'"


def without_terminal_warnings(output: bytes) -> bytes:
    """The output without what bash says about the terminal that it does not have."""
    return _TTY_COMPLAINT.sub(b"", output) if b"tcsetattr" in output else output


def _line(command: bytes, stdin: bytes) -> bytes:
    # The backslash keeps an alias of the same name out.
    return b"\\eval " + shell_quote(command) + b" " + stdin + b">&3 2>&3 3>&-\n"


def _epilogue(nonce: bytes) -> bytes:
    # set +e, +u, +x: one command's options must not end the shell in the next one.
    # Two simple lines: after a syntax error bash takes no braces for a group.
    return b"\\builtin printf '%s %d\\n' " + nonce + b' "$?" >&3\n\\builtin set +eux\n'


async def _chunks(payload: Payload) -> AsyncIterator[bytes]:
    if isinstance(payload, bytes):
        yield payload
        return
    with payload.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
