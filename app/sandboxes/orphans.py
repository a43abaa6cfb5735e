"""Sandboxes of commands that a person runs at a terminal: whose they are, and those of dead ones.

A command removes its own sandboxes when it ends, interrupted or not. One that was killed outright
cannot; the next one on the same machine does it in its place.
"""

from __future__ import annotations

import os
import platform
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sandbox.docker.engine import DockerEngine
from sandbox.errors import SandboxError
from sandbox.spec import INSTALLATION_LABEL, RUN_LABEL

_OWNER = re.compile(r"terminal:(?P<node>.*):(?P<process>\d{1,10}):[0-9a-f]{12}")


def owner() -> str:
    """A name for this process as the owner of sandboxes, that a later one understands."""
    return f"terminal:{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


def is_dead(name: str) -> bool:
    """Whether a name is that of a process of this machine which is no more."""
    found = _OWNER.fullmatch(name)
    if found is None or found["node"] != platform.node():
        return False
    try:
        os.kill(int(found["process"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


@asynccontextmanager
async def own_sandboxes(engine: DockerEngine) -> AsyncIterator[str]:
    """A name for this process as the owner of sandboxes; those that it opened go with the block.

    Those of dead commands go first. What the engine cannot remove is left to the next command.
    """
    with suppress(SandboxError):
        await sweep_left_over(engine)
    own = owner()
    try:
        yield own
    finally:
        with suppress(SandboxError):
            await engine.sweep((), installation=own)


async def sweep_left_over(engine: DockerEngine) -> list[str]:
    """Remove the sandboxes of dead commands; returns the containers' ids."""
    names = await engine.call(
        lambda client: {
            container.labels.get(INSTALLATION_LABEL, "")
            for container in client.containers.list(
                all=True, filters={"label": RUN_LABEL}, ignore_removed=True
            )
        }
    )
    dead = sorted(name for name in names if is_dead(name))
    return [swept for name in dead for swept in await engine.sweep((), installation=name)]
