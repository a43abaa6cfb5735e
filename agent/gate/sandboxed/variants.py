"""Runs the evidence on many variants of a patch. Runs inside the sandbox only.

Prints, for each variant, which piece of evidence told it from the patch. Before the first and
after the last the patch itself must pass, and so must a change that means nothing (a comment):
evidence that rejects that one looks at the text and not at what it does.

Tests by pytest run in forked children of this process, which has loaded pytest but nothing of the
repository; other commands run in a shell.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .examples import keep_to_itself, run_session, told_by_child

MOST_MEMORY = 2 * 1024**3
LEAST_S = 3.0
TIMES = 4
"""How much longer than with the patch a piece of evidence may take with a variant."""


def main() -> None:
    """Read the job from the file that is named first, take it away, and run it."""
    path = Path(sys.argv[1])
    job = json.loads(path.read_text())
    path.unlink()
    keep_to_itself()
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    # Compiled files of the same second and size would hide a change.
    os.environ["PYTHONPYCACHEPREFIX"] = str(path.parent / "no-cache")
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"]
    sys.path.append(site.getusersitepackages())
    with contextlib.suppress(ImportError):
        importlib.import_module("pytest")
    for word, *rest in _measure(job):
        print(job["mark"], word, json.dumps(rest), flush=True)


def _measure(job: dict[str, Any]) -> Any:
    """`VOID why`, or one `TOLD number by` for each variant and `END` at last."""
    deadline = time.monotonic() + job["total_s"]
    evidence = []
    for piece in job["evidence"]:
        started = time.monotonic()
        seen = _evidence_that_holds(piece, 0.4 * job["total_s"])
        took = time.monotonic() - started
        if seen:
            evidence.append((piece, seen, max(LEAST_S, TIMES * took)))
    if not evidence:
        yield "VOID", "nothing passes with the patch"
        return
    for path, text in job["idle"].items():
        with _replaced(Path(path), text):
            if (by := _distinguishing_evidence(evidence)) is not None:
                yield "VOID", f"{by} fails on a change of the text that means nothing"
                return
    for number, path, first, last, new in job["variants"]:
        if time.monotonic() > deadline:
            break
        target = Path(path)
        lines = target.read_text().split("\n")
        text = "\n".join([*lines[: first - 1], *([] if new is None else [new]), *lines[last:]])
        with _replaced(target, text):
            yield "TOLD", number, _distinguishing_evidence(evidence)
    if (by := _distinguishing_evidence(evidence)) is not None:
        yield "VOID", f"{by} fails with the patch itself, at the end"
        return
    yield "END", [piece["name"] for piece, _, _ in evidence]


@contextlib.contextmanager
def _replaced(target: Path, text: str) -> Any:
    original = target.read_bytes()
    target.write_text(text)
    try:
        yield
    finally:
        target.write_bytes(original)


def _distinguishing_evidence(evidence: list[Any]) -> str | None:
    """The first piece of evidence that does not show all that it shows with the patch."""
    for piece, passed, limit_s in evidence:
        if not passed <= _evidence_that_holds(piece, limit_s):
            return str(piece["name"])
    return None


def _evidence_that_holds(piece: dict[str, Any], limit_s: float) -> set[str]:
    """What holds: names of tests that pass, numbers of examples with their output, a status."""
    for path, text in piece.get("files", {}).items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    if piece["kind"] == "pytest":
        return set(in_child(lambda: _pytest(piece), limit_s) or ())
    if piece["kind"] == "examples":
        found = set()
        for number, session in enumerate(piece["sessions"]):
            for at, *shown in run_session(session, min(6.0, limit_s)):
                if [number, at] in piece["held"]:
                    found.add(json.dumps([number, at, *shown[:2]]))
        return found
    return {"status 0"} if _shell(piece["command"], limit_s) else set()


def _shell(command: str, limit_s: float) -> bool:
    child = subprocess.Popen(  # noqa: S603 - the repository's own command, in its sandbox
        ["/bin/bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return child.wait(limit_s) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


class Watch:
    """A pytest plugin that keeps the names of the tests that pass."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the outcome."""
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)


def _pytest(piece: dict[str, Any]) -> list[str]:
    pytest = importlib.import_module("pytest")
    if piece["from_here"]:
        sys.path.insert(0, str(Path.cwd()))
    watch = Watch()
    pytest.main(piece["args"], plugins=[watch])
    return sorted(watch.passed - watch.failed)


def in_child(work: Callable[[], object], limit_s: float) -> Any:
    """What `work` gives in a forked child under limits; None if it did not end."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.close(read_end)
            os.set_inheritable(write_end, False)
            resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
            quiet = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(quiet, fd)
            with os.fdopen(write_end, "w") as out:
                out.write(json.dumps(work()))
        finally:
            os._exit(0)
    os.close(write_end)
    told, ended = told_by_child(pid, read_end, limit_s)
    try:
        return json.loads(told) if ended else None
    except ValueError:
        return None


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
