"""Children under limits, and scratch copies of the tree. Runs inside the sandbox only.

Limits are of processor time, so that a search finds the same on a busy machine as on an idle one;
elapsed time only ends what waits for something that never comes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SKIP = (".git", "__pycache__", ".venv", "venv", "node_modules", ".tox", ".pytest_cache")
PATIENCE = 10
"""How much longer than its processor time a child may take, for a machine that does other work."""
LEAST_PATIENCE_S = 60.0
MOST_MEMORY = 1024**3
"""Bytes of address space that a child may have: a mutant may well loop and grow."""
SCRATCH = Path(__file__).resolve().parent / "trees"


def import_roots(root: Path) -> list[str]:
    """Folders that modules of the tree are imported from."""
    return [str(p) for p in (root, root / "src", root / "lib") if p.is_dir()]


def is_test_file(path: str) -> bool:
    """Whether a path of the tree is test code."""
    parts = path.split("/")
    name = parts[-1]
    in_tests = any(p in ("tests", "test", "testing") for p in parts[:-1])
    return (
        in_tests or name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
    )


def in_child(work: Callable[[], object], limit_s: float) -> Any:
    """What `work` returns in a forked child of its own process group; None if killed or dead.

    `limit_s` is of processor time, in whole seconds at least.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _run_child(work, read_end, write_end, math.ceil(limit_s))
    os.close(write_end)
    chunks: list[bytes] = []
    deadline = time.monotonic() + max(LEAST_PATIENCE_S, PATIENCE * limit_s)
    ended = False
    while not ended:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([read_end], [], [], left)[0]:
            break
        chunk = os.read(read_end, 65536)
        ended = not chunk
        chunks.append(chunk)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.close(read_end)
    os.waitpid(pid, 0)
    try:
        return json.loads(b"".join(chunks)) if ended else None
    except ValueError:
        return None


def _run_child(work: Callable[[], object], read_end: int, write_end: int, limit_s: int) -> None:
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))
        os.close(read_end)
        os.set_inheritable(write_end, False)
        quiet = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(quiet, fd)
        answer = json.dumps(work()).encode()
        while answer:
            answer = answer[os.write(write_end, answer) :]
    finally:
        os._exit(0)


def spent_s() -> float:
    """Processor time of this process and its ended children, in seconds."""
    return sum(os.times()[:4])


def enter(root: Path) -> None:
    """Make a tree the place that modules are imported from."""
    os.chdir(root)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.path[:0] = import_roots(root)
    os.environ["PYTHONPATH"] = os.pathsep.join(import_roots(root))


@contextlib.contextmanager
def mutated(tree: Path, files: list[str], changes: list[list[Any]]) -> Iterator[None]:
    """The tree with some lines of each of these replaced, for as long as it takes.

    A change is [file index, first line, last line, new text or null].
    """
    originals = {tree / files[file]: (tree / files[file]).read_bytes() for file, *_ in changes}
    for file, first, last, text in changes:
        target = tree / files[file]
        lines = originals[target].decode("utf-8", "surrogateescape").split("\n")
        new = [] if text is None else text.split("\n")
        changed = "\n".join([*lines[: first - 1], *new, *lines[last:]])
        target.write_bytes(changed.encode("utf-8", "surrogateescape"))
    try:
        yield
    finally:
        for target, original in originals.items():
            target.write_bytes(original)


def copy_tree(root: Path, number: int) -> Path:
    """A copy of the tree without what tools keep there; each number has its own."""
    tree = SCRATCH / f"t{number}"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(root, tree, symlinks=True, ignore=shutil.ignore_patterns(*SKIP))
    return tree
