"""A small repository whose tree is enormous takes neither the disk nor the memory of the host."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from app.git import mirror as mirror_module
from app.git.mirror import Mirror
from app.git.process import GitError


def plumbing(repository: Path, *arguments: str, stdin: bytes = b"") -> str:
    command = [
        "git",
        "-C",
        str(repository),
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        *arguments,
    ]
    done = subprocess.run(command, input=stdin, check=True, capture_output=True)
    return done.stdout.decode().strip()


def committed(repository: Path, width: int, depth: int, content: bytes) -> str:
    """A commit of `width ** depth` folders, each with as many files, all the same."""
    plumbing(repository.parent, "init", "-q", "--bare", "-b", "main", str(repository))
    blob = plumbing(repository, "hash-object", "-w", "--stdin", stdin=content)
    files = "".join(f"100644 blob {blob}\tf{n:02}\n" for n in range(width))
    tree = plumbing(repository, "mktree", stdin=files.encode())
    for _ in range(depth):
        folders = "".join(f"040000 tree {tree}\td{n:02}\n" for n in range(width))
        tree = plumbing(repository, "mktree", stdin=folders.encode())
    commit = plumbing(repository, "commit-tree", tree, "-m", "x")
    plumbing(repository, "update-ref", "refs/heads/main", commit)
    return commit


@pytest.mark.parametrize(
    ("width", "depth", "size", "why"),
    [
        (32, 6, 10, "files and folders"),
        (32, 1, 20_000_000, "larger than"),
        (1, 450, 10, "too deep"),
    ],
)
def test_a_tree_beyond_the_bounds_is_refused_before_it_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    depth: int,
    size: int,
    why: str,
) -> None:
    monkeypatch.setattr(mirror_module, "MOST_ENTRIES", 20_000)
    commit = committed(tmp_path / "bomb.git", width, depth, b"0" * size)
    out = tmp_path / "tree.tar"
    started = time.monotonic()
    with pytest.raises(GitError, match=why):
        Mirror(tmp_path / "bomb.git", "").tree_tar(commit, out)
    assert not out.exists() and time.monotonic() - started < 20


def test_git_writes_no_more_than_it_may(tmp_path: Path) -> None:
    commit = committed(tmp_path / "r.git", 2, 1, b"0" * 500_000)
    with pytest.raises(GitError, match="wrote more than"):
        mirror_module.run_git(
            tmp_path / "r.git",
            *("archive", "--format=tar", commit),
            stdout_to=tmp_path / "t.tar",
            most_output=1_000_000,
        )
    assert (tmp_path / "t.tar").stat().st_size <= 1_000_000
