"""Runs sessions of documented examples and prints what each showed. Runs inside the sandbox only.

It judges nothing: what an example should have shown is compared on the host. Uses the standard
library only, and of that nothing that the repository's code could have changed: each session runs
in a forked child of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import json
import os
import resource
import select
import signal
import site
import sys
import time
import traceback
from pathlib import Path
from typing import Any

MOST_SHOWN = 4000
MOST_MEMORY = 1024**3
PATIENCE = 4
"""How much longer than its processor time a session may take, on a busy machine."""


def main() -> None:
    """Read the job from the file that is named first, take it away, and run it."""
    path = Path(sys.argv[1])
    job = json.loads(path.read_text())
    path.unlink()
    keep_to_itself()
    deadline = time.monotonic() + job["total_s"]
    for number, session in enumerate(job["sessions"]):
        if time.monotonic() > deadline:
            break
        for line in run_session(session, job["limit_s"]):
            print(job["mark"], json.dumps([number, *line]))


def keep_to_itself() -> None:
    """Other processes of the same user may then not read this one's memory or open files."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def run_session(session: dict[str, Any], limit_s: float) -> list[list[Any]]:
    """What each example showed: [index, output, exception, place]; fewer if it did not end."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _child(session, write_end, limit_s)
    os.close(write_end)
    told, _ = told_by_child(pid, read_end, max(20.0, PATIENCE * limit_s))
    found = []
    for line in told.split(b"\n")[:-1]:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def told_by_child(pid: int, read_end: int, limit_s: float) -> tuple[bytes, bool]:
    """What a child wrote into its pipe, and whether it closed it in time; then it is killed."""
    chunks = []
    deadline = time.monotonic() + limit_s
    closed = False
    while not closed and (left := deadline - time.monotonic()) > 0:
        if not select.select([read_end], [], [], left)[0]:
            break
        chunk = os.read(read_end, 65536)
        closed = not chunk
        chunks.append(chunk)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.close(read_end)
    os.waitpid(pid, 0)
    return b"".join(chunks), closed


def _child(session: dict[str, Any], write_end: int, limit_s: float) -> None:
    with contextlib.suppress(OSError):
        os.setsid()
    whole = max(1, round(limit_s))
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    quiet = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(quiet, fd)
    try:
        names = _names(session)
        for number, source in enumerate(session["sources"]):
            seen = _run(source, names)
            os.write(write_end, json.dumps([number, *seen]).encode() + b"\n")
    finally:
        os._exit(0)


def _names(session: dict[str, Any]) -> dict[str, Any]:
    """The names that a session may use: its module's, or none for a page."""
    sys.dont_write_bytecode = True
    here = Path.cwd()
    sys.path[:0] = [str(here / folder) for folder in dict.fromkeys((session["root"], ".", "src"))]
    # Isolated mode leaves the user's own packages out, which set-up may have put there.
    sys.path.append(site.getusersitepackages())
    names: dict[str, Any] = {"__name__": "__main__"}
    if session["module"]:
        names = dict(vars(importlib.import_module(session["module"])))
    return names


def _run(source: str, names: dict[str, Any]) -> tuple[str, str | None, str]:
    out = io.StringIO()
    raised = None
    place = ""
    hook = sys.displayhook
    sys.displayhook = sys.__displayhook__
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(source, "<example>", "single"), names)  # noqa: S102
    except BaseException as error:  # noqa: BLE001 - whatever it raises is what it shows
        raised = "".join(traceback.format_exception_only(type(error), error))[:MOST_SHOWN]
        frames = [f for f in traceback.extract_tb(error.__traceback__) if _of_tree(f.filename)]
        if frames:
            inmost = frames[-1]
            place = f"{os.path.relpath(inmost.filename)}:{inmost.lineno}:{inmost.name}"
    finally:
        sys.displayhook = hook
    return out.getvalue()[:MOST_SHOWN], raised, place


def _of_tree(path: str) -> bool:
    return path.startswith(f"{Path.cwd()}/")


if __name__ == "__main__":
    main()
