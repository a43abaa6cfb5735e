"""Has pytest imported, and forks for each run of it that a client asks for.

    python3 server.py SOCKET

Ends with the end of its standard input.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import marshal
import os
import resource
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress

import _pytest.config
import pytest  # noqa: F401

PATH = sys.path[1:]
MOST_FILES = 250


def main(address: str) -> None:
    """Serve until the end of the standard input."""
    for name in _pytest.config.default_plugins:
        importlib.import_module(f"_pytest.{name}")
    for name in ("code", "faulthandler", "pdb", "pwd"):  # what these import in every run
        importlib.import_module(name)
    gc.freeze()  # so that forks leave the pages alone
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(16)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who watch
    os.write(1, b"ready\n")
    while True:
        ready, _, _ = select.select([listening, 0], [], [])
        if 0 in ready:
            return
        client, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            watch(client)
        client.close()


def watch(client: socket.socket) -> None:
    """Fork for the run, and end it when its client ends, or tell the client its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files, _, _ = socket.recv_fds(client, 4, MOST_FILES)
    left = int.from_bytes(size, "big")
    told = b""
    while len(told) < left:
        told += client.recv(left - len(told))
    running = os.fork()
    if running == 0:
        client.close()
        run(*marshal.loads(told), files)
        return
    for number in files:
        os.close(number)
    end = os.pidfd_open(running)
    ready, _, _ = select.select([client, end], [], [])
    if end not in ready:
        for kill in (os.kill, os.killpg):
            with suppress(ProcessLookupError):  # before it has its own group, or after its end
                kill(running, signal.SIGKILL)
    _, status = os.waitpid(running, 0)
    if end in ready:
        client.send(status.to_bytes(4, "big"))
    os._exit(0)


def run(
    words: list[str],
    environment: dict[str, str],
    folder: str,
    umask: int,
    limits: dict[int, tuple[int, int]],
    numbers: list[int],
    files: list[int],
) -> None:
    """Be the client, in its surroundings."""
    os.setsid()
    os.umask(umask)
    # First out of the way of one another.
    high = [fcntl.fcntl(number, fcntl.F_DUPFD, MOST_FILES) for number in files]
    os.closerange(0, MOST_FILES)
    for number, file in zip(numbers, high, strict=True):
        os.dup2(file, number)
        os.close(file)
    for limit, both in limits.items():
        resource.setrlimit(limit, both)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    added = environment.get("PYTHONPATH", "")
    sys.path[:] = [folder, *(added.split(os.pathsep) if added else ()), *PATH]
    sys.argv = ["pytest", *words]
    sys.orig_argv = ["python3", "-m", "pytest", *words]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
