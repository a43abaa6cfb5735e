"""What pytest takes for tests, by a project's own configuration, read as data.

The options and where they are looked for: https://docs.pytest.org/en/stable/reference/customize.html
(`python_files`, `python_classes`, `python_functions`; finding the rootdir).
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from agent.model import Record
from agent.text.toml import toml_table

CONFIGURATION = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
"""Files that may hold pytest's options, in the order in which it looks for them."""
_OPTIONS = {"python_files": "files", "python_functions": "functions", "python_classes": "classes"}
_ANY = ("*.py", "*")
_GLOB = re.compile(r"[*?\[]")


class PytestCollection(Record):
    """Which files, functions and classes pytest collects."""

    files: tuple[str, ...] = ("test_*.py", "*_test.py")
    """Globs; of the whole path where they hold a slash, else of the name."""
    functions: tuple[str, ...] = ("test",)
    """Beginnings of names, or globs."""
    classes: tuple[str, ...] = ("Test",)

    def takes_file(self, path: str) -> bool:
        """Whether a file of this path is collected, and not just as any module is (`*.py`)."""
        name = path.rpartition("/")[2]
        return any(
            fnmatchcase(path, f"*/{g}") or fnmatchcase(path, g)
            if "/" in g
            else fnmatchcase(name, g)
            for g in self.files
            if g not in _ANY
        )

    def takes_function(self, name: str) -> bool:
        """Whether a function of this name is a test."""
        return _takes(self.functions, name)

    def takes_class(self, name: str) -> bool:
        """Whether a class of this name holds tests."""
        return _takes(self.classes, name)

    @property
    def prefix(self) -> str:
        """How the name of a new test begins, without an underscore."""
        plain = [p for form in self.functions if (p := _GLOB.split(form)[0].rstrip("_"))]
        return "test" if "test" in plain or not plain else plain[0]

    def name_of_file(self, name: str) -> str:
        """A file's name that is collected and holds `name`."""
        usual = [g for g in self.files if g.count("*") == 1 and not re.search(r"[/?\[]", g)]
        usual = [g for g in usual if g not in _ANY]
        return (usual or ["test_*.py"])[0].replace("*", name)


def _takes(forms: Sequence[str], name: str) -> bool:
    return any(
        name.startswith(form) or (_GLOB.search(form) is not None and fnmatchcase(name, form))
        for form in forms
    )


def collection_of(texts: Mapping[str, str], command: str = "") -> PytestCollection:
    """What is collected, by the configuration files of one folder (name → text).

    `command` runs the tests; its `-o` and `--override-ini` come before any file.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in CONFIGURATION:
        section = _section(name, texts[name]) if name in texts else None
        if section is not None:
            found = {o: words for o in _OPTIONS if (words := _words(section.get(o)))}
            break
    for option, value in re.findall(
        r"(?:-o|--override-ini)[ =]['\"]?(python_\w+)=([^'\"\s]+)", command
    ):
        found[option] = (value,)
    known = {_OPTIONS[option]: words for option, words in found.items() if option in _OPTIONS}
    return PytestCollection.model_validate(known)


def joined(collections: Sequence[PytestCollection]) -> PytestCollection:
    """What any of several projects collects."""
    return PytestCollection(
        files=tuple(dict.fromkeys(f for c in collections for f in c.files)),
        functions=tuple(dict.fromkeys(f for c in collections for f in c.functions)),
        classes=tuple(dict.fromkeys(f for c in collections for f in c.classes)),
    )


def _section(name: str, text: str) -> Mapping[str, Any] | None:
    """pytest's options in one file; None if it has none."""
    if name == "pyproject.toml":
        try:
            tool = toml_table(text).get("tool")
        except ValueError:
            return None
        pytest = tool.get("pytest") if isinstance(tool, dict) else None
        options = pytest.get("ini_options", pytest) if isinstance(pytest, dict) else None
        return options if isinstance(options, dict) else None
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    section = "tool:pytest" if name == "setup.cfg" else "pytest"
    if section in parser:
        return parser[section]
    return {} if name.endswith("pytest.ini") else None


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(word for word in value if isinstance(word, str))
    if not isinstance(value, str):
        return ()
    try:
        return tuple(shlex.split(value, comments=False))
    except ValueError:
        return ()
