"""Attacks from one sandbox on another of the same engine: another run's, another repository's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sandbox.attacks.target import Attack, Escaped, Target, must_answer, must_not_escape
from sandbox.protocol import Sandbox

_SERVES = """
import os, socket, sys, threading, time
name, port = sys.argv[1], int(sys.argv[2])
def serve(s):
    s.listen()
    while True:
        s.accept()[0].sendall(b"MINE")
tcp = socket.socket(); tcp.setsockopt(1, 2, 1); tcp.bind(("0.0.0.0", port))
abstract = socket.socket(socket.AF_UNIX); abstract.bind("\\0" + name)
for each in (tcp, abstract): threading.Thread(target=serve, args=(each,), daemon=True).start()
for folder in ("/workspace", "/tmp", "/home/sandbox", "/dev/shm", "/run"):
    try: open(f"{folder}/{name}", "w").write(name)
    except OSError: pass
import ctypes
libc = ctypes.CDLL(None)
libc.shmget(int(name[-6:], 16), 4096, 0o1666)
libc.mq_open(f"/{name}".encode(), 0o102, 0o666, None)
print("up", flush=True)
time.sleep(600)
"""


@asynccontextmanager
async def _beside(target: Target) -> AsyncIterator[tuple[Sandbox, Sandbox, str, int]]:
    """A sandbox with a server and files, and another; with the first one's mark and port."""
    victim, attacker = await asyncio.gather(target.open(), target.open())
    mark, port = f"neighbour-{os.urandom(6).hex()}", 23456
    await victim.write("/tmp/serve.py", _SERVES.encode())  # noqa: S108 - in the sandbox
    await victim.run(f"setsid python3 /tmp/serve.py {mark} {port} > /tmp/said 2>&1 &")
    ready = await victim.run(
        "for n in $(seq 100); do grep -q up /tmp/said && break; sleep 0.1; done; cat /tmp/said"
    )
    if "up" not in ready.text:
        raise Escaped(f"nothing was tried: {ready.text[-200:]!r}")
    yield victim, attacker, mark, port
    await must_answer(victim)
    await must_answer(attacker)


async def addresses(target: Target) -> None:
    """Another sandbox's server: by every address and name that it could have."""
    async with _beside(target) as (victim, attacker, mark, port):
        names = ["127.0.0.1", "::1", "sandbox", "localhost", victim.id, victim.id[:12]]
        names += [f"172.{net}.0.{host}" for net in (17, 18) for host in range(1, 5)]
        await must_not_escape(
            attacker,
            f"socket.setdefaulttimeout(0.5)\nfor name in {names!r}:\n"
            f"    tried('connected to ' + name, lambda: socket.create_connection((name, {port})))\n"
            f"s = socket.socket(socket.AF_UNIX)\n"
            f"tried('connected to an abstract socket', lambda: s.connect('\\0{mark}'))\n",
            timeout_s=40,
        )


async def shared_memory(target: Target) -> None:
    """Another sandbox's shared memory and message queues."""
    async with _beside(target) as (_, attacker, mark, _port):
        await must_not_escape(
            attacker,
            "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "def check(found):\n    if found < 0: raise OSError(ctypes.get_errno(), 'no')\n"
            f"tried('found its memory', lambda: check(libc.shmget(0x{mark[-6:]}, 0, 0)))\n"
            f"tried('found its queue', lambda: check(libc.mq_open(b'/{mark}', 0)))\n"
            "for name in ('shm', 'msg', 'sem'):\n"
            "    lines = open(f'/proc/sysvipc/{name}').read().splitlines()\n"
            "    if len(lines) > 1: print('ESCAPED sees', lines[1])\n",
        )


async def files_and_processes(target: Target) -> None:
    """Another sandbox's files, processes and sockets, looked for everywhere."""
    async with _beside(target) as (victim, attacker, mark, _port):
        seen = await victim.run(f"ls /tmp/{mark} && pgrep -f {mark} | head -n 1")
        if not seen.ok:
            raise Escaped(f"nothing was there to be found: {seen.text[-200:]!r}")
        found = await attacker.run(
            f"find / -name '{mark}' -not -path '/proc/*' 2>/dev/null; "
            f"cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep '^{mark}'; "
            f"grep -a '{mark}' /proc/net/unix /proc/mounts /proc/*/environ 2>/dev/null; true"
        )
        if found.text.strip():
            raise Escaped(f"it found {found.text.strip()[-200:]!r}")


async def groups(target: Target) -> None:
    """Other containers in the control groups, in the mounts, by the kernel's lists."""
    async with _beside(target) as (victim, attacker, _mark, _port):
        found = await attacker.run(
            f"grep -al '{victim.id[:12]}' /proc/self/cgroup /proc/self/mountinfo /proc/*/cgroup "
            f"/sys/fs/cgroup/*/* 2>/dev/null; ls -R /sys/fs/cgroup 2>/dev/null | grep "
            f"'{victim.id[:12]}'; true",
            timeout_s=30,
        )
        if found.text.strip():
            raise Escaped(f"the other one's name is in {found.text.strip()[-200:]!r}")


ATTACKS = (
    Attack("another sandbox: its addresses, names and sockets", addresses),
    Attack("another sandbox: its shared memory and queues", shared_memory),
    Attack("another sandbox: its files and processes", files_and_processes),
    Attack("another sandbox: its control group and mounts", groups),
)
