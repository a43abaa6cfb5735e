"""Reading the repository through tool results: files, test runs, numbered views."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatch

from agent.models.offline.protocol import Result, Steps, call

MOST_LINES = 2000
HOME = "/tmp/patchwright-search"  # noqa: S108 - a path in the sandbox
JOB = HOME + "/{}.json"
MOST_ELAPSED_S = 1800
"""Seconds after which a command of the search is killed: all that the tool gives, since its own
limits are of processor time and a busy machine takes longer.
"""
LIST = (
    "find . \\( -name .git -o -name .venv -o -name venv -o -name .tox -o -name node_modules"
    " -o -name __pycache__ \\) -prune -o -type f \\( -name '*.py' -o -name '*.toml'"
    " -o -name '*.cfg' -o -name '*.ini' \\) -printf '%P\\n' | sort | head -n 400;"
    " command -v python3 python; python3 -c 'import pytest; print(\"pytest\", pytest.__version__)';"
    " grep -qE -- '(^|[^a-z])-n[ =]*(auto|logical|[0-9])|--(cov|numprocesses|dist|random|reruns"
    "|timeout)|required_plugins'"
    " pytest.ini .pytest.ini pyproject.toml tox.ini setup.cfg 2>/dev/null"
    " && echo options of plugins;"
    " grep -hE '^ *python_(files|functions) *=' pytest.ini .pytest.ini pyproject.toml tox.ini"
    " setup.cfg 2>/dev/null; true"
)


@dataclass(frozen=True, slots=True)
class Tree:
    """What the repository holds, as far as it matters here."""

    files: tuple[str, ...]
    python: str
    has_pytest: bool
    plugin_options: bool = False
    """Whether the test options may name those of plugins, which may be missing, or which make one
    test alone fail, as a coverage threshold does.
    """

    test_file: str = "test_*.py"
    """What pytest takes for a test file, one pattern."""
    test_prefix: str = "test"
    """How a test function's name begins."""

    @property
    def pytest(self) -> str:
        """The command that runs single tests."""
        plain = " -o addopts= -o required_plugins=" if self.plugin_options else ""
        return f"{self.python} -m pytest{plain} -q"

    @property
    def sources(self) -> tuple[str, ...]:
        """Python files that are not tests."""
        return tuple(f for f in self.files if f.endswith(".py") and not is_test(f))

    @property
    def tests(self) -> tuple[str, ...]:
        """Files of tests."""
        return tuple(f for f in self.files if f.endswith(".py") and is_test(f))

    @property
    def test_folder(self) -> str:
        """Where a new test belongs: beside the others, else `tests`."""
        own = [f for f in self.files if fnmatch(f.rpartition("/")[2], self.test_file)]
        usual = [f for f in self.tests if re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", f)]
        named = own or usual
        if not named:
            return "tests"
        return named[0].rpartition("/")[0]

    def module_of(self, path: str) -> str:
        """The dotted name that a file is imported by."""
        first, _, rest = path.partition("/")
        # With an `__init__.py` the folder is a package like others.
        if first in ("src", "lib") and f"{first}/__init__.py" not in self.files:
            path = rest
        return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@dataclass(frozen=True, slots=True)
class TestRun:
    """One run of the tests."""

    __test__ = False

    passed: int
    failing: tuple[str, ...]
    texts: tuple[str, ...]
    """The failing tests' texts, in the same order."""
    summary: str
    call_id: str


def is_test(path: str) -> bool:
    """Whether a path is test code."""
    *folders, name = path.split("/")
    named = name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
    return named or any(f in ("tests", "test") for f in folders)


def driver(tree: Tree) -> str:
    """The command, in the tree's root, that starts the driver; a mode and a job follow."""
    return f"PYTHONPATH={HOME} {tree.python} -m patchwright_search.driver"


def read_tree(result: Result) -> Tree:
    """The answer of the `LIST` command."""
    files = [
        line for line in result.lines if re.fullmatch(r"[^/\[ ][^\n]*\.(py|toml|cfg|ini)", line)
    ]
    pythons = [line for line in result.lines if re.fullmatch(r"/\S*python3?", line)]
    python = "python3" if any(p.endswith("python3") for p in pythons) else "python"
    return Tree(
        tuple(files),
        python,
        any(line.startswith("pytest ") for line in result.lines),
        "options of plugins" in result.lines,
        _option(result, "python_files", r"[\w*]*\*[\w*]*\.py", "test_*.py"),
        _option(result, "python_functions", r"[A-Za-z_]\w*(?=\*?)", "test").rstrip("_"),
    )


def _option(result: Result, name: str, form: str, usual: str) -> str:
    """The first word of a form that an option of pytest gives; `usual` where it holds too."""
    line = next((line for line in result.lines if line.strip().startswith(name)), "")
    words = re.findall(form, line.partition("=")[2])
    return usual if not words or usual in words else words[0]


def read_tests(result: Result) -> TestRun:
    """The answer of `run_tests`."""
    counts = re.match(r"(\d+) passed, (\d+) failed, (\d+) errors", result.text)
    names: list[str] = []
    texts: list[list[str]] = []
    for line in result.lines[1:]:
        hit = re.match(r"(?:FAILED|ERROR) (.+?)(?:  \(fails without.*\))?$", line)
        if hit:
            names.append(hit.group(1))
            texts.append([])
        elif texts and line.startswith("    "):
            texts[-1].append(line[4:])
    return TestRun(
        int(counts.group(1)) if counts else 0,
        tuple(names),
        tuple("\n".join(t) for t in texts),
        result.lines[0],
        result.call_id,
    )


def read_view(result: Result) -> str | None:
    """A whole file's text out of its numbered lines; None when it was cut or is no text."""
    head = re.match(r".* \((\d+) lines\)$", result.lines[0])
    if head is None or int(head.group(1)) > MOST_LINES:
        return None
    numbered = [re.match(r" *\d+\t(.*)$", line, re.S) for line in result.lines[1:]]
    lines = [hit.group(1) for hit in numbered if hit]
    if len(lines) != int(head.group(1)) or any(len(line) >= 2000 for line in lines):
        return None
    return "\n".join([*lines, ""])


def view_whole(path: str, why: str) -> Steps[str | None]:
    """A file's text, seen by the `view` tool."""
    result = yield from call("view", why, path=path, start=1, end=MOST_LINES)
    return read_view(result)
