"""Test runs with pytest: outcomes, line coverage, and mutants. Runs inside the sandbox only."""

from __future__ import annotations

import ast
import configparser
import json
import math
import os
import re
import shlex
import shutil
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from .children import SCRATCH, copy_tree, enter, in_child, is_test_file, mutated, spent_s


class Watch:
    """A pytest plugin: outcome per test and, if asked, the lines that each test ran."""

    def __init__(self, root: Path, cover: bool) -> None:
        self.root = str(root) + os.sep
        self.cover = cover
        self.failed: set[str] = set()
        self.passed: set[str] = set()
        self.lines: dict[str, set[tuple[str, int]]] = {}
        self.frames: list[tuple[str, int]] = []
        self.raised = ""
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
        """Keep the frames of a failure that are in the tree, and the first exception's name."""
        if call.excinfo and not self.raised:
            self.raised = call.excinfo.typename
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


PLUGIN_OPTION = re.compile(
    r"(?:-n|--numprocesses|--maxprocesses|--dist|--tx|--cov|--no-cov|--randomly|--random-order"
    r"|--reruns|--timeout)(?:$|[-=\d])"
)
TAKES_VALUE = ("-n", "--numprocesses", "--maxprocesses", "--dist", "--tx", "--reruns", "--timeout")
CONFIGURED = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
QUOTED = re.compile(
    r"^addopts\s*=\s*(\"{3}.*?\"{3}|'{3}.*?'{3}|\[.*?\]|\"[^\n]*\"|'[^\n]*')", re.M | re.S
)


def without_plugins(root: Path) -> list[str]:
    """Options that leave the tree's own `addopts` without those of xdist, coverage and the like.

    Here tests run in this process and are watched, and the plugins may not be there at all.
    """
    for name in CONFIGURED:
        given = _addopts(root / name)
        if given is not None:
            return ["-o", "required_plugins=", "-o", f"addopts={shlex.join(plain_options(given))}"]
    return []


def _addopts(path: Path) -> list[str] | None:
    try:
        text = path.read_text("utf-8")
        if path.name == "pyproject.toml":  # by hand: Python 3.10 has no tomllib
            found = QUOTED.search(text)
            value = ast.literal_eval(found.group(1)) if found else None
        else:
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(text)
            section = "tool:pytest" if path.name == "setup.cfg" else "pytest"
            value = parser.get(section, "addopts", fallback=None)
        return shlex.split(value) if isinstance(value, str) else value
    except (OSError, ValueError, SyntaxError, configparser.Error):
        return None


def plain_options(given: list[str]) -> list[str]:
    """The options among these that pytest knows without plugins."""
    kept: list[str] = []
    rest = iter(given)
    for option in rest:
        if option == "-p":
            name = next(rest, "")
            if not re.match(r"(?:no:)?(?:xdist|randomly|pytest_cov|cov|random_order)", name):
                kept += [option, name]
        elif PLUGIN_OPTION.match(option):
            if option in TAKES_VALUE:
                next(rest, "")
        else:
            kept.append(option)
    return kept


def run_pytest(root: Path, args: list[str], cover: bool = False) -> Watch:
    """Run pytest in this process; call it in a child only."""
    import pytest

    enter(root)
    watch = Watch(root, cover)
    base = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", "--tb=no"]
    code = pytest.main([*base, *without_plugins(root), *args], plugins=[watch])
    if code not in (0, 1, 2):
        watch.failed.add(f"pytest itself: exit {int(code)}")
    return watch


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
    """Try mutants: {"repro": args, "plain", "suite": args, "total_s", "files", "mutants"}.

    `files` are paths; a mutant is [id, changes as in `mutated`];
    `repro` must pass and `suite` may fail in nothing that does not fail without the mutant.
    `total_s` is the processor time that each worker may use. `plain` is a test file that is also
    run without pytest, first and ten times as fast, if it fails there in the same way.
    """
    root = Path.cwd()
    workers = min(os.cpu_count() or 1, 4, max(1, len(job["mutants"])))
    trees = [copy_tree(root, k) for k in range(workers)]
    base_repro = _outcome(trees[0], job["repro"], 60.0)
    limits = [max(2.0, 4.0 * spent_s())]
    base_suite = _outcome(trees[0], job["suite"], 240.0)
    limits.append(max(10.0, 4.0 * spent_s()))
    plain = job.get("plain", "")
    if plain and (
        base_repro is None or _result_without_pytest(trees[0], plain, 60.0) != base_repro["raised"]
    ):
        job["plain"] = ""
    pipes = []
    for k, tree in enumerate(trees):
        read_end, write_end = os.pipe()
        if os.fork() == 0:
            share = job["mutants"][k::workers]
            with os.fdopen(write_end, "w") as lines:
                for answer in _try_all(tree, job, share, base_suite or {}, limits):
                    lines.write(json.dumps(answer) + "\n")
                    lines.flush()
                lines.write(json.dumps({"spent_s": spent_s()}) + "\n")
            os._exit(0)
        os.close(write_end)
        pipes.append(read_end)
    answers = []
    for read_end in pipes:
        with os.fdopen(read_end) as lines:
            answers += [json.loads(line) for line in lines if line.endswith("\n")]
    shutil.rmtree(SCRATCH, ignore_errors=True)
    _report(job, answers, base_repro)


def _try_all(
    tree: Path,
    job: dict[str, Any],
    share: list[list[Any]],
    base: dict[str, Any],
    limits: list[float],
) -> Iterator[dict[str, Any]]:
    for number, changes in share:
        if spent_s() > job["total_s"]:
            return
        with mutated(tree, job["files"], changes):
            answer: dict[str, Any] = {
                "id": number,
                "repro": _reproduction_result(tree, job, limits[0]),
            }
            if answer["repro"] == "passes":
                suite = _outcome(tree, job["suite"], limits[1])
                answer["new"] = _broken(suite, base)
        yield answer


def _reproduction_result(tree: Path, job: dict[str, Any], limit_s: float) -> str:
    if job.get("plain"):
        ended = _result_without_pytest(tree, job["plain"], limit_s)
        if ended != PASSES:
            return "fails" if ended else "hangs"
    return _result_word(_outcome(tree, [*job["repro"], "-x"], limit_s))


def _result_without_pytest(tree: Path, path: str, limit_s: float) -> str:
    """How the tests of a file end without pytest; empty if they do not."""
    return in_child(lambda: run_plain(tree, path), limit_s) or ""


PASSES = "passes"


def run_plain(tree: Path, path: str) -> str:
    """Run a file's test functions and cases; "passes", or the first exception's name."""
    enter(tree)
    file = tree / path
    sys.path.insert(0, str(file.parent))
    names: dict[str, Any] = {"__name__": file.stem, "__file__": str(file)}
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), names)  # noqa: S102
        for name, value in list(names.items()):
            if isinstance(value, type) and issubclass(value, unittest.TestCase):
                for case in unittest.defaultTestLoader.loadTestsFromTestCase(value):
                    case.debug()
            elif name.startswith("test") and callable(value):
                value()
    except BaseException as error:  # noqa: BLE001 - any failure is the answer
        return type(error).__name__
    return PASSES


def _outcome(tree: Path, args: list[str], limit_s: float) -> dict[str, Any] | None:
    def work() -> dict[str, Any]:
        watch = run_pytest(tree, args)
        return {
            "failed": sorted(watch.failed),
            "passed": sorted(watch.passed),
            "raised": watch.raised,
        }

    result: dict[str, Any] | None = in_child(work, limit_s)
    return result


def _result_word(seen: dict[str, Any] | None) -> str:
    if seen is None:
        return "hangs"
    if seen["failed"] or not seen["passed"]:
        return "fails"
    return "passes"


def _broken(seen: dict[str, Any] | None, base: dict[str, Any]) -> int:
    """How many tests that passed without the mutant do not pass with it."""
    passed = set(seen["passed"]) if seen else set()
    return len(set(base.get("passed", ())) - passed)


def _report(job: dict[str, Any], lines: list[dict[str, Any]], base: dict[str, Any] | None) -> None:
    answers = [line for line in lines if "id" in line]
    took = max((line["spent_s"] for line in lines if "spent_s" in line), default=0.0)
    count = {word: sum(a["repro"] == word for a in answers) for word in ("fails", "hangs")}
    passing = [a for a in answers if a["repro"] == "passes"]
    keep = sorted(a["id"] for a in passing if a["new"] == 0)
    print(
        f"screened {len(answers)} of {len(job['mutants'])} in {took:.1f} s:"
        f" reproduction still fails {count['fails']}, hangs {count['hangs']},"
        f" passes {len(passing)}, of these without breaking another test {len(keep)}"
    )
    if _result_word(base) == "passes":
        print("note: the reproduction passes here without any change")
    print("SURVIVORS " + json.dumps(keep))
