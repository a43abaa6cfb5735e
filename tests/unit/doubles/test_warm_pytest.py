"""A warm pytest is to a shell what a cold one is."""

from __future__ import annotations

import asyncio

import pytest

from tests.doubles.local_sandbox import LocalSandbox

TESTS = """\
import os, signal, sys, time
from pathlib import Path

def test_place():
    assert os.environ["WHERE"] == "here" and Path.cwd() == Path(sys.path[0])
    import beside
    print("limit", os.popen("ulimit -n; umask").read().split())
    with os.fdopen(7, "w") as passed:
        passed.write("through 7")

def test_fails():
    assert sys.stdin.read() == "given", "it"

def test_dies():
    os.kill(os.getpid(), signal.SIGTERM)

def test_leaves():
    os._exit(23)

def test_hangs():
    Path("new").write_text(str(os.getpid()))
    Path("new").rename("pid")
    time.sleep(600)
"""
BEFORE = "export WHERE=here PYTHONPATH=$PWD/more; ulimit -n 77; umask 027; exec 7>seven; "


@pytest.mark.parametrize("warm", [True, False])
async def test_a_shell_sees_no_difference(warm: bool) -> None:
    files = {"test_it.py": TESTS, "more/beside.py": ""}
    box = LocalSandbox(files, warm=warm)

    async def ran(name: str, before: str = "", after: str = "") -> str:
        command = f"{before}python3 -m pytest -qs -p no:cacheprovider test_it.py -k {name}{after}"
        done = await box.run(f"({command}); echo status $?", timeout_s=60)
        return done.output.decode()

    place = await ran("place", BEFORE)
    assert "limit ['77', '0027']" in place
    assert "1 passed" in place
    assert await box.read("seven") == b"through 7"
    fails = await ran("fails", after=" <<<wrong")
    assert "status 1\n" in fails
    assert "AssertionError: it" in fails
    assert "status 143\n" in await ran("dies")
    assert "status 23\n" in await ran("leaves")
    code = "'import sys; print(sys.flags.isolated)'"
    assert (await box.run(f"python3 -I -c {code}")).text.strip() == "1"
    hanging = asyncio.ensure_future(ran("hangs"))
    while not (box.root / "pid").exists():
        await asyncio.sleep(0.02)
    hanging.cancel()
    await asyncio.wait([hanging])
    pid = (await box.read("pid")).decode()
    gone = "for i in $(seq 200); do kill -0 $pid 2>/dev/null || exit 0; sleep 0.05; done; exit 1"
    assert (await box.run(f"pid={pid}; {gone}")).exit_code == 0
    await box.close()
