"""`python3 -m pytest` without its start, for tests of what stands around a run of tests.

A process that has imported pytest forks for each run. Most of the time of a test that takes a run
from its label to its pull request was the start of twenty of them. Not for tests whose subject is
what a run of tests may do to its surroundings: a fork has another parent.
"""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


@functools.cache
def warm_python() -> Path:
    """A folder for the PATH whose `python3` forks for pytest, and is the real one otherwise.

    One for each process that asks; both end with it.
    """
    folder = tempfile.TemporaryDirectory(prefix="warm-pytest-")
    home, python = Path(folder.name), Path(sys.executable).with_name("python3")
    address = home / "socket"
    server = subprocess.Popen(
        [python, HERE / "server.py", address],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,  # its end ends the server
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    shim = home / "python3"
    shim.write_text(
        f'#!/bin/sh\ncase "$1 $2" in\n'
        f'"-m pytest") exec {python} -IS {HERE / "client.py"} {address} {python} "$@";;\n'
        f'*) exec {python} "$@";;\nesac\n'
    )
    shim.chmod(0o755)

    def end() -> None:
        server.kill()
        server.wait()
        folder.cleanup()

    atexit.register(end)
    return home
