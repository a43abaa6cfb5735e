"""Git of the stand-in GitHub, on real repositories."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.doubles.github import repository as git

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def commit(work: Path, message: str) -> None:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    subprocess.run(["git", "add", "-A"], cwd=work, check=True)
    subprocess.run(["git", *who, "commit", "-qm", message], cwd=work, check=True)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A bare repository whose branch ``fix`` edits, moves, adds and deletes files of ``main``."""
    work = tmp_path / "work"
    work.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=work, check=True)
    (work / "a.py").write_text("one\ntwo\nthree\n")
    (work / "old name.py").write_text("".join(f"line {n}\n" for n in range(20)))
    (work / "gone.py").write_text("gone\n")
    commit(work, "start")
    subprocess.run(["git", "checkout", "-q", "-b", "fix"], cwd=work, check=True)
    (work / "a.py").write_text("one\n2\nthree\nfour\n")
    (work / "old name.py").rename(work / "näme.py")
    (work / "gone.py").unlink()
    (work / "new.bin").write_bytes(b"\0\1\2")
    commit(work, "change\n\nwith a body")
    repository = tmp_path / "bare.git"
    git.create_bare(repository, "main")
    git.import_repository(repository, work)
    return repository


def test_each_kind_of_change_is_told(bare: Path) -> None:
    found = {change.path: change for change in git.changes(bare, "main", "fix")}
    assert {path: change.status for path, change in found.items()} == {
        "a.py": "modified",
        "näme.py": "renamed",
        "gone.py": "removed",
        "new.bin": "added",
    }
    assert (found["a.py"].additions, found["a.py"].deletions) == (2, 1)
    assert found["a.py"].patch.startswith("@@ ")
    assert found["näme.py"].old_path == "old name.py"
    assert found["new.bin"].patch == ""


def test_commits_and_names_are_read(bare: Path) -> None:
    tip = git.branch_tip(bare, "fix")
    assert tip is not None
    found = git.commit(bare, tip)
    assert found.message == "change\n\nwith a body"
    assert found.author.name == "Ann"
    assert git.resolve(bare, "fix") == tip
    assert git.resolve(bare, "--all") is None
    assert git.resolve(bare, "nowhere") is None
    assert git.commits_between(bare, "main", "fix") == [tip]


def test_a_clean_merge_has_a_tree_and_a_conflict_none(bare: Path, tmp_path: Path) -> None:
    tree = git.merge_tree(bare, "main", "fix")
    assert tree is not None
    merged = git.commit_tree(bare, tree, ["main", "fix"], "merge", ("Ann", "a@example.com"), NOW)
    assert git.commit(bare, merged).parents == (
        git.branch_tip(bare, "main"),
        git.branch_tip(bare, "fix"),
    )
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "a.py").write_text("one\nzwei\nthree\n")
    parent = git.branch_tip(bare, "main")
    assert parent is not None
    other = tmp_path / "other.git"
    git.create_bare(other, "main")
    git.import_folder(other, folder, "main", "other", NOW)
    git.run(bare, "fetch", "-q", str(other), "main:unrelated")
    assert git.merge_base(bare, "main", "unrelated") is None
    conflicting = git.commit_tree(
        bare, "unrelated^{tree}", [parent], "conflict", ("Ann", "a@example.com"), NOW
    )
    assert git.merge_tree(bare, conflicting, "fix") is None


def test_importing_a_folder_leaves_its_own_git_out(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_text("hostile")
    (folder / "a.py").write_text("x\n")
    bare = tmp_path / "bare.git"
    git.create_bare(bare, "trunk")
    git.import_folder(bare, folder, "trunk", "Import", NOW)
    assert git.run(bare, "ls-tree", "-r", "--name-only", "trunk").split() == ["a.py"]
