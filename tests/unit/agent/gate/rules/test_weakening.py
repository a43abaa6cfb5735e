"""Existing tests stay as they are; new ones are welcome."""

from __future__ import annotations

import pytest

from agent.gate.patch.changed_file import ChangedFile, changed_file
from agent.gate.patch.parse import parse_patch
from agent.gate.rules.test_options import option_refusals
from agent.gate.rules.test_weakening import edited_tests, weakening
from tests.doubles.gate_case import patch

BASE = '''"""Tests."""
import unittest
import pytest
from calc import double, half

LIMIT = 5

@pytest.fixture
def four():
    return 4

@pytest.mark.parametrize("n", [1, 2])
def test_double(n, four):
    """Doubles."""
    result = double(n)
    assert result == n * 2
    assert double(four) == 8

def check(n):
    assert half(n) * 2 == n

CASES = [1]
ALLOWED = [1]

@pytest.mark.parametrize('n', CASES)
def test_cases(n):
    assert n in ALLOWED
    for m in (1, 2):
        assert double(m)

class HalfTest(unittest.TestCase):
    def test_half(self):
        self.assertEqual(half(4), 2)
        with self.assertRaises(ValueError):
            half("x")
'''


def changed(path: str, base: str | None, patched: str | None) -> ChangedFile:
    text = patch({path: patched}, {} if base is None else {path: base})
    return changed_file(parse_patch(text)[0], base, patched)


def reasons(old: str, new: str) -> str:
    assert old in BASE
    return " ".join(weakening(changed("tests/test_calc.py", BASE, BASE.replace(old, new, 1))))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("def test_double", "def _test_double", "test_double was deleted"),
        ("def test_half", "def half_test", "HalfTest.test_half was deleted"),
        ("class HalfTest", "@unittest.skip('x')\nclass HalfTest", "skipped"),
        ("def test_double", "@pytest.mark.xfail\ndef test_double", "expected to fail"),
        ("def test_double", "@disabled\ndef test_double", "new decorator"),
        ("[1, 2]", "[1]", "parametrize"),
        ("    assert double(four) == 8\n", "", "was changed or loosened"),
        ("double(four) == 8", "double(four) == 9", "was changed or loosened"),
        ("double(four) == 8", "double(four) >= 8", "was changed or loosened"),
        ("assert result == n * 2", "assert result", "was changed or loosened"),
        ("result = double(n)", "result = n * 2", "changed or deleted"),
        ("assertEqual(half(4), 2)", "assertTrue(True)", "was changed or loosened"),
        ("assertRaises(ValueError)", "assertRaises(Exception)", "was changed or loosened"),
        ("    result = double(n)\n", "    return\n    result = double(n)\n", "could disable"),
        ("    result = double(n)\n", "    pytest.skip()\n    result = double(n)\n", "disable"),
        (
            "    result = double(n)\n",
            "    import sys; sys.exit(0)\n    result = double(n)\n",
            "dis",
        ),
        (
            "    result = double(n)\n    assert result == n * 2\n",
            "    try:\n        result = double(n)\n        assert result == n * 2\n"
            "    except AssertionError:\n        pass\n",
            "catches exceptions",
        ),
        ("return 4", "return 0", "four was changed"),
        ("assert half(n) * 2 == n", "pass", "check were deleted"),
        ("LIMIT = 5", "LIMIT = 6", "`LIMIT = 5` was changed"),
        ("LIMIT = 5", "LIMIT = 5\ndel LIMIT", "tests are loaded"),
        ("LIMIT = 5", "LIMIT = 5\npytestmark = pytest.mark.skip", "tests are loaded"),
        ("LIMIT = 5", "LIMIT = 5\nimport sys\nsys.exit(0)", "tests are loaded"),
        ("LIMIT = 5", "LIMIT = 5\nunittest.TestCase.assertEqual = print", "tests are loaded"),
        ("LIMIT = 5", "LIMIT = 5\npytest.importorskip('nothing')", "tests are loaded"),
        (
            "LIMIT = 5",
            "LIMIT = 5\n@pytest.fixture(autouse=True)\ndef quiet(): ...",
            "did not ask for it",
        ),
        ("import double, half", "import double\nfrom fake import half", "changed or deleted"),
        ("def test_half", "def setUp(self): self.skipTest('x')\n    def test_half", "was added"),
        ("unittest.TestCase)", "object)", "other base classes"),
        ("ALLOWED = [1]", "ALLOWED = [1, 2]", "was changed"),
        ("CASES = [1]", "CASES = [2]", "was changed"),
        ("(1, 2):", "(1,):", "was changed or loosened"),
        ("[1, 2]", "[1, 2, pytest.param(3, marks=pytest.mark.skip)]", "parametrize"),
        ("    result = double(n)\n", "    n = 0\n    result = double(n)\n", "could disable it"),
        (
            "    assert result",
            "    with two() as result: pass\n    assert result",
            "could disable it",
        ),
        ("    assert result", "    for result in []: pass\n    assert result", "could disable it"),
        (
            "    result = double(n)\n",
            "    four.x = 1\n    result = double(n)\n",
            "could disable it",
        ),
        ('            half("x")', '            raise ValueError\n            half("x")', "disable"),
        ("def test_half", "def assertEqual(self, *a): ...\n    def test_half", "was added"),
        (
            "    result = double(n)\n",
            "    mocker.patch('calc.double')\n    result = double(n)\n",
            "dis",
        ),
        ("from calc import double, half", "from calc import double", "was changed or deleted"),
    ],
)
def test_weaker_python_tests(old: str, new: str, reason: str) -> None:
    assert reason in reasons(old, new)


def test_a_submodule_imported_beside_its_package_hides_nothing() -> None:
    more = BASE.replace("import unittest\n", "import unittest\nimport unittest.mock\n")
    assert weakening(changed("tests/test_calc.py", BASE, more)) == ()
    for hidden in ("unittest = None\n", "import fake as unittest\n"):
        refused = weakening(changed("tests/test_calc.py", BASE, more + hidden))
        assert "unittest is defined again" in " ".join(refused)


def test_a_later_definition_that_hides_a_test() -> None:
    more = BASE + "\ndef test_double():\n    pass\n"
    assert "defined again" in " ".join(weakening(changed("tests/test_calc.py", BASE, more)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 5", "LIMIT = 5\nOTHER = 6"),
        ("import unittest", "import unittest\nimport math"),
        ("import double, half", "import double, half, third"),
        ('    """Doubles."""\n', ""),
        ("[1, 2]", "[1, 2, -3]"),
        ("    assert result == n * 2\n", "    assert result == n * 2\n    assert result\n"),
        ("def check(n)", "def test_new():\n    assert double(0) == 0\n\ndef check(n)"),
        ("def test_half", "def test_third(self):\n        pass\n\n    def test_half"),
        ("result == n * 2", "(result ==\n            n * 2)"),
        (
            "    result = double(n)\n",
            "    other = double(0)\n    assert not other\n    result = double(n)\n",
        ),
        ('            half("x")', '            half("x")\n            half(None)'),
        ("def test_half", "def assert_even(self, n):\n        pass\n\n    def test_half"),
        ("[1, 2]", "[0, 1, 5, 2]"),
        ("CASES = [1]", "CASES = [1, 2]"),
        ("(1, 2):", "(1, 2, 3):"),
    ],
)
def test_added_tests_and_mere_layout_are_fine(old: str, new: str) -> None:
    assert reasons(old, new) == ""


def test_deleted_files_data_and_broken_syntax() -> None:
    assert "deleted" in weakening(changed("tests/test_a.py", BASE, None))[0]
    assert "expected data" in weakening(changed("tests/out.json", "1\n", "2\n"))[0]
    assert weakening(changed("tests/out.txt", "1\n2\n", "1\n3\n2\n")) == ()
    assert "expected data" in weakening(changed("tests/out.txt", "1\n2\n", "2\n1\n"))[0]
    assert "expected data" in weakening(changed("tests/out.yml", "a:\n  b\n", "a:\nb\nc\n"))[0]
    assert weakening(changed("tests/out.json", "[\n1\n]\n", "[\n1,\n2\n]\n")) == ()
    assert "how existing tests" in weakening(changed("tests/.babelrc", "{\n}\n", "{\n1\n}\n"))[0]
    assert weakening(changed("tests/out.txt", "1\n", "2\n"), ["tests/test_a.py::test_b"]) == ()
    assert "cannot be parsed" in weakening(changed("tests/test_a.py", BASE, "def\n"))[0]
    assert weakening(changed("tests/out2.json", None, "2\n")) == ()
    assert weakening(changed("src/a.py", "a = 1\n", "a = 2\n")) == ()


@pytest.mark.parametrize(
    ("path", "base", "patched", "bad"),
    [
        ("a.test.js", "it('a', () => {\n", "it.skip('a', () => {\n", True),
        ("a.test.js", "expect(f(1)).toBe(2)\n", "expect(f(1)).toBe(3)\n", True),
        ("a.test.js", "expect(1)\n", "expect(1)\nit('b', () => { expect(2) })\n", False),
        ("a_test.go", "t.Error(1)\n", "t.Skip()\nt.Error(1)\n", True),
        ("src/test/java/ATest.java", "@Test\n", "@Test\n@Disabled\n", True),
        ("a_test.go", "// old words\n", "// new words\n", False),
        ("src/lib.rs", "fn f() {}\n#[test]\nassert_eq!(f(), 1);\n", "fn f() {}\n#[test]\n", True),
        ("src/lib.rs", "fn f() {}\n", "fn f() { 1 }\n", False),
        ("tests/a.rs", "#[test]\n", "#[test]\n#[ignore]\n", True),
    ],
)
def test_other_languages_by_their_lines(path: str, base: str, patched: str, bad: bool) -> None:
    assert bool(weakening(changed(path, base, patched))) is bad


def test_a_contested_test_in_another_language_still_asserts_as_much() -> None:
    base = "it('a', () => {\n  expect(f(1)).toBe(2)\n})\n"
    named = ["a.test.js::a"]
    assert weakening(changed("a.test.js", base, base.replace("2", "3")), named) == ()
    for other in ("  f(1)", "  expect(f(1)).toBe(2)\n  it.skip('b')", "  it('a').catch(expect(1))"):
        worse = base.replace("  expect(f(1)).toBe(2)", other)
        assert weakening(changed("a.test.js", base, worse), named), other
    assert weakening(changed("b.test.js", base, base.replace("2", "3")), named)


def test_edited_tests_are_named() -> None:
    more = BASE.replace("assert result == n", "assert result == 2 * n").replace("(4), 2", "(4), 3")
    assert edited_tests(changed("tests/test_calc.py", BASE, more)) == (
        "tests/test_calc.py::test_double",
        "tests/test_calc.py::HalfTest::test_half",
    )
    assert edited_tests(changed("tests/out.txt", "1\n", "2\n")) == ("tests/out.txt",)
    assert edited_tests(changed("tests/out.txt", "1\n", "1\n2\n")) == ()
    assert edited_tests(changed("src/a.py", "a = 1\n", "a = 2\n")) == ()


PYPROJECT = '[project]\nname = "x"\ndependencies = []\n[tool.pytest.ini_options]\naddopts = "-q"\n'


@pytest.mark.parametrize(
    ("path", "base", "patched", "bad"),
    [
        ("pyproject.toml", PYPROJECT, PYPROJECT.replace('"-q"', '"-x"'), True),
        ("pyproject.toml", PYPROJECT, PYPROJECT + '[tool.coverage.run]\nomit = ["a"]\n', True),
        (
            "pyproject.toml",
            PYPROJECT,
            PYPROJECT + '[project.entry-points.pytest11]\na = "b"\n',
            True,
        ),
        ("pyproject.toml", PYPROJECT, PYPROJECT.replace("[]", '["y"]'), False),
        ("pyproject.toml", PYPROJECT, PYPROJECT + "][", True),
        ("setup.cfg", "[metadata]\nname=x\n", "[metadata]\nname=y\n", False),
        ("setup.cfg", "[metadata]\nname=x\n", "[tool:pytest]\naddopts=-x\n", True),
        ("package.json", '{"version": "1"}\n', '{"version": "2"}\n', False),
        (
            "package.json",
            '{"scripts": {"test": "jest"}}\n',
            '{"scripts": {"test": "true"}}\n',
            True,
        ),
        ("setup.py", "a = 1\n", "a = {'pytest11': ['x']}\n", True),
        ("conftest.py", None, "import pytest\n@pytest.fixture\ndef a():\n    return 1\n", False),
        ("conftest.py", None, "import pytest\n@pytest.fixture(autouse=True)\ndef a(): ...\n", True),
        ("conftest.py", None, "def pytest_runtest_setup(item): ...\n", True),
        ("conftest.py", None, "collect_ignore = ['test_a.py']\n", True),
        ("conftest.py", "x = 1\n", "x = 1\ndef pytest_exception_interact(): ...\n", True),
        ("conftest.py", "x = 1\n", "x = 2\n", True),
        ("conftest.py", "x = 1\n", None, True),
        ("src/a.py", "x = 1\n", "x = 2\n", False),
    ],
)
def test_options_of_test_runs(path: str, base: str | None, patched: str | None, bad: bool) -> None:
    assert bool(option_refusals(changed(path, base, patched))) is bad


MAKEFILE = "test:\n\tpython3 -m pytest\n"
POM = "<project>\n  <version>1</version>\n</project>\n"


@pytest.mark.parametrize(
    ("path", "base", "patched", "command", "bad"),
    [
        ("Makefile", MAKEFILE, "test:\n\ttrue\n", "make test", True),
        ("Makefile", MAKEFILE, MAKEFILE + "clean:\n\trm -f x\n", "python3 -m pytest", False),
        ("tools/common.mk", "A = 1\n", "A = 2\n", "cd sub && /usr/bin/make -k check", True),
        ("scripts/check.sh", "pytest\n", "exit 0\n", "sh scripts/check.sh", True),
        ("scripts/check.sh", None, "pytest\n", "sh scripts/check.sh", False),
        ("pom.xml", POM, POM.replace("1", "<skipTests>true</skipTests>"), "mvn test", True),
        ("pom.xml", POM, POM.replace("1", "2"), "mvn test", False),
        ("build.gradle", "x = 1\n", "test { enabled = false }\n", "./gradlew test", True),
        ("Cargo.toml", "[lib]\n", "[lib]\ntest = false\n", "cargo test", True),
        ("shop/make.py", "x = 1\n", "x = 2\n", "make test", False),
    ],
)
def test_what_the_test_command_runs_stays(
    path: str, base: str | None, patched: str, command: str, bad: bool
) -> None:
    assert bool(option_refusals(changed(path, base, patched), command)) is bad


def test_what_the_configuration_makes_a_test_is_kept_like_one() -> None:
    looser = BASE.replace("assert half(n) * 2 == n", "assert half(n)")
    file = changed("checks/check_calc.py", BASE, looser)
    assert weakening(file) == ()
    assert weakening(file.model_copy(update={"collected": True}))
