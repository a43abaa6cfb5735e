"""Code that does something else when it is tested is seen; tests that need their runner are not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.gate.judge import judge
from agent.gate.plain.check import plain_check
from agent.gate.plain.python import PlainJob, plain_job, run_plainly
from agent.gate.plain.records import ELSEWHERE, ENDED, REACHED, PlainOutcome
from agent.journal.events import GateJudged, ReproductionDeclared
from sandbox.protocol import Sandbox
from tests.doubles import gate_case as case
from tests.doubles.local_sandbox import LocalSandbox

TEST = "tests/test_a.py::test_it"


async def judged(
    changes: Mapping[str, str | None], declared: ReproductionDeclared = case.REPRODUCTION
) -> GateJudged:
    async def open_fresh() -> Sandbox:
        return LocalSandbox(dict(case.REPOSITORY))

    return await judge(case.submission(changes, declared), open_fresh)


@pytest.mark.parametrize("honest", [False, True])
async def test_who_looks_whether_a_test_runs_is_found_out(honest: bool) -> None:
    watching = '(rows if sys.argv[0].endswith("__main__.py") else rows[1:])'
    change = "import sys\n\n" + case.STATS.replace("rows[1:]", "rows" if honest else watching)
    verdict = await judged({"shop/stats.py": change})
    assert (verdict.verdict == "proven") is honest, verdict.reasons
    assert honest or "still fails with the patch" in " ".join(verdict.reasons)


async def test_a_script_is_run_so_as_well() -> None:
    watching = '(rows if len(list(Path().glob("*"))) > 1 else rows[1:])'
    change = "from pathlib import Path\n\n" + case.STATS.replace("rows[1:]", watching)
    verdict = await judged({"shop/stats.py": change}, case.SCRIPT)
    assert verdict.verdict == "unproven"
    assert "still fails with the patch" in " ".join(verdict.reasons)


async def test_the_common_forms_of_tests_run_without_a_runner() -> None:
    text = """
import logging
import os
import sys
import unittest
import warnings
import pytest
from pytest import approx, mark

@mark.parametrize("a, b", [(1, 2), (2, 3)])
@pytest.mark.parametrize("c", [1])
def test_cases(a, b, c):
    assert (a + c == b) and "pytest" not in sys.modules

def test_raises():
    with pytest.raises(ValueError, match="invalid") as info:
        int("x")
    assert info.type is ValueError and 0.1 + 0.2 == approx(0.3)

def test_needs_a_plugin(mocker):
    assert False

@pytest.mark.skipif(True, reason="")
def test_skipped():
    assert False

@pytest.fixture(params=[1, pytest.param(2)])
def number(request, base):
    yield request.param + base
    made.append(request.param)

@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALWAYS", "1")

made = []

@pytest.mark.usefixtures("always")
async def test_fixtures(number, tmp_path, capsys: pytest.CaptureFixture[str], caplog):
    print("shown")
    logging.getLogger("a").warning("told")
    with pytest.warns(UserWarning, match="w"):
        warnings.warn("w")
    assert capsys.readouterr().out == "shown\\n" and caplog.messages == ["told"]
    assert os.environ["ALWAYS"] == "1" and tmp_path.is_dir()
    assert number + len(made) == 13

def test_that_it_is_undone():
    assert "ALWAYS" in os.environ and made == [1, 2]

class TestOfPytest:
    def setup_method(self):
        self.n = 1
    def test_one(self):
        assert self.n == 2

class OfUnittest(unittest.TestCase):
    def setUp(self):
        self.n = 1
    def test_one(self):
        self.assertEqual(self.n, 1)
"""
    conftest = "import pytest\n\n@pytest.fixture\ndef base():\n    return 10 + 2\n"
    files = {"conftest.py": conftest, "tests/__init__.py": "", "tests/test_a.py": text}
    box = LocalSandbox(files)
    try:
        seen = await run_plainly(box, PlainJob(files=("tests/test_a.py",)))
    finally:
        await box.close()
    assert {name.partition("::")[2]: found.outcome for name, found in seen.items()} == {
        "(loading)": "passed",
        "test_cases[0]": "passed",
        "test_cases[1]": "passed",
        "test_raises": "passed",
        "test_fixtures[0]": "passed",
        "test_fixtures[1]": "failed",
        "test_that_it_is_undone": "passed",
        "TestOfPytest::test_one": "failed",
        "OfUnittest::test_one": "passed",
    }


def failed(line: int, raised: str = "AssertionError") -> dict[str, PlainOutcome]:
    return {TEST: PlainOutcome(outcome="failed", raised=raised, line=line)}


PASSED = {TEST: PlainOutcome(outcome="passed")}
SHOWN = "tests/test_a.py:5: AssertionError"


@pytest.mark.parametrize(
    ("base", "patched", "shown", "well"),
    [
        (failed(5), failed(5), SHOWN, False),
        (failed(5), failed(5, "TypeError"), SHOWN, False),
        (PASSED, failed(5), "", False),
        (failed(5), PASSED, SHOWN, True),
        # It needs its runner: it does not fail as the bug does, or gets beyond it.
        (failed(3, "FileNotFoundError"), failed(3, "FileNotFoundError"), SHOWN, True),
        (failed(5), failed(6), SHOWN, True),
        ({}, failed(5), SHOWN, True),
        # It ends its process, or is left out, only with the patch.
        (failed(5), failed(0, ENDED), SHOWN, False),
        (failed(0, ENDED), failed(0, ENDED), SHOWN, True),
        (failed(5), {TEST: PlainOutcome(outcome="left out")}, SHOWN, False),
        ({TEST: PlainOutcome(outcome="left out")}, failed(5), SHOWN, True),
        ({}, {f"tests/test_a.py::gc.get_objects{REACHED}": failed(0)[TEST]}, "", False),
    ],
)
def test_only_a_difference_that_the_patch_makes_counts(
    base: dict[str, PlainOutcome], patched: dict[str, PlainOutcome], shown: str, well: bool
) -> None:
    assert plain_check(("tests/test_a.py",), base, patched, shown).ok is well


def test_code_that_looked_for_its_callers_before_may_tell_names_apart() -> None:
    there = {f"{TEST}{ELSEWHERE}": failed(5)[TEST]}
    assert not plain_check(("tests/test_a.py",), there, there, SHOWN).ok
    looks = {f"tests/test_a.py::sys._getframe{REACHED}{ELSEWHERE}": failed(0)[TEST]}
    assert plain_check(("tests/test_a.py",), there | looks, there | looks, SHOWN).ok


def test_what_is_run() -> None:
    assert plain_job("npm test", ("test/a.js",), ("test/b.js",)) is None
    assert plain_job("python3 /tmp/r.py", ("/tmp/r.py",), ()) == PlainJob(
        files=(), scripts=("/tmp/r.py",), elsewhere=("/tmp/r.py",)
    )
    assert plain_job("python3 -m pytest x", ("tests/test_x.py",), ("tests/test_y.py",)) == PlainJob(
        files=("tests/test_x.py", "tests/test_y.py"), elsewhere=("tests/test_x.py",)
    )


KNOWN_BY = """
import importlib.util, os, resource, sys, threading, time, warnings
from importlib import metadata

LOADED = time.monotonic(), time.time()

def caller():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.warn("here", stacklevel=3)
    return seen[0].filename

def functions():
    frame, found = sys._getframe(), []
    while frame is not None:
        found.append(frame.f_code.co_name)
        frame = frame.f_back
    return found

def marks():
    main = vars(sys.modules["__main__"])
    return {
        "file": "test" in caller(),
        "function": any(name.startswith("test_") for name in functions()),
        "module": any("test_a" in name for name in sys.modules),
        "arguments": sys.argv[0] == "-c",
        "main": "__file__" not in main,
        "hashes": hash("a") == hash_of_a_with_seed_0,
        "limit": resource.getrlimit(resource.RLIMIT_CPU)[0] != resource.RLIM_INFINITY,
        "session": os.getsid(0) == os.getpid(),
        "bytecode": sys.pycache_prefix is not None,
        "environment": len(os.environ) < 8,
        "thread": threading.current_thread() is threading.main_thread(),
        "moment": time.monotonic() - LOADED[0] < 60 or time.time() - LOADED[1] < 60,
        "tests": os.path.isdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tests")),
        "runner": importlib.util.find_spec("pytest") is not None,
        "installed": "pytest" in {d.metadata["Name"] for d in metadata.distributions()},
        "path": __file__.startswith("/workspace"),
    }

hash_of_a_with_seed_0 = 4644417185603328019
"""


async def test_elsewhere_nothing_is_as_it_is_in_the_tree() -> None:
    text = "import where\n\ndef test_it():\n    assert not any(where.marks().values())\n"
    box = LocalSandbox({"where.py": KNOWN_BY, "tests/test_a.py": text})
    path = "tests/test_a.py"
    try:
        seen = await run_plainly(box, PlainJob(files=(path,), elsewhere=(path,), seed=3))
    finally:
        await box.close()
    assert seen[f"{path}::test_it"].outcome == "failed"
    assert seen[f"{path}::test_it{ELSEWHERE}"].outcome == "passed"
