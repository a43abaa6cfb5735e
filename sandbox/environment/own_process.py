"""Work on files of others in a process of its own, within limits of time and memory.

A manifest of a few lines can stand for a text without end, and a parser or a regular expression
may take the square of a file's length while it holds Python's lock. Here it would stop everything
else that this process does.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sandbox.errors import SandboxError

T = TypeVar("T")

SECONDS = 60.0
"""Most repositories take less than one."""
MEMORY = 2 * 1024**3
"""Bytes of address space, the program's own included."""

_ROOT = Path(__file__).parents[2]
# Nothing of the environment, which holds secrets, and nothing of the folder of whoever calls.
_CHILD = """
import pickle, resource, sys
root, seconds, memory = sys.argv[1:]
sys.path.insert(0, root)
resource.setrlimit(resource.RLIMIT_AS, (int(memory),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(seconds),) * 2)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
work, arguments = pickle.load(sys.stdin.buffer)
try:
    answer = True, work(*arguments)
except Exception as error:
    answer = False, error
sys.stdout.buffer.write(pickle.dumps(answer))
"""


async def in_own_process(
    work: Callable[..., T],
    *arguments: Any,
    errors: tuple[type[Exception], ...] = (),
    seconds: float = SECONDS,
    memory: int = MEMORY,
) -> T:
    """What a function of a module returns for these arguments.

    Raises what it raises of `errors` and `SandboxError`s; `SandboxError` for any other failure, and
    when it took too long or too much memory.
    """
    job = pickle.dumps((work, arguments))
    is_done, answer = await asyncio.to_thread(_run, job, seconds, memory)
    if is_done:
        result: T = answer
        return result
    if isinstance(answer, (SandboxError, errors)):
        raise answer
    raise SandboxError(f"{_UNREADABLE}: {type(answer).__name__}.")


_UNREADABLE = "The files that describe the repository's environment cannot be read"


def _run(job: bytes, seconds: float, memory: int) -> tuple[bool, Any]:
    command = (sys.executable, "-I", "-c", _CHILD, str(_ROOT), str(round(seconds)), str(memory))
    try:
        done = subprocess.run(  # noqa: S603
            command,
            input=job,
            capture_output=True,
            check=False,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise SandboxError(f"{_UNREADABLE} within {seconds:.0f} s.") from None
    if done.returncode != 0:
        raise SandboxError(f"{_UNREADABLE} within {seconds:.0f} s and {memory >> 20} MiB.")
    # Written by our own code, whatever it read.
    answer: tuple[bool, Any] = pickle.loads(done.stdout)  # noqa: S301
    return answer
