"""Runs inside the sandbox: probes examples, collects line coverage, screens many mutants.

The offline model sends this file's text into the sandbox as it is; the host never imports it for
its work. It uses the standard library and, where it is there, pytest. Every child runs in its own
process group under a time limit, in a scratch copy of the tree, so that the tree itself is never
touched. Usage, in the tree's root: `driver.py MODE JOB.json`; each mode says what a job holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import math
import os
import re
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

SKIP = (".git", "__pycache__", ".venv", "venv", "node_modules", ".tox", ".pytest_cache")
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
    """What `work` returns in a forked child of its own process group; None if killed or dead."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _run_child(work, read_end, write_end)
    os.close(write_end)
    chunks: list[bytes] = []
    deadline = time.monotonic() + limit_s
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


def _run_child(work: Callable[[], object], read_end: int, write_end: int) -> None:
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
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


def enter(root: Path) -> None:
    """Make a tree the place that modules are imported from."""
    os.chdir(root)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.path[:0] = import_roots(root)
    os.environ["PYTHONPATH"] = os.pathsep.join(import_roots(root))


class Watch:
    """A pytest plugin: outcome per test and, if asked, the lines that each test ran."""

    def __init__(self, root: Path, cover: bool) -> None:
        self.root = str(root) + os.sep
        self.cover = cover
        self.failed: set[str] = set()
        self.passed: set[str] = set()
        self.lines: dict[str, set[tuple[str, int]]] = {}
        self.frames: list[tuple[str, int]] = []
        self._current: set[tuple[str, int]] = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the outcome."""
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be collected counts as one failing test."""
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_exception_interact(self, node: Any, call: Any) -> None:
        """Keep the frames of a failure that are in the tree."""
        entry = call.excinfo.tb if call.excinfo else None
        while entry is not None:
            path = entry.tb_frame.f_code.co_filename
            if path.startswith(self.root) and not is_test_file(path[len(self.root) :]):
                self.frames.append((path[len(self.root) :], entry.tb_lineno))
            entry = entry.tb_next

    def pytest_runtest_setup(self, item: Any) -> None:
        """Start to collect lines for this test."""
        if self.cover:
            self._current = self.lines.setdefault(item.nodeid, set())
            sys.settrace(self._trace)

    def pytest_runtest_teardown(self, item: Any) -> None:
        """Stop collecting."""
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(self.root):
            return None
        short = path[len(self.root) :]
        if is_test_file(short):
            return None
        lines = self._current

        def local(inner: FrameType, what: str, value: object) -> Any:
            if what == "line":
                lines.add((short, inner.f_lineno))
            return local

        return local


def run_pytest(root: Path, args: list[str], cover: bool = False) -> Watch:
    """Run pytest in this process; call it in a child only."""
    import pytest

    enter(root)
    watch = Watch(root, cover)
    base = ["-q", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    code = pytest.main([*base, *args], plugins=[watch])
    if code not in (0, 1, 2):
        watch.failed.add(f"pytest itself: exit {int(code)}")
    return watch


def probe(job: dict[str, Any]) -> None:
    """Evaluate examples: {"limit_s", "only", "examples": [{id, setup, expr}]}."""
    root = Path.cwd()
    only = job.get("only")
    shown = 0
    for example in job["examples"]:
        seen = in_child(partial(_evaluate, root, example), job.get("limit_s", 10.0))
        seen = seen or {"timeout": True}
        if only and not fits(seen, only):
            continue
        print(json.dumps({"id": example["id"], **seen}))
        shown += 1
        if shown >= job.get("most", 60):
            break
    print(f"probed {len(job['examples'])} examples")


def fits(seen: dict[str, Any], only: list[str]) -> bool:
    """Whether an example raised this exception in this function, `only` being both names."""
    frames = seen.get("frames") or [["", 0, ""]]
    return seen.get("type") == only[0] and frames[-1][2] == only[1]


def _evaluate(root: Path, example: dict[str, Any]) -> dict[str, Any]:
    enter(root)
    names: dict[str, Any] = {"__name__": "example"}
    out = io.StringIO()
    stage = "setup"
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(example["setup"], "<setup>", "exec"), names)  # noqa: S102
            out.truncate(0)
            out.seek(0)
            stage = "expr"
            value = eval(compile(example["expr"], "<example>", "eval"), names)  # noqa: S307
            equal: list[bool | None] = []
            for text in example.get("expected", []):
                try:
                    wanted = eval(text, names)  # noqa: S307
                    printed = example.get("printed")
                    same = str(value) == str(wanted) if printed else value == wanted
                    equal.append(bool(same))
                except Exception:  # noqa: BLE001 - an expectation that cannot be evaluated is none
                    equal.append(None)
        return {"value": repr(value)[:600], "out": out.getvalue()[:600], "equal": equal}
    except BaseException as error:  # noqa: BLE001 - any failure of the example is the answer
        frames = [
            [f.filename.removeprefix(f"{root}/"), f.lineno, f.name]
            for f in traceback.extract_tb(error.__traceback__)
            if f.filename.startswith(str(root))
        ]
        return {
            "type": type(error).__name__,
            "kinds": [c.__name__ for c in type(error).__mro__],
            "message": str(error)[:300],
            "stage": stage,
            "frames": frames[-6:],
        }


def compare(job: dict[str, Any]) -> None:
    """How mutants behave on examples: {"limit_s", "files", "mutants", "examples"}.

    Prints one `SIGN` line for each mutant: its number, a mark that is equal for those that behave
    alike, how many examples give another result than without it, and how many newly raise.
    """
    tree = _copy_tree(Path.cwd(), 0)

    def behave() -> Any:
        def work() -> list[str]:
            seen = [_evaluate(tree, e) for e in job["examples"]]
            words = [f"raises {s['type']}" if "type" in s else s["value"] + s["out"] for s in seen]
            return [re.sub(r"0x[0-9a-f]+", "", w) for w in words]

        return in_child(work, job["limit_s"]) or []

    base = behave()
    for number, file, first, last, text in job["mutants"]:
        with mutated(tree / job["files"][file], first, last, text):
            seen = behave()
        pairs = list(zip(base, seen, strict=False))
        changed = sum(a != b for a, b in pairs)
        raised = sum(b.startswith("raises") and not a.startswith("raises") for a, b in pairs)
        mark = hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:12]
        print(f"SIGN {number} {mark} {changed} {raised}")
    shutil.rmtree(SCRATCH, ignore_errors=True)
    print(f"compared {len(job['mutants'])} changes on {len(job['examples'])} examples")


@contextlib.contextmanager
def mutated(target: Path, first: int, last: int, text: str | None) -> Iterator[None]:
    """A file with some of its lines replaced, for as long as it takes."""
    original = target.read_bytes()
    lines = original.decode().split("\n")
    new = [] if text is None else text.split("\n")
    target.write_bytes("\n".join([*lines[: first - 1], *new, *lines[last:]]).encode())
    try:
        yield
    finally:
        target.write_bytes(original)


def cover(job: dict[str, Any]) -> None:
    """Rank lines by Ochiai: {"args", "limit_s", "count": node-id prefixes that count}."""
    root = Path.cwd()
    seen = in_child(lambda: _spectrum(root, job), job["limit_s"])
    if seen is None:
        print("no coverage: the tests ended the process or ran into the time limit")
        return
    print(f"{seen['failing']} failing and {seen['passing']} passing tests covered")
    print("FRAMES " + json.dumps(seen["frames"]))
    for path, scored in seen["files"].items():
        for at in range(0, len(scored), 100):
            part = scored[at : at + 100]
            print(f"FILE {path} " + " ".join(f"{n}={s:.3f}" for n, s in part))


def _spectrum(root: Path, job: dict[str, Any]) -> dict[str, Any]:
    watch = run_pytest(root, job["args"], cover=True)
    prefixes = tuple(job["count"])
    failing = [t for t in watch.lines if t in watch.failed and t.startswith(prefixes)]
    passing = [t for t in watch.lines if t in watch.passed]
    counts: dict[tuple[str, int], list[int]] = {}
    for at, tests in enumerate((failing, passing)):
        for test in tests:
            for line in watch.lines[test]:
                counts.setdefault(line, [0, 0])[at] += 1
    files: dict[str, list[tuple[int, float]]] = {}
    ranked = sorted(
        ((f / math.sqrt(len(failing) * (f + p)), line) for line, (f, p) in counts.items() if f),
        key=lambda entry: (-entry[0], entry[1]),
    )
    for score, (path, number) in ranked[:500]:
        files.setdefault(path, []).append((number, score))
    frames = list(dict.fromkeys(watch.frames))[-12:]
    return {"failing": len(failing), "passing": len(passing), "frames": frames, "files": files}


def screen(job: dict[str, Any]) -> None:
    """Try mutants: {"repro": args, "suite": args, "total_s", "files", "mutants"}.

    `files` are paths; a mutant is [id, file index, first line, last line, new text or null];
    `repro` must pass and `suite` may fail in nothing that does not fail without the mutant.
    """
    root = Path.cwd()
    started = time.monotonic()
    workers = min(os.cpu_count() or 1, 4, max(1, len(job["mutants"])))
    trees = [_copy_tree(root, k) for k in range(workers)]
    base_repro = _outcome(trees[0], job["repro"], 60.0)
    limits = [max(2.0, 4.0 * (time.monotonic() - started))]
    base_suite = _outcome(trees[0], job["suite"], 240.0)
    limits.append(max(10.0, 4.0 * (time.monotonic() - started)))
    ends = started + job["total_s"]
    pipes = []
    for k, tree in enumerate(trees):
        read_end, write_end = os.pipe()
        if os.fork() == 0:
            share = job["mutants"][k::workers]
            with os.fdopen(write_end, "w") as lines:
                for answer in _try_all(tree, job, share, base_suite or {}, limits, ends):
                    lines.write(json.dumps(answer) + "\n")
                    lines.flush()
            os._exit(0)
        os.close(write_end)
        pipes.append(read_end)
    answers = []
    for read_end in pipes:
        with os.fdopen(read_end) as lines:
            answers += [json.loads(line) for line in lines if line.endswith("\n")]
    shutil.rmtree(SCRATCH, ignore_errors=True)
    _report(job, answers, base_repro, time.monotonic() - started)


def _try_all(
    tree: Path,
    job: dict[str, Any],
    share: list[list[Any]],
    base: dict[str, Any],
    limits: list[float],
    ends: float,
) -> Iterator[dict[str, Any]]:
    for number, file, first, last, text in share:
        if time.monotonic() > ends:
            return
        with mutated(tree / job["files"][file], first, last, text):
            seen = _outcome(tree, [*job["repro"], "-x"], limits[0])
            answer: dict[str, Any] = {"id": number, "repro": _word(seen)}
            if answer["repro"] == "passes":
                suite = _outcome(tree, job["suite"], limits[1])
                answer["new"] = _broken(suite, base)
        yield answer


def _outcome(tree: Path, args: list[str], limit_s: float) -> dict[str, Any] | None:
    def work() -> dict[str, Any]:
        watch = run_pytest(tree, args)
        return {"failed": sorted(watch.failed), "passed": sorted(watch.passed)}

    result: dict[str, Any] | None = in_child(work, limit_s)
    return result


def _word(seen: dict[str, Any] | None) -> str:
    if seen is None:
        return "hangs"
    if seen["failed"] or not seen["passed"]:
        return "fails"
    return "passes"


def _broken(seen: dict[str, Any] | None, base: dict[str, Any]) -> int:
    """How many tests that passed without the mutant do not pass with it."""
    passed = set(seen["passed"]) if seen else set()
    return len(set(base.get("passed", ())) - passed)


def _report(
    job: dict[str, Any], answers: list[dict[str, Any]], base: dict[str, Any] | None, took: float
) -> None:
    count = {word: sum(a["repro"] == word for a in answers) for word in ("fails", "hangs")}
    passing = [a for a in answers if a["repro"] == "passes"]
    keep = sorted(a["id"] for a in passing if a["new"] == 0)
    print(
        f"screened {len(answers)} of {len(job['mutants'])} in {took:.1f} s:"
        f" reproduction still fails {count['fails']}, hangs {count['hangs']},"
        f" passes {len(passing)}, of these without breaking another test {len(keep)}"
    )
    if _word(base) == "passes":
        print("note: the reproduction passes here without any change")
    print("SURVIVORS " + json.dumps(keep))


def _copy_tree(root: Path, number: int) -> Path:
    tree = SCRATCH / f"t{number}"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(root, tree, symlinks=True, ignore=shutil.ignore_patterns(*SKIP))
    return tree


def main() -> None:
    """Run one mode."""
    modes = {"probe": probe, "cover": cover, "screen": screen, "compare": compare}
    job = json.loads(Path(sys.argv[2]).read_text())
    with contextlib.suppress(ImportError):
        importlib.import_module("pytest")
    modes[sys.argv[1]](job)


if __name__ == "__main__":
    main()
