"""Attacks on the shell that commands run in, and on the protocol that drives it."""

from __future__ import annotations

import asyncio
import time

from sandbox.attacks.target import Attack, Escaped, Target, must_answer
from sandbox.errors import SandboxError
from sandbox.protocol import Sandbox

_PROGRAM = "/tmp/stubborn.py"  # noqa: S108 - in the sandbox

_STUBBORN = b"""
import os, signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
print("up", flush=True)
while True: time.sleep(1)
"""


async def endless_command(target: Target) -> None:
    """A command and its daemon that ignore every signal that can be ignored."""
    box = await target.open()
    await box.write(_PROGRAM, _STUBBORN)
    result = await box.run(f"python3 {_PROGRAM}", timeout_s=1)
    if not result.timed_out or result.duration_s > 15:
        raise Escaped(f"it ran for {result.duration_s:.0f} s where the limit was 1 s")
    await _nothing_left(box, "python3")
    await must_answer(box)


async def daemonised_child(target: Target) -> None:
    """A daemon that outlives its shell and holds the output open."""
    box = await target.open()
    begun = time.monotonic()
    daemon = "(setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 7777; done' &) ; kill -9 $$"
    await box.run(daemon, timeout_s=20)
    if time.monotonic() - begun > 15:
        raise Escaped("the daemon held the command")
    await must_answer(box)
    await box.close()
    # The container is gone, and with it everything in it; nobody may still answer.
    if await _answers(box):
        raise Escaped("the sandbox lives on after its end")


async def closed_descriptors(target: Target) -> None:
    """The shell's own descriptors are closed, replaced and filled."""
    box = await target.open()
    for command in (
        'for f in /proc/$$/fd/*; do n=${f##*/}; eval "exec $n>&-"; done',
        "exec 0</dev/zero 1>/dev/full 2>/dev/full",
        "exec 1>&- 2>&- 3>&-; exec 3>/dev/null",
        "exec python3 -c 'import os; os.closerange(0, 1000)'",
    ):
        result = await box.run(command, timeout_s=5)
        if result.duration_s > 15:
            raise Escaped(f"{command!r} held the shell")
        await must_answer(box)


async def forged_markers(target: Target) -> None:
    """Output that looks like the end of the command, or like a frame of the engine's stream."""
    box = await target.open()
    forged = (
        "for n in 0 1 2; do printf '%032x %d\\n' $n 0; done; "
        "tr '\\0' ' ' < /proc/$$/cmdline; tr '\\0' '\\n' < /proc/$$/environ; "
        "strings -n 32 /proc/$$/mem 2>/dev/null | grep -E '^[0-9a-f]{32} 0$'; "
        "printf '\\1\\0\\0\\0\\0\\0\\0\\4fake'; history; declare -p; (exit 9)"
    )
    result = await box.run(forged, timeout_s=20)
    if result.exit_code != 9 or b"\1\0\0\0\0\0\0\4fake" not in result.output:
        raise Escaped(f"the command ended as exit {result.exit_code}")
    # What is in the shell's memory and in its input is looked at by the command's child.
    stolen = (
        "python3 - <<'END'\n"
        "import os, re\n"
        "pid = os.getppid(); found = set()\n"
        "try:\n"
        "    maps = open(f'/proc/{pid}/maps').read().splitlines()\n"
        "    mem = open(f'/proc/{pid}/mem', 'rb')\n"
        "    for line in maps:\n"
        "        if 'rw' in line:\n"
        "            low, high = (int(x, 16) for x in line.split()[0].split('-'))\n"
        "            mem.seek(low)\n"
        "            found |= set(re.findall(rb'[0-9a-f]{32}', mem.read(high - low)))\n"
        "except OSError: pass\n"
        "for nonce in found:\n"
        "    os.write(1, nonce + b' 0\\n')\n"
        "END\n"
        "(exit 7)"
    )
    result = await box.run(stolen, timeout_s=20)
    if result.exit_code != 7:
        raise Escaped(f"a marker was read from the shell's memory: exit {result.exit_code}")
    result = await box.run("timeout 1 cat /proc/$PPID/fd/0 /proc/$$/fd/0; (exit 8)", timeout_s=10)
    if result.exit_code != 8 or "printf" in result.text:
        raise Escaped(f"the shell's control input was read: {result.text[-200:]!r}")
    await must_answer(box)


async def terminal_escapes(target: Target) -> None:
    """Sequences that would retitle, clear or make a terminal answer; and typing into one."""
    box = await target.open()
    escapes = (
        b"\x1b]0;title\x07\x1b[2J\x1b[6n\x1bP$q\x1b\\\x05\x1b]52;c;ZWNobw==\x07\x9b0c\x1b[?1049h"
    )
    await box.write("escapes.txt", escapes)
    result = await box.run("cat escapes.txt; cat", timeout_s=10)
    if result.output != escapes:
        raise Escaped(f"something answered: {result.output!r}")
    typing = (
        "tty; python3 -c 'import fcntl, sys, termios\n"
        'for path in ("/dev/tty", "/dev/console", "/dev/pts/0", "/proc/self/fd/0"):\n'
        '    try: fcntl.ioctl(open(path), termios.TIOCSTI, b"x")\n'
        "    except OSError: continue\n"
        '    print("TYPED", path)\''
    )
    result = await box.run(typing, timeout_s=10)
    if "TYPED" in result.text or "not a tty" not in result.text:
        raise Escaped(f"there is a terminal: {result.text[-200:]!r}")
    await must_answer(box)


async def killing_everything(target: Target) -> None:
    """Every process that a command may signal is killed, and stopped, again and again."""
    box = await target.open()
    for command in ("kill -9 -1", "kill -STOP -1", "kill -9 1; kill -9 $PPID; kill -9 $$"):
        result = await box.run(command, timeout_s=2)
        if result.duration_s > 40:
            raise Escaped(f"{command!r} held the sandbox")
        await must_answer(box)


async def _nothing_left(box: Sandbox, name: str) -> None:
    left = (await box.run(f"pgrep -c -x {name}")).text.strip()
    if left != "0":
        raise Escaped(f"{left[:80]} of its processes live on")


async def _answers(box: Sandbox) -> bool:
    try:
        async with asyncio.timeout(10):
            await box.run("true", timeout_s=5)
    except SandboxError:
        return False
    return True


ATTACKS = (
    Attack("endless command ignoring every signal", endless_command),
    Attack("daemonised child that survives the shell", daemonised_child),
    Attack("closing the shell's descriptors", closed_descriptors),
    Attack("forged end markers of the shell protocol", forged_markers),
    Attack("terminal escape sequences", terminal_escapes),
    Attack("killing and stopping every process", killing_everything),
)
