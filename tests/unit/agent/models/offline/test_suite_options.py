"""The test options under which the search watches tests, where plugins have options there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.models.offline.sandboxed.suite import plain_options, without_plugins


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["-n", "auto", "-ra"], ["-ra"]),
        (["-n4", "--dist=loadfile", "--strict-markers"], ["--strict-markers"]),
        (["--cov=shop", "--cov-fail-under=90", "--no-cov-on-fail"], []),
        (["-p", "randomly", "-p", "own_plugin"], ["-p", "own_plugin"]),
        (["-p", "no:randomly", "--randomly-seed=1", "-x"], ["-x"]),
        (["--import-mode=importlib", "--doctest-modules"], None),
    ],
)
def test_what_pytest_knows_by_itself_is_kept(given: list[str], kept: list[str] | None) -> None:
    assert plain_options(given) == (given if kept is None else kept)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\naddopts = -n auto -ra\n"),
        ("setup.cfg", "[tool:pytest]\naddopts =\n    -n auto\n    -ra\n"),
        ("tox.ini", "[tox]\n[pytest]\naddopts = --cov=shop -ra\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-n auto -ra"\n'),
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = [\n  "--cov=a",\n  "-ra",\n]\n'),
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = """\n--cov=a\n-ra\n"""\n'),
    ],
)
def test_options_are_read_where_pytest_reads_them(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert without_plugins(tmp_path) == ["-o", "required_plugins=", "-o", "addopts=-ra"]


def test_without_options_nothing_is_set(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    assert without_plugins(tmp_path) == []
