"""What a sandbox stands on: an engine's container or a cluster's pod, seen by its shells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sandbox.shell.bash import Shell


class Machine(Protocol):
    """One running place, with a way to start programs in it as the commands' user.

    Every method but `remove` raises `SandboxGone` when it does not run any more.
    """

    @property
    def id(self) -> str:
        """Enough to find it again."""
        ...

    async def start_shell(self, command: Sequence[str], prelude: str = "") -> Shell:
        """Start a persistent bash in the commands' environment.

        Raises `SandboxError` when it starts no process.
        """
        ...

    async def start_process(self, command: Sequence[str]) -> None:
        """Start a program and let it go."""
        ...

    async def check_alive(self) -> None:
        """Raise `SandboxGone` unless it runs."""
        ...

    async def exit_code(self, exec_id: str) -> int | None:
        """The status of a shell whose process has ended; None if nobody can say."""
        ...

    async def remove(self) -> None:
        """Kill and delete it; nothing happens when it is gone already."""
        ...
