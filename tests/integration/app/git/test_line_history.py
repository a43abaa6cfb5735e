"""The commits that last changed lines, by git's own account."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.git.line_history import last_changes
from app.git.mirror import Mirror
from app.git.process import GitError
from tests.support.github.app import git


def committed(repo: Path, at: int, files: dict[str, str]) -> str:
    """A commit on top of `main`, made at this time."""
    there = git(repo, "for-each-ref", "refs/heads/main")
    stream = f"commit refs/heads/main\ncommitter a <a@b> {1_700_000_000 + at} +0000\ndata 1\nx\n"
    stream += "from refs/heads/main^0\n" if there else ""
    for name, text in files.items():
        stream += f"M 100644 inline {name}\ndata {len(text)}\n{text}\n"
    git(repo, "fast-import", "--quiet", stdin=stream)
    return git(repo, "rev-parse", "main")


def test_the_newest_comes_first_and_no_program_of_the_repository_runs(tmp_path: Path) -> None:
    repo, ran = tmp_path / "repo.git", tmp_path / "ran"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(repo))
    first = committed(repo, 10, {"a.py": "1\n2\n3\n4\n", ":b c.py": "1\n"})
    second = committed(repo, 30, {"a.py": "1\ntwo\n3\n4\n", ".gitattributes": "*.py diff=evil\n"})
    tip = committed(repo, 20, {"a.py": "1\ntwo\n3\nfour\n"})
    mirror = Mirror(repo, "")
    # A mirror has no such settings; were something to write them, they would still not run.
    git(repo, "config", "diff.evil.textconv", f"touch {ran};cat")
    (repo / "info").mkdir(exist_ok=True)
    (repo / "info" / "attributes").write_text("*.py diff=evil\n")
    assert last_changes(mirror, tip, {"a.py": [(2, 3)]}) == [second, first]
    wanted = {"a.py": [(2, 2), (4, 4)], ":b c.py": [(1, 1)]}
    assert last_changes(mirror, tip, wanted) == [second, tip, first]
    assert not ran.exists()
    with pytest.raises(GitError):
        last_changes(mirror, tip, {"a.py": [(9, 9)]})
