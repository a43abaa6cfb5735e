"""Tests that contradict the issue: what must be seen before a person is asked. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.gate.compare import suite_check
from agent.gate.contested import contested_check, with_all_names
from agent.gate.patch.changed_file import ChangedFile, changed_texts
from agent.gate.rules.test_weakening import weakening
from agent.journal.events import ContestedTest
from agent.testing.report import Outcome, SuiteRun, TestResult

CLAIM = ContestedTest(test="tests/test_a.py::test_old", reason="the issue asks for the opposite")
OLD = CLAIM.test
CHANGED = {"tests/test_a.py": "text"}


def run(outcomes: Mapping[str, Outcome]) -> SuiteRun:
    results = tuple(TestResult(name=n, outcome=o) for n, o in outcomes.items())
    return SuiteRun(command="pytest", exit_code=0, output="", results=results)


@pytest.mark.parametrize(
    ("changed", "before", "old", "on_base", "said"),
    [
        (CHANGED, "passed", "failed", "failed", "the other way round"),
        (CHANGED, "passed", "passed", "failed", "does not contradict it"),
        (CHANGED, "passed", "error", "failed", "does not contradict it"),
        (CHANGED, "passed", "failed", "passed", "holds without the patch as well"),
        (CHANGED, "passed", "failed", "error", "holds without the patch as well"),
        (CHANGED, "failed", "failed", "failed", "does not pass without the patch"),
        ({}, "passed", "failed", "failed", "was not changed"),
        ({"tests/test_b.py": "text"}, "passed", "failed", "failed", "was not changed"),
        ({"tests/data/a.txt": "1"}, "passed", "failed", "failed", "the other way round"),
    ],
)
def test_a_contested_test_is_contradicted_by_the_patch_and_its_change_by_the_base(
    changed: dict[str, str], before: Outcome, old: Outcome, on_base: Outcome, said: str
) -> None:
    check = contested_check(
        [CLAIM], changed, [run({OLD: before})] * 2, [run({OLD: old})], run({OLD: on_base})
    )
    assert (check.ok, said in check.detail) == (said == "the other way round", True), check.detail


def test_a_name_that_the_suite_does_not_know_is_no_contested_test() -> None:
    check = contested_check([CLAIM], CHANGED, [run({"other": "passed"})], [], run({}))
    assert not check.ok and "no test that the suite runs" in check.detail


def test_only_named_tests_may_fail_and_only_in_the_base_version() -> None:
    before = [run({OLD: "passed", "tests/test_a.py::test_near": "passed"})] * 2
    after = [run({OLD: "passed", "tests/test_a.py::test_near": "passed"})]
    failing = run({OLD: "failed", "tests/test_a.py::test_near": "passed"})
    assert suite_check(before, after, [failing], {OLD: OLD}).ok
    assert not suite_check(before, after, [failing]).ok
    assert not suite_check(before, [failing], [failing], {OLD: OLD}).ok
    neighbour = run({OLD: "failed", "tests/test_a.py::test_near": "failed"})
    assert not suite_check(before, after, [neighbour], {OLD: OLD}).ok


def test_a_contested_test_may_get_another_name_and_other_cases() -> None:
    new = "tests/test_a.py::test_new"
    before = [run({f"{OLD}[1]": "passed", f"{OLD}[2]": "passed"})] * 2
    old = [run({f"{OLD}[1]": "failed", f"{OLD}[2]": "passed"})]
    renamed = {OLD: new}
    assert suite_check(before, [run({f"{new}[3]": "passed"})], old, renamed).ok
    worse = suite_check(before, [run({f"{new}[3]": "failed"})], old, renamed)
    assert not worse.ok and f"{OLD}[1]" in worse.detail
    lost = suite_check(before, [run({"tests/test_a.py::test_near": "passed"})], old, renamed)
    assert not lost.ok and "did not run" in lost.detail
    claim = CLAIM.model_copy(update={"renamed": new})
    shown = contested_check([claim], CHANGED, before, old, run({f"{new}[3]": "failed"}))
    assert shown.ok and f"now {new}" in shown.detail
    assert not contested_check([claim], CHANGED, before, old, run({f"{new}[3]": "passed"})).ok


def test_renamed_parameters_are_matched_by_position() -> None:
    before = [run({"t.py::f[<A 1>]": "passed", "t.py::f[b]": "passed"})] * 2
    assert suite_check(before, [run({"t.py::f[<A 2>]": "passed", "t.py::f[b]": "passed"})]).ok
    worse = suite_check(before, [run({"t.py::f[<A 2>]": "failed", "t.py::f[b]": "passed"})])
    assert not worse.ok and "f[<A 1>]" in worse.detail
    assert not suite_check(before, [run({"t.py::f[b]": "passed"})]).ok


BASE = """import pytest

from shop import price


@pytest.mark.parametrize("n", [1, 2])
def test_old(n):
    assert price(n) == n


def test_near():
    assert price(0) == 0
"""


WITH_FIXTURE = """@pytest.fixture
def tax():
    return 0


@pytest.mark.parametrize("n", [1, 2])
def test_old(n, tax)"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("price(n) == n", "price(n) == 2 * n", ""),
        ("[1, 2]", "[1, 3]", ""),
        ("price(0) == 0", "price(0) == 5", "test_near"),
        ("    assert price(n) == n", "    pytest.skip('no')", "asserts less"),
        ("    assert price(n) == n", "    assert True; return", "could disable tests"),
        (
            "    assert price(n) == n",
            "    globals()['test_near'] = test_old\n    assert price(n)",
            "could disable tests",
        ),
        (
            "    assert price(n) == n",
            "    price.__wrapped__ = None\n    assert price(n)",
            "could disable tests",
        ),
        (
            "    assert price(n) == n",
            "    import sys\n    sys.modules.clear()\n    assert price(n)",
            "could disable tests",
        ),
        ("[1, 2]", "[pytest.param(1, marks=pytest.mark.skip)]", "more than name values"),
        ("def test_old(n)", "def test_renamed(n)", ""),
        ("test_old(n):\n    assert price(n)", "test_new(n):\n    price(n)", "asserts less"),
        ("def test_near", "def test_renamed", "test_near was deleted"),
        ("def test_old(n)", "def test_old(n, capsys)", ""),
        ("def test_old(n)", "def test_old(n, whole_shop)", "arguments or fixtures"),
        ("def test_old(n)", "def test_old(n, capsys=None)", "arguments or fixtures"),
        ("@pytest.mark.parametrize", "@pytest.mark.skip\n@pytest.mark.parametrize", "decorators"),
        (
            '@pytest.mark.parametrize("n", [1, 2])\ndef test_old(n)',
            '@pytest.mark.parametrize("n,m", [(1, 2)])\ndef test_old(n, m)',
            "",
        ),
        ('("n", [1, 2])', '("n", [1, 2], indirect=True)', "decorators"),
        (BASE[BASE.index("@") : BASE.index(":\n")], WITH_FIXTURE, ""),
        (
            "    assert price(n) == n",
            "    with patch('shop.tax') as tax:\n        assert price(n) == n",
            "",
        ),
        (
            "    assert price(n) == n",
            "    patch('shop.tax').start()\n    assert price(n) == n",
            "could disable tests",
        ),
        ("    assert price(n)", "    row = {}\n    row['n'] = 1\n    assert price(n)", ""),
        ("    assert price(n)", "    n['n'] = 1\n    assert price(n)", "could disable tests"),
        (
            "    assert price(n)",
            "    row = {}\n    row = price.cache\n    row['n'] = 1\n    assert price(n)",
            "could disable tests",
        ),
    ],
)
def test_a_contested_test_may_say_something_else_and_reach_nothing_but_itself(
    old: str, new: str, said: str
) -> None:
    file = ChangedFile(path="tests/test_a.py", base=BASE, patched=BASE.replace(old, new))
    found = " ".join(weakening(file, ["tests/test_a.py::test_old"]))
    assert (said in found) and bool(found) == bool(said), found
    assert weakening(file), "what is not named stays as it is"


MIXIN = """import unittest


class Checks:
    def test_old(self):
        assert self.make() == 1


class Further(Checks):
    pass


class TestA(unittest.TestCase, Further):
    make = int


class TestB(Checks, unittest.TestCase):
    make = str


class TestC(Checks, unittest.TestCase):
    def test_old(self):
        assert True
"""


@pytest.mark.parametrize("named", ["TestA", "TestB", "Checks"])
def test_an_inherited_test_is_contested_in_all_classes_that_have_it(named: str) -> None:
    path = "tests/test_a.py"
    new = MIXIN.replace("self.make() == 1", "self.make() == 2")
    file = changed_texts(path, MIXIN, new)
    claim = ContestedTest(test=f"{path}::{named}::test_old", reason="it is 2")
    assert weakening(file) != () and weakening(file, [claim.test]) == ()
    tests = {name: f"{path}::{name}::test_old" for name in ("Checks", "Further", "TestA", "TestB")}
    assert {c.test for c in with_all_names([claim], [file])} == set(tests.values())
    before = [run({tests["TestA"]: "passed", tests["TestB"]: "passed"})]
    known = with_all_names([claim], [file], before)
    assert {c.test for c in known} == {tests["TestA"], tests["TestB"]}
    own = claim.model_copy(update={"test": f"{path}::TestC::test_old"})
    assert weakening(file, [own.test]) != ()
    assert [c.test for c in with_all_names([own], [file])] == [own.test]
