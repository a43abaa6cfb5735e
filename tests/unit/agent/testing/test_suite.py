"""Running tests through the `Sandbox` seam, over a temporary folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from agent.testing.suite import NoTests, find_test_command, run_suite
from tests.doubles.local_sandbox import LocalSandbox

Make = Callable[[dict[str, str]], LocalSandbox]

CALC = "def double(n):\n    return n * 2\n"
ONE_TEST = "from calc import double\ndef test_a():\n    assert double(1) == 2\n"
CLASSES = """
import unittest
from calc import double

class DoubleTest(unittest.TestCase):
    def test_two(self):
        self.assertEqual(double(2), 4)
    def test_parts(self):
        for n in (1, 2):
            with self.subTest(n=n):
                self.assertEqual(double(n), 2)
    @unittest.skip("not today")
    def test_later(self):
        pass
"""


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[LocalSandbox] = []

    def opening(files: dict[str, str]) -> LocalSandbox:
        made.append(LocalSandbox(files))
        return made[-1]

    yield opening
    for box in made:
        await box.close()


async def test_pytest_results_name_tests_as_pytest_takes_them_back(make: Make) -> None:
    box = make(
        {
            "src/calc/__init__.py": CALC,
            "tests/test_calc.py": """
import pytest
from calc import double

class TestDouble:
    @pytest.mark.parametrize("n", ["a b", "c::d"])
    def test_text(self, n):
        assert double(n) == n + n

def test_wrong():
    assert double(2) == 5

@pytest.fixture
def broken():
    raise RuntimeError("no fixture")

def test_errs(broken):
    pass

@pytest.mark.skip
def test_skipped():
    pass
""",
            "tests/test_bad.py": "import nowhere_to_be_found\n",
        }
    )
    command = await find_test_command(box)
    run = await run_suite(box, command)
    assert run.outcomes == {
        "tests/test_calc.py::TestDouble::test_text[a b]": "passed",
        "tests/test_calc.py::TestDouble::test_text[c::d]": "passed",
        "tests/test_calc.py::test_wrong": "failed",
        "tests/test_calc.py::test_errs": "error",
        "tests/test_calc.py::test_skipped": "skipped",
        "tests/test_bad.py": "error",
    }
    chosen = "tests/test_calc.py::TestDouble::test_text[a b]\ntests/test_calc.py::test_wrong"
    again = await run_suite(box, command, chosen)
    assert again.outcomes == {
        "tests/test_calc.py::TestDouble::test_text[a b]": "passed",
        "tests/test_calc.py::test_wrong": "failed",
    }
    assert again.exit_code == 1
    assert again.failing == ("tests/test_calc.py::test_wrong",)
    assert "assert 4 == 5" in again.results[1].message
    assert await box.diff() == ""


@pytest.mark.parametrize(
    "layout",
    [
        {
            "calc.py": CALC,
            "test_calc.py": ONE_TEST,
        },
        {
            "calc.py": CALC,
            "tests/test_calc.py": ONE_TEST,
        },
        {
            "src/calc.py": CALC,
            "tests/test_calc.py": ONE_TEST,
        },
        {
            "calc.py": CALC,
            "tests.py": ONE_TEST,
        },
        {
            "pkg/__init__.py": "",
            "pkg/calc.py": CALC,
            "pkg/test/__init__.py": "",
            "pkg/test/calc_test.py": ONE_TEST.replace("calc", "pkg.calc"),
        },
    ],
    ids=["root", "tests", "src", "tests.py", "inside the package"],
)
async def test_usual_layouts_run_uninstalled(make: Make, layout: dict[str, str]) -> None:
    box = make(layout)
    run = await run_suite(box, await find_test_command(box))
    assert list(run.outcomes.values()) == ["passed"], run.output


@pytest.mark.parametrize("installed", [True, False])
async def test_nextest_is_asked_for_where_a_file_configures_it(make: Make, installed: bool) -> None:
    box = make({"Cargo.toml": "[package]\n", ".config/nextest.toml": ""})
    (box.scratch / "cargo").write_text(f"#!/bin/sh\nexit {int(not installed)}\n")
    (box.scratch / "cargo").chmod(0o755)
    await box.run("export PATH=/tmp:$PATH")
    expected = "cargo nextest run" if installed else "cargo test"
    assert await find_test_command(box) == expected


async def test_scripts_of_plain_assertions(make: Make) -> None:
    box = make({"calc.py": CALC, "tests/check.py": "import calc\nassert calc.double(1) == 3\n"})
    command = await find_test_command(box)
    run = await run_suite(box, command)
    assert command == "python3 tests/check.py"
    assert (run.exit_code, run.results) == (1, ())
    assert "AssertionError" in run.output


async def test_where_warnings_are_errors_tests_that_are_made_elsewhere_keep_their_names(
    make: Make,
) -> None:
    box = make(
        {
            "pytest.ini": "[pytest]\nfilterwarnings = error\n",
            "tests/__init__.py": "def made(self):\n    assert True\n",
            "tests/test_a.py": "from tests import made\n\nclass TestA:\n    test_made = made\n",
        }
    )
    run = await run_suite(box, "python3 -m pytest -q")
    assert run.outcomes == {"tests/test_a.py::TestA::test_made": "passed"}, run.output


async def test_unittest_gives_results_per_test(make: Make) -> None:
    box = make({"calc.py": CALC, "tests/__init__.py": "", "tests/test_calc.py": CLASSES})
    command = "python3 -m unittest discover -s tests -p 'test*.py'"
    run = await run_suite(box, command)
    assert run.outcomes == {
        "test_calc.DoubleTest.test_two": "passed",
        "test_calc.DoubleTest.test_parts": "failed",
        "test_calc.DoubleTest.test_later": "skipped",
    }, run.output
    assert run.exit_code == 1
    one = await run_suite(box, "python3 -m unittest", "tests.test_calc.DoubleTest.test_two")
    assert one.outcomes == {"tests.test_calc.DoubleTest.test_two": "passed"}, one.output


async def test_a_configured_command_that_ends_in_pytest_still_gives_results(make: Make) -> None:
    box = make(
        {
            "calc.py": CALC,
            "test_calc.py": ONE_TEST,
            "check.sh": "python3 -m pytest -x\n",
        }
    )
    run = await run_suite(box, "sh check.sh")
    assert run.outcomes == {"test_calc.py::test_a": "passed"}
    own = await run_suite(box, "python3 -m pytest --junitxml=out.xml")
    assert own.outcomes == {"test_calc.py::test_a": "passed"}


async def test_a_run_leaves_neither_files_nor_shell_state(make: Make) -> None:
    box = make(
        {"test_a.py": "def test_a():\n    open('left.txt', 'w').write('x')\n    assert True\n"}
    )
    run = await run_suite(box, "cd /workspace && export MARK=1 && python3 -m pytest")
    assert run.exit_code == 0
    assert await box.diff() == ""
    assert (await box.run('echo "[$MARK]"; ls /tmp')).text.strip() == "[]"


async def test_the_time_limit_is_kept(make: Make) -> None:
    box = make({"test_a.py": "import time\ndef test_a():\n    time.sleep(60)\n"})
    run = await run_suite(box, "python3 -m pytest", timeout_s=2)
    assert run.timed_out and run.exit_code is None and run.results == ()
    assert run.duration_s < 20


async def test_a_process_that_ends_itself_leaves_no_results(make: Make) -> None:
    box = make({"test_a.py": "import os\ndef test_a():\n    os._exit(0)\n"})
    run = await run_suite(box, "python3 -m pytest")
    assert (run.exit_code, run.results) == (0, ())


async def test_no_tests_is_said_clearly(make: Make) -> None:
    box = make({"calc.py": CALC, "README.md": "hello"})
    with pytest.raises(NoTests, match="No tests were found"):
        await find_test_command(box)


WATCHED = {
    "calc.py": """
def helper(n):
    return n

def double(n):
    return helper(n) * 2

def at_import():
    return 1

ONE = at_import()
""",
    "test_calc.py": """
import subprocess
import sys
import threading

import pytest
from calc import double, helper

@pytest.fixture
def made():
    return helper(3)

def test_enters():
    assert double(1) == 2

def test_thread():
    thread = threading.Thread(target=helper, args=(1,))
    thread.start()
    thread.join()

def test_set_up(made):
    assert made == 3

def test_nothing():
    pass

def test_elsewhere():
    subprocess.run([sys.executable, "-c", "pass"], check=True)

def test_own_tracer():
    sys.settrace(lambda *_: None)
    helper(1)
    sys.settrace(None)
""",
    "run_as_script.py": "def one():\n    pass\none()\n",
    "test_script.py": """
import runpy
import run_as_script

def test_script():
    runpy.run_path(run_as_script.__file__)
""",
}


async def test_a_run_says_which_functions_each_test_entered(make: Make) -> None:
    watched = ["calc.py", "run_as_script.py", "not_there.py"]
    box = make(WATCHED)
    run = await run_suite(box, "python3 -m pytest -q", watched=watched)
    assert {r.outcome for r in run.results} == {"passed"}
    assert run.entered is not None
    # One file is also run past the import system, another never: of these nothing is known.
    assert run.entered.files == ("calc.py",)
    helper, double, at_import = (("calc.py", line) for line in (2, 5, 8))
    assert {helper, at_import} <= set(run.entered.outside_of_tests)
    told = {name.partition("::")[2]: set(of) for name, of in run.entered.by_test.items()}
    assert told["test_enters"] == {double, helper}
    assert told["test_thread"] == {helper}
    assert told["test_own_tracer"] == {helper}
    assert told["test_set_up"] == set()
    assert told["test_nothing"] == set()
    # What is reached by another program is not known.
    assert "test_elsewhere" not in told


async def test_a_run_that_is_not_watched_says_nothing_of_functions(make: Make) -> None:
    assert (await run_suite(make(WATCHED), "python3 -m pytest -q")).entered is None


SET = """
import pytest

@pytest.mark.parametrize("word", {f"word {n}" for n in range(9)})
def test_word(word):
    assert word != "word 3"
"""


async def test_cases_of_a_set_have_one_order_where_runs_are_compared(make: Make) -> None:
    box = make({"test_words.py": SET})
    one = await run_suite(box, "python3 -m pytest -q", fixed_hashes=True)
    two = await run_suite(box, "python3 -m pytest -q", fixed_hashes=True)
    assert len(one.results) == 9
    assert [r.name for r in one.results] == [r.name for r in two.results]
