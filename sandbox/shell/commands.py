"""The model's shell: time limits, cancellation, and what happens when a command ends the shell."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from sandbox.errors import SandboxError, SandboxGone
from sandbox.protocol import CommandResult
from sandbox.shell.bash import INTERACTIVE, Shell, ShellDied, without_terminal_warnings
from sandbox.shell.capture import Captured
from sandbox.shell.machine import Machine
from sandbox.shell.service import ServiceShell
from sandbox.spec import unreadable_bash

_NOTE = (
    b"\n[the shell ended; a new one starts in /workspace: "
    b"directory, variables and functions are as at the beginning]\n"
)
_FAREWELL = b"exit\n"
"""What an interactive bash prints when a command exits it."""
_BASH = unreadable_bash(INTERACTIVE)
_KILLED = 137
"""The status of a process that SIGKILL ended, as shells tell it."""
_GRACE_S = 0.5
_ROUND_S = 0.05
_ROUNDS = 40
_LOOK_S = (0.1, 0.4, 1.0)
_TICKS_PER_S = 100
"""Linux shows process start times in hundredths of a second on every architecture (USER_HZ)."""


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """Bytes of one command's output: what is kept, and what kills it."""

    kept: int
    flood: int


class CommandShell:
    """One persistent shell for commands that nobody trusts."""

    def __init__(self, machine: Machine, service: ServiceShell, limits: OutputLimits) -> None:
        self._machine = machine
        self._service = service
        self._limits = limits
        self._shell: Shell | None = None
        self._lock = asyncio.Lock()
        self._stopping: asyncio.Task[Captured | None] | None = None

    async def open(self) -> None:
        """Start the shell now instead of at the first command."""
        async with self._lock:
            await self._open()

    def drop(self) -> None:
        """Let the shell go."""
        if self._shell is not None:
            self._shell.drop()

    async def run(self, command: str, timeout_s: float) -> CommandResult:
        """Run a command in the one persistent shell (directory and variables carry over)."""
        data = command.encode("utf-8", errors="replace")
        if b"\0" in data:
            raise SandboxError("A command cannot contain a NUL byte")
        async with self._lock:
            if self._stopping is not None:
                await asyncio.shield(self._stopping)
                self._stopping = None
            shell = await self._open()
            begun = time.monotonic()
            shell.begin(data, self._limits.kept)
            try:
                captured = await self._watch(shell, begun + timeout_s)
                if captured is None:
                    return await self._kill_result(shell, begun)
            except ShellDied as died:
                return await self._shell_died(shell, died.partial, begun)
            except asyncio.CancelledError:
                await self._stop(shell, begun, grace_s=_ROUND_S)
                raise
            return CommandResult(
                exit_code=captured.status,
                output=without_terminal_warnings(captured.output),
                duration_s=time.monotonic() - begun,
                dropped_bytes=captured.dropped_bytes,
            )

    async def _watch(self, shell: Shell, deadline: float) -> Captured | None:
        """The result, or None at the deadline or when too much was printed.

        Looks now and then whether the shell still lives: a process that it left behind may hold
        the stream open after the shell's end.
        """
        looks = iter(_LOOK_S)
        pause = next(looks)
        while True:
            left = deadline - time.monotonic()
            captured = await shell.wait(max(0.0, min(pause, left)))
            if captured is not None or left <= pause or self._exceeds_output(shell):
                return captured
            pause = next(looks, pause)
            lives = await self._service.call("pw_lives", shell.pid)
            if lives.status != 0:
                # What it printed at its end may still be on the way.
                captured = await shell.wait(_ROUND_S)
                if captured is None:
                    raise ShellDied(shell.partial())
                return captured

    def _exceeds_output(self, shell: Shell) -> bool:
        return shell.seen > self._limits.flood

    async def _kill_result(self, shell: Shell, begun: float) -> CommandResult:
        flooded = self._exceeds_output(shell)
        captured = await self._stop(shell, begun, grace_s=0.0 if flooded else _GRACE_S)
        note = b"\n[killed: it printed more than %d bytes]\n" % self._limits.flood
        note = (note if flooded else b"") + (b"" if captured else _NOTE)
        captured = captured or shell.partial()
        return CommandResult(
            exit_code=_KILLED if flooded else None,
            output=without_terminal_warnings(captured.output) + note,
            duration_s=time.monotonic() - begun,
            timed_out=not flooded,
            dropped_bytes=captured.dropped_bytes,
        )

    async def _shell_died(self, shell: Shell, partial: Captured, begun: float) -> CommandResult:
        self._shell = None
        shell.drop()
        # A shell also ends because its container does; then no other starts.
        await self._open()
        code = await self._machine.exit_code(shell.exec_id)
        return CommandResult(
            exit_code=_KILLED if code is None else code,
            output=without_terminal_warnings(partial.output).removesuffix(_FAREWELL) + _NOTE,
            duration_s=time.monotonic() - begun,
            dropped_bytes=partial.dropped_bytes,
        )

    async def _stop(self, shell: Shell, begun: float, grace_s: float) -> Captured | None:
        """End the command and its processes; its result, or None if the shell had to go too.

        Goes on when the caller is cancelled; the next command waits for it.
        """
        self._stopping = asyncio.create_task(self._stop_processes(shell, begun, grace_s))
        return await asyncio.shield(self._stopping)

    async def _stop_processes(self, shell: Shell, begun: float, grace_s: float) -> Captured | None:
        try:
            # As Ctrl-C does: a test runner may say where it was, and when the shell's child dies of
            # the interrupt, the shell gives up the rest of the command too.
            await self._signal(shell, begun, "INT")
            await shell.wait(grace_s)
            for number in range(_ROUNDS):
                # A loop of the shell goes on when its child is killed, and ends when its child dies
                # of an interrupt; the first one may have come between two children.
                left = await self._signal(shell, begun, "INT" if number % 2 else "KILL")
                captured = await shell.wait(_ROUND_S)
                if captured is not None and left == 0:
                    await self._skip_leftovers(shell)
                    return captured
        except ShellDied:
            # Its processes may live on without it.
            pass
        await self._service.call("pw_stop_all")
        await self._drop(shell)
        return None

    async def _skip_leftovers(self, shell: Shell) -> None:
        # What dying processes printed after the marker is no output of the next command.
        shell.begin(b":", 0)
        if await shell.wait(_GRACE_S) is None:
            raise ShellDied(shell.partial())

    async def _drop(self, shell: Shell) -> None:
        shell.drop()
        if self._shell is shell:
            self._shell = None
        await self._machine.check_alive()

    async def _signal(self, shell: Shell, begun: float, signal: str) -> int:
        # Two ticks more than measured: nothing of the command may be missed. What an earlier
        # command left running is spared if it began at least that long before this one.
        age = round((time.monotonic() - begun) * _TICKS_PER_S) + 2
        answer = await self._service.call("pw_stop", shell.pid, age, signal)
        return int(answer.output) if answer.output.isdigit() else 1

    async def _open(self) -> Shell:
        if self._shell is None or not self._shell.alive:
            try:
                self._shell = await self._machine.start_shell(_BASH)
            except SandboxGone:
                raise
            except SandboxError:
                # No process can start: what earlier commands left behind fills the sandbox.
                await self._service.call("pw_stop_all")
                self._shell = await self._machine.start_shell(_BASH)
        return self._shell
