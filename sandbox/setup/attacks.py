"""Attacks by the commands of a set-up, which are root in their container and have a way out.

Docker alone. A set-up's container here is like that of a real one; what it leaves is not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.attacks.kernel import MKNOD, MOUNT, PROC, SYS
from sandbox.attacks.network import METADATA, OUT, RAW, SOCKETS
from sandbox.attacks.system_calls import CALL, NAMESPACES
from sandbox.attacks.target import PROBE, SMALL, Attack, Escaped, Target
from sandbox.docker.engine import DockerEngine
from sandbox.egress.tunnel import CHANNELS
from sandbox.environment.records import PREFIX, Environment, Step
from sandbox.environment.tree import tree_hash
from sandbox.setup.container import PROXY_PORT, SetupSpec
from sandbox.setup.docker_images import prepare_on_engine
from sandbox.setup.records import SetupFailed, SetupPolicy
from sandbox.spec import SandboxSpec

_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class SetupTarget:
    """The engine, and a sandbox to ask of it, from whose image the set-ups start."""

    engine: DockerEngine
    spec: SandboxSpec

    async def run(self, target: Target, program: str, policy: SetupPolicy) -> SetupFailed:
        """What a set-up whose last command is a Python program as root fails with, as it must."""
        tree = await target.tree({"attack.py": program.encode()})
        step = Step("python3 attack.py; exit 9", root=True)
        found = Environment("attack", steps=(step,), explicit=True)
        spec = SetupSpec(
            self.spec.image, SMALL, self.spec.run_id, self.spec.installation, self.spec.runtime
        )
        try:
            await prepare_on_engine(
                self.engine, tree, tree_hash(tree), [found], spec,
                replace(policy, relay_image=self.spec.image, network_waits_s=()),
                scope=self.spec.run_id,
            )  # fmt: skip
        except SetupFailed as failed:
            return failed
        raise Escaped("the set-up ended as if nothing had been wrong")

    async def must_not_escape(self, target: Target, script: str) -> None:
        """Raise `Escaped` for what a probe (see `sandbox.attacks.target`) could do in a set-up."""
        failed = await self.run(
            target, f"{PROBE}{script}\nprint('TRIED')\n", SetupPolicy(network=False, timeout_s=60)
        )
        found = [line for line in failed.log.splitlines() if line.startswith("ESCAPED ")]
        if found:
            raise Escaped("; ".join(line.removeprefix("ESCAPED ") for line in found))
        if "\nTRIED" not in failed.log:
            raise Escaped(f"nothing was tried: {failed.log[-300:]}")


async def kernel_files(setups: SetupTarget, target: Target) -> None:
    """Kernel settings through /proc and /sys, as root."""
    # Its own first process is root like it, and the folder of control groups is its own memory.
    proc = PROC.replace('"/proc/1/', '"/proc/none/')
    await setups.must_not_escape(target, proc + SYS.replace('"/sys/fs/cgroup/made", ', ""))


async def devices_and_mounts(setups: SetupTarget, target: Target) -> None:
    """Devices of the machine, mounts and namespaces, as root."""
    # A set-up writes to its own root, as package managers do.
    mount = MOUNT.replace('tried("wrote to the root"', 'print("left out"')
    await setups.must_not_escape(target, MKNOD + mount + CALL + NAMESPACES)


async def past_the_proxy(setups: SetupTarget, target: Target) -> None:
    """Networks, metadata and the engine's socket reached without the proxy, as root."""
    await setups.must_not_escape(target, RAW + OUT + METADATA + SOCKETS)


async def file_flood(setups: SetupTarget, target: Target, place: str = "/opt") -> None:
    """Empty files, which take no room but use up the disk's files."""
    flood = (
        "import os\nfor n in range(30000):\n"
        f"    if n % 5000 == 0: top = f'{place}/flood{{n}}'; os.makedirs(top)\n"
        "    os.close(os.open(f'{top}/{n}', os.O_CREAT))\n"
    )
    failed = await setups.run(target, flood, SetupPolicy(network=False, files=4000))
    if "files written" not in failed.why:
        raise Escaped(f"30,000 files were written: {failed.why}")


async def flood_of_packages(setups: SetupTarget, target: Target) -> None:
    """The same where packages are installed, which is a volume of the engine."""
    await file_flood(setups, target, PREFIX)


async def large_packages(setups: SetupTarget, target: Target) -> None:
    """A large file among the packages, in a folder that is closed to others."""
    grow = (
        f"import os, time\nos.makedirs('{PREFIX}/closed', 0o700)\n"
        f"with open('{PREFIX}/closed/large', 'wb') as file:\n"
        "    for n in range(160): file.write(os.urandom(2**20))\n"
    )
    failed = await setups.run(target, grow, SetupPolicy(network=False, disk_bytes=100 * _MIB))
    if "GB written" not in failed.why:
        raise Escaped(f"160 MiB were written: {failed.why}")


async def hidden_bytes(setups: SetupTarget, target: Target) -> None:
    """A file that has no name any more and grows."""
    grow = (
        "import os, time\nnumber = os.open('/opt/hidden', os.O_CREAT | os.O_WRONLY)\n"
        "os.unlink('/opt/hidden')\n"
        "for n in range(400): os.write(number, bytes(2**20))\ntime.sleep(30)\n"
    )
    failed = await setups.run(target, grow, SetupPolicy(network=False, disk_bytes=100 * _MIB))
    if "GB written" not in failed.why:
        raise Escaped(f"400 MiB were written: {failed.why}")


async def connection_flood(setups: SetupTarget, target: Target) -> None:
    """Connections to the proxy by the thousand, each of which costs this process open files."""
    hold = (
        "import socket, time\nheld = []\ntry:\n"
        "    while len(held) < 400:\n"
        f"        held.append(socket.create_connection(('127.0.0.1', {PROXY_PORT}), timeout=5))\n"
        "except OSError as error: print(len(held), error)\n"
        f"print('HELD', len(held) > {CHANNELS})\ntime.sleep(2)\n"
    )
    before = most = _open_files()

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, _open_files())
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    try:
        failed = await setups.run(target, hold, SetupPolicy(network=True, timeout_s=60))
    finally:
        watching.cancel()
    if "HELD True" not in failed.log:
        raise Escaped(f"nothing was tried: {failed.log[-300:]}")
    if most - before > 4 * CHANNELS:
        raise Escaped(f"{most - before} open files of this process")


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def setup_attacks(engine: DockerEngine, spec: SandboxSpec) -> tuple[Attack, ...]:
    """The attacks, on this engine; `spec` says from which image and for whom."""
    setups = SetupTarget(engine, spec)

    def on(
        act: Callable[[SetupTarget, Target], Awaitable[None]],
    ) -> Callable[[Target], Awaitable[None]]:
        return lambda target: act(setups, target)

    return (
        Attack("set-up: kernel settings as root", on(kernel_files)),
        Attack("set-up: devices, mounts, namespaces as root", on(devices_and_mounts)),
        Attack("set-up: network past the proxy", on(past_the_proxy)),
        Attack("set-up: flood of empty files", on(file_flood)),
        Attack("set-up: flood of files among the packages", on(flood_of_packages)),
        Attack("set-up: a large file among the packages", on(large_packages)),
        Attack("set-up: bytes in a file without a name", on(hidden_bytes)),
        Attack("set-up: thousands of connections", on(connection_flood)),
    )
