"""A small repository whose tree is enormous takes neither the disk nor the memory of the host."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest

from app.git.limits import GitLimits, TreeLimits
from app.git.mirror import Mirror
from app.git.process import GitError, run_git
from app.git.tree_archive import TreeOptions, TreeSource, write_tree

SMALL = GitLimits(tree=TreeLimits(20_000, 600_000_000))


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
        (32, 1, 2_000_000, "larger than"),
        (1, 450, 10, "too deep"),
    ],
)
def test_a_tree_beyond_the_bounds_is_refused_before_it_is_written(
    tmp_path: Path,
    width: int,
    depth: int,
    size: int,
    why: str,
) -> None:
    commit = committed(tmp_path / "bomb.git", width, depth, b"0" * size)
    out = tmp_path / "tree.tar"
    started = time.monotonic()
    with pytest.raises(GitError, match=why):
        Mirror(tmp_path / "bomb.git", "", limits=SMALL).tree_tar(commit, out)
    assert not out.exists() and time.monotonic() - started < 20


def test_git_writes_no_more_than_it_may(tmp_path: Path) -> None:
    commit = committed(tmp_path / "r.git", 2, 1, b"0" * 500_000)
    with pytest.raises(GitError, match="wrote more than"):
        run_git(
            tmp_path / "r.git",
            *("archive", "--format=tar", commit),
            stdout_to=tmp_path / "t.tar",
            most_output=1_000_000,
        )
    assert (tmp_path / "t.tar").stat().st_size <= 1_000_000
    with pytest.raises(GitError, match="wrote more than 100000 bytes"):
        run_git(tmp_path / "r.git", "cat-file", "blob", f"{commit}:d00/f00", most_output=100_000)


def test_a_tree_without_end_has_no_list_of_submodules_and_no_diff(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.git"
    commit = committed(bomb, 32, 4, b"0" * 1000)
    mirror = Mirror(bomb, "", limits=SMALL)
    empty = plumbing(bomb, "commit-tree", plumbing(bomb, "mktree"), "-m", "x")
    for ask in (
        lambda: mirror.submodules(commit),
        lambda: mirror.diff(empty, commit),
        lambda: mirror.diff_with(empty, commit, ""),
        lambda: mirror.conflicts(empty, commit),
    ):
        with pytest.raises(GitError, match="files and folders"):
            ask()


def test_a_fetch_writes_no_more_than_it_may_and_a_grown_mirror_is_made_anew(
    tmp_path: Path,
) -> None:
    remote = tmp_path / "r.git"
    plumbing(tmp_path, "init", "-q", "--bare", "-b", "main", str(remote))
    noise = random.Random(1).randbytes(300_000)
    blob = plumbing(remote, "hash-object", "-w", "--stdin", stdin=noise)
    tree = plumbing(remote, "mktree", stdin=f"100644 blob {blob}\tx\n".encode())
    commit = plumbing(remote, "commit-tree", tree, "-m", "x")
    plumbing(remote, "update-ref", "refs/heads/main", commit)
    small = Mirror(tmp_path / "m.git", str(remote), limits=GitLimits(repository_bytes=100_000))
    with pytest.raises(GitError, match="fetch wrote more than 100000 bytes"):
        small.fetch()
    mirror = Mirror(tmp_path / "m.git", str(remote), limits=GitLimits(repository_bytes=400_000))
    mirror.fetch()
    (mirror.git_dir / "objects" / "rubbish").write_bytes(b"0" * 400_000)
    mirror.fetch()
    assert mirror.has(commit) and not (mirror.git_dir / "objects" / "rubbish").exists()


def test_repeated_submodules_count_as_often_as_they_stand_in_the_tree(tmp_path: Path) -> None:
    lib = committed(tmp_path / "lib", 10, 1, b"0" * 1000)
    top = tmp_path / "top"
    plumbing(tmp_path, "init", "-q", "--bare", "-b", "main", str(top))
    names = [f"m{n}" for n in range(8)]
    modules = "".join(f'[submodule "{n}"]\n path = {n}\n url = ../lib\n' for n in names)
    blob = plumbing(top, "hash-object", "-w", "--stdin", stdin=modules.encode())
    entries = f"100644 blob {blob}\t.gitmodules\n"
    entries += "".join(f"160000 commit {lib}\t{name}\n" for name in names)
    tree = plumbing(top, "mktree", "--missing", stdin=entries.encode())
    commit = plumbing(top, "commit-tree", tree, "-m", "x")
    plumbing(top, "update-ref", "refs/heads/main", commit)

    def tree_within(size_bytes: int) -> None:
        limits = GitLimits(tree=TreeLimits(20_000, size_bytes))

        def mirror(url: str) -> Mirror:
            name = url.rsplit("/", 1)[1]
            return Mirror(tmp_path / f"{name}.mirror", str(tmp_path / name), limits=limits)

        own = mirror("https://git.test/o/top")
        own.fetch()
        source = TreeSource(own, "https://git.test/o/top", mirror)
        write_tree(source, commit, tmp_path / "out.tar", TreeOptions(submodules=True))

    tree_within(1_000_000)
    with pytest.raises(GitError, match="larger than"):
        tree_within(500_000)
