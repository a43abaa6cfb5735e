"""Commands that are asked to end, and whose sandboxes are whose."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from app.cli import main
from app.sandboxes.orphans import is_dead, own_sandboxes, owner
from sandbox.errors import SandboxError


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is heard, also where the tests run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_asked_to_end_cleans_up_first(sign: signal.Signals, heard: None) -> None:
    cleaned: list[bool] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), sign)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt):
        main.run(work())
    assert cleaned == [True]


def test_a_command_that_ends_gives_its_result() -> None:
    async def work() -> int:
        return 5

    assert main.run(work()) == 5


def test_only_names_of_dead_processes_of_this_machine_are_dead() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    node = platform.node()
    assert not is_dead(owner())
    assert is_dead(f"terminal:{node}:{ended.pid}:0123456789ab")
    assert not is_dead(f"terminal:{node}:1:0123456789ab"), "somebody else's, and alive"
    assert not is_dead(f"terminal:{node}.elsewhere:{ended.pid}:0123456789ab")
    for other in ("", "7f699a633f47", f"fix-{ended.pid}", f"terminal:{node}:x:0123456789ab"):
        assert not is_dead(other)


class Stubborn:
    """An engine that holds a dead command's container and cannot remove anything."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, _: object) -> set[str]:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        return {"", f"terminal:{platform.node()}:{ended.pid}:0123456789ab"}

    async def sweep(self, _keep: tuple[str, ...], *, installation: str) -> list[str]:
        self.asked.append(installation)
        raise SandboxError("cannot remove")


async def test_what_cannot_be_removed_costs_no_result() -> None:
    engine = Stubborn()
    async with own_sandboxes(engine) as own:  # type: ignore[arg-type]
        result = "a proven patch"
    assert result
    assert engine.asked[1:] == [own], "the dead one's first, then its own"
    assert is_dead(engine.asked[0])
