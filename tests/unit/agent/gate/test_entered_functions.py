"""Which tests can notice that a hunk is missing."""

from __future__ import annotations

import textwrap

import pytest

from agent.gate.entered_functions import changed_functions, entering_tests
from agent.testing.report import Entered, SuiteRun, TestResult

TEXT = '''
import functools

LIMIT = 3


def plain(x):
    """Twice."""
    return 2 * x


class Shop:
    rate = 1

    @property
    def total(self):
        def inner():
            return self.rate
        return inner()


@functools.cache
def kept(x, y=LIMIT):
    return x + y
'''


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("return 2 * x", "y = x\n    return 2 * y", range(7, 10)),
        ("return self.rate", "return -self.rate", range(15, 20)),
        ("LIMIT = 3", "LIMIT = 4", None),
        ("rate = 1", "rate = 2", None),
        ("def plain(x)", "def plain(x, y=0)", None),
        ("Twice.", "Two times.", None),
        ("return x + y", "return x - y", None),
        ("@property", "@staticmethod", None),
        ("return 2 * x", "return (", None),
        ("# nothing", "# else", None),
        ("class Shop", "def more():\n    pass\n\n\nclass Shop", None),
    ],
)
def test_only_a_change_within_bodies_is_narrowed_to_functions(
    old: str, new: str, lines: range | None
) -> None:
    found = changed_functions(TEXT, TEXT.replace(old, new))
    assert found == ((lines,) if lines else None)


def test_several_functions_and_a_deleted_file() -> None:
    both = TEXT.replace("2 * x", "3 * x").replace("self.rate", "0")
    assert changed_functions(TEXT, both) == (range(7, 10), range(15, 20))
    assert changed_functions(TEXT, None) is None
    assert changed_functions(None, TEXT) is None
    assert changed_functions(TEXT, textwrap.dedent(TEXT)) is None


def run(entered: Entered | None, *names: str) -> SuiteRun:
    results = tuple(TestResult(name=name, outcome="passed") for name in names)
    return SuiteRun(command="pytest", exit_code=0, output="", results=results, entered=entered)


NAMES = ("t.py::a", "t.py::b", "t.py::c", "u.py::d")


def test_tests_that_enter_or_may_enter_the_functions() -> None:
    entered = Entered(
        files=("m.py",),
        by_test={"t.py::a": (("m.py", 8),), "t.py::b": (("other.py", 8), ("m.py", 20))},
        outside_of_tests=(("m.py", 40),),
    )
    suite = run(entered, *NAMES)
    span = [range(7, 10)]
    # Of `c` and `d` nothing is known.
    assert entering_tests(suite, None, "m.py", span) == ("t.py::a", "t.py::c", "u.py::d")
    assert entering_tests(suite, ["t.py"], "m.py", span) == ("t.py::a", "t.py::c")
    assert entering_tests(suite, ["t.py"], "m.py", [range(20, 21)]) == ("t.py::b", "t.py::c")


def test_nothing_is_known_of_what_tests_share_or_where_nothing_was_watched() -> None:
    entered = Entered(
        files=("m.py",), by_test=dict.fromkeys(NAMES, ()), outside_of_tests=(("m.py", 40),)
    )
    assert entering_tests(run(entered, *NAMES), None, "m.py", [range(7, 10)]) == ()
    assert entering_tests(run(entered, *NAMES), None, "m.py", [range(39, 45)]) is None
    assert entering_tests(run(entered, *NAMES), None, "other.py", [range(7, 10)]) is None
    assert entering_tests(run(None, *NAMES), None, "m.py", [range(7, 10)]) is None


def test_more_tests_than_a_command_can_name_run_as_whole_files() -> None:
    entered = Entered(files=("m.py",), by_test={}, outside_of_tests=())
    many = run(entered, *(f"t.py::test_{n}" for n in range(201)))
    assert entering_tests(many, None, "m.py", [range(7, 10)]) is None
