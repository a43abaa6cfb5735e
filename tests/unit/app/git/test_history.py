"""Faults of old objects: let through by name, or explained."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from app.git.history import LET_THROUGH, Order, explain_fault, fetch_settings
from app.git.process import GitFailed, git_error
from tests.support.github.app import git

SAID = (
    "error: object 47b7a1e47209caa72e92ad6d1d597c8368aa626e: hasDotgit: contains '.git'\n"
    "fatal: fsck error in packed object\nfatal: fetch-pack: invalid index-pack output"
)


def test_a_fault_is_explained_with_its_name_and_object() -> None:
    error = git_error("fetch", SAID.encode())
    assert type(error) is GitFailed
    for words in ("hasDotgit", "contains '.git'", "47b7a1e47209", "over git's own", "filter-repo"):
        assert words in str(error)
    assert explain_fault("fatal: fetch-pack: invalid index-pack output") == ""


def test_only_harmless_faults_are_let_through() -> None:
    settings = fetch_settings()
    assert settings["fetch.fsckObjects"] == "true"
    let_through = {name for name, level in settings.items() if level == "ignore"}
    assert let_through == {f"fetch.fsck.{name}" for name in LET_THROUGH}
    for dangerous in ("hasDot", "hasDotdot", "hasDotgit", "fullPathname", "emptyName"):
        assert settings[f"fetch.fsck.{dangerous}"] == "error"
    for dangerous in ("nullSha1", "badTree", "gitmodulesName", "gitmodulesPath", "symlinkTarget"):
        assert f"fetch.fsck.{dangerous}" not in settings


def listing(folder: Path) -> list[tuple[bytes, bool]]:
    out = subprocess.run(
        ["git", "ls-tree", "-r", "-t", "-z", "HEAD"], cwd=folder, check=True, capture_output=True
    ).stdout
    entries = [entry.partition(b"\t") for entry in out.split(b"\0") if entry]
    return [(path, about.split()[1] == b"tree") for about, _, path in entries]


def test_what_git_writes_is_in_order(tmp_path: Path) -> None:
    """Names around the slash, which is where folders and files differ."""
    chance = random.Random(5)
    git(tmp_path, "init", "-q")
    names = {"".join(chance.choices("ab-.0/", k=chance.randint(1, 6))) for _ in range(600)}
    for name in sorted(names):
        parts = [part for part in name.split("/") if part.strip(".")]
        path = tmp_path.joinpath(*parts) if parts else tmp_path / "z"
        if all(p.is_dir() for p in path.parents if p.exists()) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "x")
    entries = listing(tmp_path)
    assert len(entries) > 100
    order = Order()
    assert all(order.is_next(path, is_folder) for path, is_folder in entries)


@pytest.mark.parametrize(
    "entries",
    [
        [(b"a", False), (b"a", False)],
        [(b"b", False), (b"a", False)],
        [(b"a", False), (b"a-b", False), (b"a", True)],
        [(b"d", True), (b"d/x", False), (b"d/x", False)],
        [(b"d", True), (b"d/x", False), (b"d", True)],
        [(b"d", True), (b"d/x", False), (b"c", False)],
    ],
)
def test_entries_twice_or_out_of_order_are_noticed(entries: list[tuple[bytes, bool]]) -> None:
    order = Order()
    assert [order.is_next(path, folder) for path, folder in entries].count(False) == 1
