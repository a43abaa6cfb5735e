"""The sandbox's second shell, in which our own scripts run beside the model's command."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from sandbox.errors import SandboxError
from sandbox.shell.bash import BATCH, Payload, Shell, ShellDied, shell_quote
from sandbox.shell.capture import Captured
from sandbox.shell.machine import Machine
from sandbox.shell.service_scripts import PRELUDE
from sandbox.spec import unreadable_bash

Word = str | int | bytes

_CALL_S = 60.0
_SILENCE_S = 3.0
"""After so long without an answer it is looked whether a command has stopped the shell."""
_BASH = unreadable_bash(BATCH)


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """What a service function printed, and its status."""

    output: bytes
    status: int
    truncated: bool

    @property
    def text(self) -> str:
        """The output, for messages."""
        return self.output.decode("utf-8", errors="replace").strip()


class ServiceShell:
    """Calls the functions of `service_scripts`, one at a time; opens its shell when needed.

    A call that was started is finished even if its caller is cancelled: the stream stays in step.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._shell: Shell | None = None
        self._lock = asyncio.Lock()
        self._closed = False

    async def call(
        self,
        function: str,
        *words: Word,
        payload: Payload | None = None,
        limit: int = 1024 * 1024,
        timeout_s: float = _CALL_S,
    ) -> ServiceResult:
        """Call a function with words as arguments and, perhaps, a payload as its input.

        Raises `SandboxGone` when the container died, `SandboxError` when there is no answer.
        """
        line = b" ".join([function.encode(), *map(_encode_word, words)])
        task = asyncio.create_task(self._call(line, payload, limit, timeout_s))
        # A caller that was cancelled does not ask how it ended.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        captured = await asyncio.shield(task)
        return ServiceResult(captured.output, captured.status, captured.dropped_bytes > 0)

    async def open(self) -> None:
        """Start the shell now instead of at the first call."""
        async with self._lock:
            await self._open()

    def drop(self) -> None:
        """Let the shell go for good."""
        self._closed = True
        if self._shell is not None:
            self._shell.drop()

    async def _call(
        self, line: bytes, payload: Payload | None, limit: int, timeout_s: float
    ) -> Captured:
        async with self._lock:
            # A command may kill this shell, for it has the same user; the functions can be
            # repeated, so one more shell gets one more try.
            for last in (False, True):
                shell = await self._open()
                try:
                    if payload is None:
                        shell.begin(line, limit)
                    else:
                        await shell.begin_with(line, limit, payload)
                    captured = await self._wait(shell, timeout_s)
                except ShellDied:
                    if last:
                        break
                    continue
                if captured is not None:
                    return captured
                shell.drop()
                self._shell = None
                name = line.split()[0].decode()
                raise SandboxError(f"The sandbox did not answer {name} within {timeout_s:.0f} s")
            raise SandboxError("The sandbox's service shell keeps being killed")

    async def _wait(self, shell: Shell, timeout_s: float) -> Captured | None:
        """The result, or None at the time limit; a shell that was stopped is woken."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            captured = await shell.wait(max(0.0, min(_SILENCE_S, left)))
            if captured is not None or left <= _SILENCE_S:
                return captured
            # A command may stop every process of its user; only a new one can wake this one.
            await self._machine.start_process(["bash", "-c", f"kill -CONT {shell.pid}"])

    async def _open(self) -> Shell:
        if self._closed:
            raise SandboxError("The sandbox is closed")
        if self._shell is None or not self._shell.alive:
            self._shell = await self._machine.start_shell(_BASH, PRELUDE)
        return self._shell


def _encode_word(word: Word) -> bytes:
    if isinstance(word, int):
        return str(word).encode()
    return shell_quote(word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape"))
