"""The layout that a newcomer walks: few files at the top, no crowded package, a short loop."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OF_OTHERS = ("repos", "histories", "data")
"""Below tests/: repositories to repair, not packages of ours."""
CHAIN = "app/storage/migrations/versions"
"""One file for each change of the tables, in order: it grows, and nobody looks around in it."""


MIGRATIONS = "app/storage/migrations/versions"
"""A chain that only grows: one file for each change of the tables."""


def packages(top: str) -> Counter[str]:
    """The folders below one of the top level, with the Python files directly in each."""
    found = Counter(
        str(path.parent.relative_to(ROOT))
        for path in (ROOT / top).rglob("*.py")
        if not {".venv", "node_modules"} & set(path.parts)
    )
    del found[CHAIN]
    for name in OF_OTHERS:
        for folder in list(found):
            if f"{folder}/".startswith(f"tests/{name}/"):
                del found[folder]
    return found


@pytest.mark.parametrize(("top", "most"), [("app", 3), ("agent", 14), ("sandbox", 8)])
def test_the_top_of_each_root_holds_few_files(top: str, most: int) -> None:
    assert 0 < packages(top)[top] <= most


@pytest.mark.parametrize("top", ["app", "agent", "sandbox", "tests", "bench"])
def test_no_package_is_crowded(top: str) -> None:
    found = packages(top)
    del found[MIGRATIONS]
    assert {folder: n for folder, n in found.items() if n > 20} == {}


def test_the_loop_is_one_short_file() -> None:
    assert len((ROOT / "agent/loop.py").read_text().splitlines()) < 300


def test_nothing_that_git_is_told_to_ignore_is_in_the_repository() -> None:
    """Checking it out would take the place of what lies there: of an environment, say."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository")
    listed = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
