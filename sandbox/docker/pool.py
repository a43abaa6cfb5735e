"""Started sandboxes kept ready for the images used last, so that a run need not wait for them.

A sandbox of the pool has never seen a tree. It is used once: given to a run, or removed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.docker.engine import DockerEngine, SandboxSpec
from sandbox.errors import SandboxError, SandboxGone
from sandbox.protocol import Limits
from sandbox.shell.sandbox import ShellSandbox
from sandbox.sizing import TreeSize, tree_size

POOL_RUN = f"pool-{secrets.token_hex(6)}"
"""The run of this process' containers that wait: a sweep must keep them while it lives."""


@dataclass(frozen=True, slots=True)
class _PoolKey:
    """Sandboxes that can be in for each other."""

    image: str
    limits: Limits
    runtime: str
    installation: str


class WarmPool:
    """Opens sandboxes, from those that wait if there is one. For one event loop."""

    def __init__(
        self,
        engine: DockerEngine,
        *,
        size: int,
        images: int,
        failed: Callable[[SandboxError], None] = lambda _: None,
    ) -> None:
        """Up to `size` sandboxes wait for each of the `images` kinds used last.

        `failed` is told when one could not be started ahead; nobody waits for that.
        """
        self._engine = engine
        self._size = size
        self._images = images
        self._failed = failed
        self._waiting: OrderedDict[_PoolKey, deque[ShellSandbox]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._filling = asyncio.Lock()
        self.given = 0
        """How many sandboxes came from the pool."""

    @property
    def waiting(self) -> int:
        """How many sandboxes wait."""
        return sum(map(len, self._waiting.values()))

    async def wait_until_filled(self) -> None:
        """Return when nothing more is being started."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def open(
        self, spec: SandboxSpec, tree: Path, history: Path | None = None
    ) -> ShellSandbox:
        """Start a sandbox with the tree of a tar file in it, and perhaps the history of another."""
        key = _PoolKey(spec.image, spec.limits, spec.runtime, spec.installation)
        size = await asyncio.to_thread(tree_size, tree, spec.limits, history)
        content = tree, history
        try:
            fits = size == TreeSize()
            box = await self._take_waiting(key, spec.run_id, content) if fits else None
            if box is None:
                box = await self._engine.start(replace(spec, tree=size))
                await self._engine.fill(box, *content)
        finally:
            self._refill(key)
        return box

    async def close(self) -> None:
        """Remove the sandboxes that wait."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        waiting, self._waiting = self._waiting, OrderedDict()
        for boxes in waiting.values():
            for box in boxes:
                await box.close()

    async def _take_waiting(
        self, key: _PoolKey, run_id: str, content: tuple[Path, Path | None]
    ) -> ShellSandbox | None:
        """A sandbox that waited, with tree and history in it; None when none is left that lives."""
        waiting = self._waiting.get(key)
        while waiting:
            box = waiting.popleft()
            naming = asyncio.create_task(self._engine.assign_to_run(box, run_id))
            try:
                await self._engine.fill(box, *content)
                await naming
            except SandboxGone as error:
                # It died while it waited.
                self._failed(error)
                await box.close()
            else:
                self.given += 1
                return box
            finally:
                naming.cancel()
                await asyncio.wait({naming})
        return None

    def _refill(self, key: _PoolKey) -> None:
        if self._size == 0:
            return
        self._waiting.setdefault(key, deque())
        self._waiting.move_to_end(key)
        task = asyncio.create_task(self._fill(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fill(self, key: _PoolKey) -> None:
        # One after another: the run that just began has the machine first.
        async with self._filling:
            while len(self._waiting) > self._images:
                _, boxes = self._waiting.popitem(last=False)
                for box in boxes:
                    await box.close()
            waiting = self._waiting.get(key)
            while waiting is not None and len(waiting) < self._size:
                spec = SandboxSpec(
                    image=key.image,
                    limits=key.limits,
                    run_id=POOL_RUN,
                    purpose="pool",
                    runtime=key.runtime,
                    installation=key.installation,
                )
                try:
                    waiting.append(await self._engine.start(spec))
                except SandboxError as error:
                    self._failed(error)
                    return
