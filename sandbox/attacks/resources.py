"""Attacks that use up what the machine has."""

from __future__ import annotations

import contextlib
import resource
from dataclasses import replace

from sandbox.attacks.target import SMALL, Attack, Escaped, Target, must_answer
from sandbox.errors import SandboxError
from sandbox.protocol import Sandbox

_MIB = 1024**2
_PROGRAM = "/tmp/inodes.py"  # noqa: S108 - in the sandbox
_MOST_GROWTH = 64 * _MIB
"""How much this process may grow while it takes a flood of output."""


async def fork_bomb(target: Target) -> None:
    """Processes that double until no more can be made."""
    box = await target.open()
    result = await box.run("bomb() { bomb | bomb & }; bomb; sleep 60", timeout_s=1)
    if not result.timed_out:
        raise Escaped(f"it ended by itself: {result.text[-200:]!r}")
    left = await box.run("ps -u $(id -u) -o pid= | wc -l")
    if not left.text.strip().isdigit() or int(left.text) > 20:
        raise Escaped(f"{left.text.strip()[:80]} processes were left")
    await must_answer(box)


async def memory_bomb(target: Target) -> None:
    """Several processes that each take and touch all memory there is."""
    box = await target.open()
    hog = 'python3 -c \'x = b"a" * 2**31; print("TOOK", len(x))\''
    result = await box.run(f"{hog} & {hog} & {hog}; wait", timeout_s=30)
    if "TOOK" in result.text:
        raise Escaped("a command took 2 GiB where the limit is 256 MiB")
    await must_answer(box)


async def memory_bomb_of_the_shell(target: Target) -> None:
    """The shell itself, not its child, takes all memory."""
    box = await target.open()
    await box.run("x=a; while :; do x=$x$x$x$x; done", timeout_s=20)
    await must_answer(box)


async def disk_filler(target: Target) -> None:
    """Every place that can be written is filled."""
    box = await target.open()
    filled = await box.run(
        "for d in $(find / -xdev -maxdepth 2 -type d -writable 2>/dev/null) /workspace /tmp "
        "/home /home/sandbox /run /dev/shm /var/tmp; do cat /dev/zero > $d/fill; done 2>&1; "
        "du -cm /*/fill /home/sandbox/fill /dev/shm/fill 2>/dev/null | tail -n 1",
        timeout_s=60,
    )
    if "No space left" not in filled.text:
        raise Escaped(f"no limit was met: {filled.text[-200:]!r}")
    size = filled.text.split()[-2]
    if not size.isdigit() or int(size) > SMALL.memory_bytes // _MIB:
        raise Escaped(f"{size} MiB were written")
    # A snapshot needs room too; that it says so is right.
    with contextlib.suppress(SandboxError):
        await box.snapshot()
    await box.run("rm -f /*/fill /home/sandbox/fill /dev/shm/fill")
    await must_answer(box)


async def inode_bomb(target: Target) -> None:
    """Empty files without end: they fill no disk, but the kernel's memory."""
    box = await target.open()
    script = (
        "import os\n"
        "for top in ('/workspace', '/tmp', '/home/sandbox', '/run', '/dev/shm'):\n"
        "    try:\n"
        "        for n in range(10**9):\n"
        "            if n % 10000 == 0: d = f'{top}/bomb{n}'; os.mkdir(d)\n"
        "            os.close(os.open(f'{d}/{n}', os.O_CREAT))\n"
        "    except OSError as problem: print(problem.strerror, flush=True)\n"
    )
    await box.write(_PROGRAM, script.encode())
    await box.run(f"python3 {_PROGRAM}", timeout_s=40)
    await must_answer(box)


async def open_files(target: Target) -> None:
    """All descriptors that can be obtained."""
    box = await target.open()
    result = await box.run(
        "python3 -c 'import os, resource\n"
        "h = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        'try: resource.setrlimit(resource.RLIMIT_NOFILE, (10**6, 10**6)); print("RAISED")\n'
        "except (ValueError, OSError): pass\n"
        "n = 0\n"
        "try:\n"
        '    while n < 10**5: os.open("/dev/null", 0); n += 1\n'
        "except OSError as e: print(e.strerror, n)'",
        timeout_s=20,
    )
    if "Too many open files" not in result.text or "RAISED" in result.text:
        raise Escaped(f"no limit was met: {result.text[-200:]!r}")
    await must_answer(box)


async def output_flood(target: Target) -> None:
    """Ten gigabytes of output."""
    box = await target.open(replace(SMALL, flood_bytes=256 * _MIB))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = await box.run("cat README.md; head -c 10G /dev/zero; sleep 60", timeout_s=60)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if grown > _MOST_GROWTH:
        raise Escaped(f"this process grew by {grown // _MIB} MiB")
    if len(result.output) > SMALL.output_bytes + 1000 or not result.output.startswith(b"a tree"):
        raise Escaped(f"{len(result.output):,} bytes were kept")
    if result.duration_s > 55:
        raise Escaped("the flood was not cut off")
    await must_answer(box)


async def huge_diff(target: Target) -> None:
    """A change of a hundred megabytes of text."""
    box = await target.open(replace(SMALL, memory_bytes=1024 * _MIB))
    made = await box.run("yes 'a line of a huge file' | head -c 100M > huge.txt", timeout_s=30)
    if not made.ok:
        raise Escaped(f"it could not be made: {made.text[-200:]!r}")
    try:
        patch = await box.diff()
    except SandboxError:
        patch = ""
    if patch:
        raise Escaped(f"a patch of {len(patch):,} characters came out")
    await must_answer(box)


async def zip_bomb(target: Target) -> None:
    """A small test file that unpacks to far more than there is, on disk and in memory."""
    box = await target.open()
    await box.write(
        "test_bomb.py",
        b"import io, sys, zlib\n"
        b"pack = zlib.compressobj(9)\n"
        b"zeros = pack.compress(bytes(2**20)); one = zeros + pack.flush(zlib.Z_FULL_FLUSH)\n"
        b"mib = pack.compress(bytes(2**20)) + pack.flush(zlib.Z_FULL_FLUSH)\n"
        b"bomb = one + mib * 4096\n"
        b"def test_disk():\n"
        b"    with open('/tmp/out', 'wb') as out:\n"
        b"        stream = zlib.decompressobj()\n"
        b"        for at in range(0, len(bomb), 4096):\n"
        b"            out.write(stream.decompress(bomb[at:at + 4096]))\n"
        b"    print('TOOK')\n"
        b"def test_memory():\n"
        b"    print('TOOK', len(zlib.decompressobj().decompress(bomb)))\n"
        b"globals()[sys.argv[1]]()\n",
    )
    disk = await box.run("python3 test_bomb.py test_disk", timeout_s=40)
    memory = await box.run("python3 test_bomb.py test_memory; rm -f /tmp/out", timeout_s=40)
    for result in (disk, memory):
        if result.ok and "TOOK" in result.text:
            raise Escaped("4 GiB came out of it")
    if "No space left" not in disk.text:
        raise Escaped(f"no limit was met: {disk.text[-200:]!r}")
    await must_answer(box)


async def thread_bomb(target: Target) -> None:
    """Threads, which are processes to the kernel, without end."""
    box = await target.open()
    result = await box.run(
        "python3 -c 'import threading, time\n"
        "n = 0\n"
        "try:\n"
        "    while n < 5000:\n"
        "        threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); n += 1\n"
        "except RuntimeError: pass\n"
        "print(n, flush=True)\n"
        "import os; os._exit(0)'",
        timeout_s=30,
    )
    made = result.text.strip().splitlines()[-1:]
    if not made or not made[0].isdigit() or int(made[0]) > SMALL.pids:
        raise Escaped(f"{made} threads were made where {SMALL.pids} are allowed")
    await must_answer(box)


async def _must_stay_within(box: Sandbox, program: str, word: str, most_bytes: int) -> None:
    """Run a program that says, after this word, how many bytes it came to take."""
    await box.write(_PROGRAM, program.encode())
    result = await box.run(f"python3 {_PROGRAM}", timeout_s=40)
    if word in result.text and int(result.text.split()[-1]) > most_bytes:
        raise Escaped(f"{result.text.strip()} bytes where {SMALL.memory_bytes:,} are allowed")
    await must_answer(box)


async def nameless_files(target: Target) -> None:
    """Files that were removed and are still open, and files that never had a name."""
    box = await target.open()
    fill = (
        "import os, sys\n"
        "total, kept = 0, []\n"
        "def some():\n"
        "    for n in range(9):\n"
        "        for folder in ('/workspace', '/tmp', '/home/sandbox', '/run', '/dev/shm'):\n"
        "            path = f'{folder}/gone{n}'\n"
        "            try: kept.append(os.open(path, os.O_CREAT | os.O_WRONLY)); os.unlink(path)\n"
        "            except OSError: continue\n"
        "            yield kept[-1]\n"
        "        yield os.memfd_create('gone')\n"
        "for number in some():\n"
        "    try:\n"
        "        while total < 2**31: total += os.write(number, bytes(2**20))\n"
        "    except OSError: pass\n"
        "print('WROTE', total, flush=True)\n"
    )
    await _must_stay_within(box, fill, "WROTE", SMALL.memory_bytes)


async def kernel_buffers(target: Target) -> None:
    """Memory that the kernel holds for pipes and sockets."""
    box = await target.open()
    fill = (
        "import fcntl, os, socket\n"
        "kept, total = [], 0\n"
        "try:\n"
        "    for n in range(1500):\n"
        "        a, b = os.pipe(); kept += [a, b]; os.set_blocking(b, False)\n"
        "        try: fcntl.fcntl(b, 1031, 2**20)\n"
        "        except OSError: pass\n"
        "        c, d = socket.socketpair(); kept += [c, d]; d.setblocking(False)\n"
        "        for send in (lambda x: os.write(b, x), d.send):\n"
        "            try:\n"
        "                while total < 2**31: total += send(bytes(2**16))\n"
        "            except BlockingIOError: pass\n"
        "except OSError: pass\n"
        "print('HELD', total, flush=True)\n"
    )
    await _must_stay_within(box, fill, "HELD", 2 * SMALL.memory_bytes)


ATTACKS = (
    Attack("thread bomb", thread_bomb),
    Attack("files without a name", nameless_files),
    Attack("pipes and socket buffers", kernel_buffers),
    Attack("fork bomb", fork_bomb),
    Attack("memory bomb", memory_bomb),
    Attack("memory bomb in the shell itself", memory_bomb_of_the_shell),
    Attack("disk filler", disk_filler),
    Attack("inode bomb", inode_bomb),
    Attack("open files", open_files),
    Attack("10 GB of output", output_flood),
    Attack("huge diff", huge_diff),
    Attack("zip bomb in a test file", zip_bomb),
)
