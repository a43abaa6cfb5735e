"""What every `Sandbox` does, whichever implementation it is: shell and files."""

from __future__ import annotations

import asyncio
import time

import pytest

from sandbox.errors import FileMissing, FileRefused, SandboxError
from sandbox.protocol import Limits, Sandbox
from tests.support.sandboxes.fixtures import Opener

pytestmark = pytest.mark.docker

LONG_S = 60
"""Far less than what these commands would take by themselves, and long on the busiest machine."""


async def test_state_carries_over_from_command_to_command(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    await box.run("cd src; export A=1; B=2; f() { echo f$1; }; alias hi='echo aliased'")
    result = await box.run("pwd; echo $A $B; f 3; hi")
    assert result.text == "/workspace/src\n1 2\nf3\naliased\n"
    assert result.ok


async def test_output_of_both_streams_comes_in_order_with_the_status(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    result = await box.run("for i in 1 2 3; do echo o$i; echo e$i >&2; done; (exit 7)")
    assert (result.text, result.exit_code) == ("o1\ne1\no2\ne2\no3\ne3\n", 7)


async def test_output_without_a_last_newline_and_binary_output_are_exact(
    open_sandbox: Opener,
) -> None:
    box = await open_sandbox()
    assert (await box.run("printf abc")).output == b"abc"
    assert (await box.run("cat src/data.bin")).output == bytes(range(256)) * 4


@pytest.mark.parametrize(
    ("command", "expected", "code"),
    [
        ("echo 'a", "matching", 2),
        ('echo "$(', "", 1),
        ("if true; then echo x", "syntax error", 2),
        ("cat <<END\nheld\nEND", "held\n", 0),
        ("cat <<END\nopen", "open", 0),
        ('echo it\\\'s "q" `echo b` $((1+1)) !x', "it's q b 2 !x\n", 0),
        ('read x; echo "<$x>"', "<>\n", 0),
        ("cat", "", 0),
        ("no-such-program", "not found", 127),
        ("", "", 0),
        ("# only a comment", "", 0),
        ("echo ünïcödé 漢字", "ünïcödé 漢字\n", 0),
    ],
)
async def test_odd_commands_end_and_leave_the_shell_whole(
    open_sandbox: Opener, command: str, expected: str, code: int
) -> None:
    box = await open_sandbox()
    result = await box.run(command, timeout_s=60)
    assert expected in result.text
    assert result.exit_code == code
    assert (await box.run("echo alive")).output == b"alive\n"


@pytest.mark.parametrize(
    ("command", "limit_s"),
    [
        ("exec >/dev/null 2>&1", 30),
        ("exec 1>&- 2>&- 0<&-", 30),
        ("set -e", 30),
        ("set -u", 30),
        ("set -x", 30),
        ("trap 'echo trapped >&2' DEBUG ERR INT TERM", 30),
        ("PROMPT_COMMAND='echo prompt'; PS1='$ '; PS0=x", 30),
        ("alias eval=false builtin=false printf=false; shopt -s expand_aliases", 30),
        ("IFS=; set -f; shopt -s nullglob; unset PATH", 30),
        # Its end cannot be told any more, so it ends at its time limit.
        ("enable -n printf; printf() { echo mine; }; eval() { echo mine; }", 2),
    ],
)
async def test_what_a_command_does_to_its_shell_does_not_break_the_next(
    open_sandbox: Opener, command: str, limit_s: float
) -> None:
    box = await open_sandbox()
    await box.run(command, timeout_s=limit_s)
    assert b"42" in (await box.run("echo $((6*7)); false; :", timeout_s=30)).output.split(b"\n")
    assert (await box.run("echo end", timeout_s=30)).text.splitlines()[-1].endswith("end")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("echo bye; exit 3", 3),
        ("set -e; false; echo never", 1),
        ("exec echo replaced", 0),
        ("kill -9 $$", 137),
        ("sleep 1000 & exit 5", 5),
        ('for f in /proc/$$/fd/*; do n=${f##*/}; eval "exec $n>&-"; done; exit 6', None),
    ],
)
async def test_a_command_that_ends_the_shell_gets_a_new_one_with_a_note(
    open_sandbox: Opener, command: str, code: int | None
) -> None:
    box = await open_sandbox()
    await box.run("echo kept > made.txt; cd src; X=1")
    result = await box.run(command, timeout_s=60)
    assert "the shell ended" in result.text
    assert not result.timed_out
    if code is not None:
        assert result.exit_code == code
    after = await box.run('pwd; echo "[$X]"; cat made.txt')
    assert after.text == "/workspace\n[]\nkept\n"


async def test_a_megabyte_long_command(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    result = await box.run(f"x='{'a' * 1_000_000}'; echo ${{#x}}", timeout_s=60)
    assert result.text == "1000000\n"


async def test_a_command_with_a_nul_byte_is_refused(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    with pytest.raises(SandboxError, match="NUL"):
        await box.run("echo a\0b")


@pytest.mark.parametrize(
    "command",
    [
        "sleep 100",
        "while :; do :; done",
        "while true; do sleep 1; done",
        "yes > /dev/null | sleep 100 | cat",
        "(setsid sleep 100 & wait)",
        "bash -c 'trap \"\" HUP TERM INT; while :; do sleep 1; done'",
        "mkfifo /tmp/f; cat /tmp/f",
        "mkfifo /tmp/g; echo > /tmp/g",
        "wait; sleep 100 & wait",
    ],
)
async def test_at_the_time_limit_the_command_dies_and_the_shell_lives(
    open_sandbox: Opener, command: str
) -> None:
    box = await open_sandbox()
    await box.run("cd src; KEPT=1")
    result = await box.run(f"echo before; {command}", timeout_s=1)
    assert result.timed_out
    assert result.exit_code is None
    assert result.text.startswith("before\n")
    assert result.duration_s < LONG_S
    after = await box.run("pwd; echo $KEPT")
    assert after.text == "/workspace/src\n1\n"
    # What was killed is reaped by the sandbox's init in its own time.
    gone = "while pgrep -u sandbox -x 'sleep|yes|cat'; do :; done >/dev/null; echo gone"
    assert (await box.run(gone, timeout_s=LONG_S)).text == "gone\n"


async def test_a_background_process_neither_hangs_nor_dies_with_a_later_command(
    open_sandbox: Opener,
) -> None:
    box = await open_sandbox()
    begun = time.monotonic()
    await box.run(
        "sleep 300 & (setsid sleep 301 >/dev/null &) ; echo started; sleep 0.1", timeout_s=600
    )
    assert time.monotonic() - begun < LONG_S
    assert (await box.run("sleep 302", timeout_s=0.3)).timed_out
    alive = await box.run("ps -o args= -C sleep | sort | grep sleep.30")
    assert alive.text == "sleep 300\nsleep 301\n"


async def test_long_output_keeps_both_ends(open_sandbox: Opener) -> None:
    box = await open_sandbox(limits=Limits(output_bytes=1000))
    result = await box.run("echo first; head -c 300000 /dev/zero | tr '\\0' x; echo; echo last")
    assert len(result.output) == 1000
    assert result.output.startswith(b"first\n")
    assert result.output.endswith(b"\nlast\n")
    assert result.dropped_bytes == 6 + 300_001 + 5 - 1000


async def test_cancelling_kills_the_command_and_leaves_the_sandbox_usable(
    open_sandbox: Opener,
) -> None:
    box = await open_sandbox()
    await box.run("cd src")
    # The program that is to be ended says itself that it runs.
    slow = "bash -c 'touch /tmp/begun; exec sleep 500'; touch /tmp/went-on"
    task = asyncio.create_task(box.run(slow, timeout_s=600))
    while not (await _exists(box, "/tmp/begun")):
        await asyncio.sleep(0.01)
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < LONG_S
    after = await box.run("pwd; pgrep -u sandbox -x sleep; ls /tmp/went-on 2>/dev/null")
    assert after.text == "/workspace/src\n"


async def test_files_go_in_and_out_whatever_their_name(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    names = ["a b", "-n", "q'\"`$(x)", "new\nline", "ünï", "*?[", "deep/er/file", "\udcff.bin"]
    for name in names:
        data = name.encode("utf-8", "surrogateescape") + b"\0\r\n"
        await box.write(name, data)
        assert await box.read(name) == data
    assert await box.read("/workspace/src/calc.py") == b"def add(a, b):\n    return a - b\n"


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
async def test_files_of_any_size_go_in_and_out(open_sandbox: Opener, size: int) -> None:
    box = await open_sandbox()
    data = bytes(i * 7 % 256 for i in range(1000)) * (size // 1000 + 1)
    await box.write("/tmp/big", data[:size])
    assert await box.read("/tmp/big") == data[:size]
    assert (await box.run("stat -c %s /tmp/big")).text == f"{size}\n"


async def test_write_keeps_the_mode_of_a_file(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    await box.write("run.sh", b"#!/bin/sh\necho other\n")
    assert (await box.run("./run.sh")).text == "other\n"


async def test_unreadable_files_are_reported(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    await box.run("mkfifo pipe; ln -s nowhere dangling; echo x > shut; chmod 0 shut")
    for missing in ("nope", "dangling", "README.md/x"):
        with pytest.raises(FileMissing):
            await box.read(missing)
    for refused in ("src", "pipe", "/dev/zero", "shut", "x\0y", "n" * 5000):
        with pytest.raises((FileRefused, FileMissing)):
            await box.read(refused)
    with pytest.raises(FileRefused, match="larger"):
        await box.read("src/data.bin", max_bytes=1023)
    assert len(await box.read("src/data.bin", max_bytes=1024)) == 1024


async def test_unwritable_files_are_reported_and_the_sandbox_continues(
    open_sandbox: Opener,
) -> None:
    box = await open_sandbox(limits=Limits(memory_bytes=256 * 1024**2))
    await box.run("mkfifo pipe")
    for path in ("src", "pipe", "/etc/passwd", "/new", "README.md/x", "x\0y"):
        with pytest.raises(FileRefused):
            await box.write(path, b"data" * 50_000)
    await box.run("head -c 500M /dev/zero > /workspace/filler 2>/dev/null")
    with pytest.raises(FileRefused, match="space"):
        await box.write("more", b"x" * 1_000_000)
    await box.run("rm filler")
    await box.write("more", b"fits")
    assert await box.read("more") == b"fits"


async def test_close_can_be_called_twice_and_ends_everything(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    await box.close()
    await box.close()
    with pytest.raises(SandboxError):
        await box.run("true")


async def _exists(box: Sandbox, path: str) -> bool:
    try:
        await box.read(path)
    except FileMissing:
        return False
    return True
