"""The driver that the offline model sends into the sandbox, on a small tree, in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.models.offline import sandboxed
from agent.models.offline.policy import DRIVER

CALC = """def last(items):
    n = len(items)
    return items[n - 2]


def wait(n):
    while n > 0:
        n -= 1
    return n
"""
TESTS = """from calc import last, wait


def test_last():
    assert last([1, 2]) == 2


def test_wait():
    assert wait(3) == 0
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "tests").mkdir(parents=True)
    (root / "calc.py").write_text(CALC)
    (root / "tests" / "test_calc.py").write_text(TESTS)
    return root


def run(tree: Path, mode: str, job: dict[str, Any]) -> str:
    place = tree.parent / "home" / "patchwright_search"
    place.mkdir(parents=True, exist_ok=True)
    for name in DRIVER:
        (place / name).write_text((Path(sandboxed.__file__).parent / name).read_text())
    (place / "job.json").write_text(json.dumps(job))
    module = "patchwright_search.driver"
    command = [sys.executable, "-m", module, mode, str(place / "job.json")]
    environment = {**os.environ, "PYTHONPATH": str(place.parent)}
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_probe_tells_values_exceptions_and_endless_loops(tree: Path) -> None:
    examples = [
        {"id": 0, "setup": "from calc import last", "expr": "last([1, 2])", "expected": ["2", "1"]},
        {"id": 1, "setup": "from calc import last", "expr": "last([])"},
        {"id": 2, "setup": "import itertools", "expr": "sum(itertools.count())"},
    ]
    out = run(tree, "probe", {"limit_s": 1.0, "examples": examples}).splitlines()
    seen = [json.loads(line) for line in out if line.startswith("{")]
    assert seen[0]["value"] == "1"
    assert seen[0]["equal"] == [False, True]
    assert seen[1]["type"] == "IndexError"
    assert seen[1]["frames"] == [["calc.py", 3, "last"]]
    assert seen[2] == {"id": 2, "timeout": True}


def test_cover_ranks_the_lines_that_only_the_failing_test_runs(tree: Path) -> None:
    job = {"args": ["tests"], "count": ["tests/test_calc.py::test_last"], "limit_s": 60}
    out = run(tree, "cover", job)
    assert "1 failing and 1 passing" in out
    assert "FILE calc.py 2=1.000 3=1.000" in out


@pytest.mark.parametrize(
    "reproduction",
    [
        "def test_last():\n    assert last([1, 2]) == 2\n",
        "import unittest\nclass Last(unittest.TestCase):\n    def test_last(self):\n"
        "        self.assertEqual(last([1, 2]), 2)\n",
        # Not to be run without pytest: there it would fail whatever the code does.
        "import pytest\n@pytest.fixture\ndef pair():\n    return [1, 2]\n"
        "def test_last(pair):\n    assert last(pair) == 2\n",
    ],
)
def test_a_reproduction_that_runs_without_pytest_tells_the_same(
    tree: Path, reproduction: str
) -> None:
    (tree / "tests" / "test_own.py").write_text("from calc import last\n" + reproduction)
    job = {
        "repro": ["tests/test_own.py"],
        "plain": "tests/test_own.py",
        "suite": ["tests/test_calc.py"],
        "total_s": 60,
        "files": ["calc.py"],
        "mutants": [
            [0, [[0, 3, 3, "    return items[n - 1]"]]],
            [1, [[0, 3, 3, "    return items[n]"]]],
            [2, [[0, 2, 2, "    while True: pass"]]],
            [3, [[0, 3, 3, "    import os; os._exit(0)"]]],
        ],
    }
    out = run(tree, "screen", job)
    assert "still fails 1, hangs 2, passes 1" in out
    assert "SURVIVORS [0]" in out


def test_screen_keeps_what_passes_everything_and_kills_what_hangs(tree: Path) -> None:
    before = {p: p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    job = {
        "repro": ["tests/test_calc.py::test_last"],
        "suite": ["tests/test_calc.py"],
        "total_s": 60,
        "files": ["calc.py"],
        "mutants": [
            [0, [[0, 3, 3, "    return items[n - 1]"]]],
            [1, [[0, 3, 3, "    return items[n]"]]],
            [2, [[0, 2, 2, "    while True: pass"]]],
            [
                3,
                [[0, 1, 8, "def last(items):\n    return items[-1]\n\ndef wait(n):\n    return 1"]],
            ],
            [4, [[0, 2, 2, None]]],
            [5, [[0, 3, 3, "    import os; os._exit(0)"]]],
        ],
    }
    out = run(tree, "screen", job)
    assert "screened 6 of 6" in out
    assert "hangs 2" in out  # one loops, one ends the process without an answer
    assert "passes 2, of these without breaking another test 1" in out
    assert "SURVIVORS [0]" in out
    assert {p: p.read_bytes() for p in tree.rglob("*") if p.is_file()} == before
    assert not (tree.parent / "home" / "patchwright_search" / "trees").exists()


def test_compare_marks_what_behaves_alike(tree: Path) -> None:
    job = {
        "limit_s": 10,
        "files": ["calc.py"],
        "mutants": [
            [0, [[0, 3, 3, "    return items[n - 1]"]]],
            [1, [[0, 3, 3, "    return items[-1]"]]],
            [2, [[0, 3, 3, "    return items[1]"]]],
        ],
        "examples": [
            {"setup": "from calc import last", "expr": e} for e in ("last([1])", "last([1, 2, 3])")
        ],
    }
    lines = [
        line.split() for line in run(tree, "compare", job).splitlines() if line.startswith("SIGN")
    ]
    assert lines[0][2] == lines[1][2] != lines[2][2]
    assert [line[4] for line in lines] == ["0", "0", "1"]


def test_what_raises_something_else_than_before_no_longer_crashes_in_the_same_way(
    tree: Path,
) -> None:
    job = {
        "limit_s": 10,
        "crashed": True,
        "files": ["calc.py"],
        "mutants": [
            [0, [[0, 3, 3, "    return items[-1]"]]],
            [1, [[0, 3, 3, "    return items[-1] if n else None[0]"]]],
        ],
        "examples": [{"setup": "from calc import last", "expr": "last([])"}],
    }
    lines = [
        line.split() for line in run(tree, "compare", job).splitlines() if line.startswith("SIGN")
    ]
    assert [line[-1] for line in lines] == ["0", "1"]


def test_the_shortest_input_on_which_changes_differ_is_shown(tree: Path) -> None:
    job = {
        "limit_s": 10,
        "files": ["calc.py"],
        "mutants": [
            [0, [[0, 3, 3, "    return items[-1]"]]],
            [1, [[0, 3, 3, "    return items[1]"]]],
            [2, [[0, 3, 3, "    return items[n - 1]"]]],
        ],
        "examples": [
            {"setup": "from calc import last", "expr": e}
            for e in ("last([1, 2])", "last([1, 2, 3, 4])", "last([1, 2, 3])")
        ],
    }
    lines = [line for line in run(tree, "differ", job).splitlines() if line.startswith("DIFFERS")]
    assert lines == ['DIFFERS 1 [2, "3", "2"]']
