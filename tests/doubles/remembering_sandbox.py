"""A `LocalSandbox` that runs the same tests in the same tree only once. For tests only.

The gate repeats runs, in fresh sandboxes, to see that they end alike. Where tests end the same way
each time that is known beforehand, and starting pytest is nearly all that a proof costs here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sandbox.protocol import CommandResult
from tests.doubles.local_sandbox import LocalSandbox

_OWN_NAME = re.compile(r"(?<=tests[-_])[0-9a-f]{24}")
"""Of a run's scratch folder, and of the plugin in it."""

Memory = dict[tuple[str, str], tuple[CommandResult, Mapping[str, bytes]]]
"""What was run in which tree, with the files that the run left in its scratch folder."""


class RememberingSandbox(LocalSandbox):
    """`LocalSandbox` with a memory that others share.

    Not for tests that end by chance, nor for what a run leaves outside of tree and scratch folder:
    where there are such, `only` is a word of the commands that run none of them.
    """

    def __init__(
        self, files: Mapping[str, str | bytes], memory: Memory, only: str = "pytest"
    ) -> None:
        super().__init__(files)
        self._memory = memory
        self._only = only

    async def run(self, command: str, *, timeout_s: float = 120.0) -> CommandResult:
        """As it ran before in such a tree; else it is run, and kept if it leaves the tree alone."""
        own = set(_OWN_NAME.findall(command))
        if "pytest" not in command or self._only not in command or len(own) > 1:
            return await super().run(command, timeout_s=timeout_s)
        name = own.pop() if own else ""
        tree = await self.snapshot()
        key = (tree, command.replace(name, "OWN") if name else command)
        folder = self.scratch / f"tests-{name}"
        if key in self._memory:
            result, files = self._memory[key]
            folder.mkdir(exist_ok=True)
            for path, data in files.items():
                (folder / path).write_bytes(data)
            return result
        result = await super().run(command, timeout_s=timeout_s)
        if not result.timed_out and await self.snapshot() == tree:
            left = folder.iterdir() if name else []
            self._memory[key] = result, {p.name: p.read_bytes() for p in left if p.is_file()}
        return result
