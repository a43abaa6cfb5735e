"""What pytest collects, by a project's configuration."""

from __future__ import annotations

import pytest

from agent.testing.collection import PytestCollection, collection_of, joined


@pytest.mark.parametrize(
    ("texts", "command", "files"),
    [
        ({}, "", ("test_*.py", "*_test.py")),
        ({"pytest.ini": "[pytest]\npython_files = check_*.py"}, "", ("check_*.py",)),
        ({"tox.ini": "[pytest]\npython_files =\n  a_*.py\n  b.py"}, "", ("a_*.py", "b.py")),
        ({"setup.cfg": "[tool:pytest]\npython_files=spec_*.py"}, "", ("spec_*.py",)),
        (
            {"pyproject.toml": '[tool.pytest.ini_options]\npython_files = ["c_*.py", "d.py"]'},
            "",
            ("c_*.py", "d.py"),
        ),
        # The first file that has options is the only one that counts, even an empty pytest.ini.
        (
            {"pytest.ini": "", "setup.cfg": "[tool:pytest]\npython_files=x_*.py"},
            "",
            ("test_*.py", "*_test.py"),
        ),
        (
            {"tox.ini": "[tox]\nenvlist = a", "setup.cfg": "[tool:pytest]\npython_files=x_*.py"},
            "",
            ("x_*.py",),
        ),
        ({"pytest.ini": "[pytest\npython_files"}, "", ("test_*.py", "*_test.py")),
        ({"pyproject.toml": "tool = 1"}, "pytest -o python_files=y_*.py -q", ("y_*.py",)),
        ({}, "python3 -m pytest --override-ini='python_files=z.py'", ("z.py",)),
    ],
)
def test_the_files_that_are_collected(
    texts: dict[str, str], command: str, files: tuple[str, ...]
) -> None:
    assert collection_of(texts, command).files == files


def test_names_that_are_collected_and_new_ones() -> None:
    usual = PytestCollection()
    assert usual.takes_file("a/b/test_c.py") and not usual.takes_file("a/check_c.py")
    assert usual.takes_function("test_a") and usual.takes_function("testing")
    assert not usual.takes_function("check_a") and usual.takes_class("TestA")
    assert (usual.prefix, usual.name_of_file("crash")) == ("test", "test_crash.py")
    own = PytestCollection(files=("checks/*.py", "check_*.py"), functions=("*_check", "must_*"))
    assert own.takes_file("a/checks/b.py") and own.takes_file("checks/b.py")
    assert own.takes_function("a_check") and own.takes_function("must_hold")
    assert (own.prefix, own.name_of_file("crash")) == ("must", "check_crash.py")
    assert not PytestCollection(files=("*.py",)).takes_file("shop/money.py")
    both = joined([usual, own])
    assert both.takes_file("test_a.py") and both.takes_file("check_a.py")
