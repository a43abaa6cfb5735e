"""What git tells of a merged pull request: a merge, a squash, a rebase, with edits or without."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.git.mirror import Mirror
from app.intake.outcomes import _found
from app.outcomes.rows import PullOutcome
from app.storage.store import SqlStore
from tests.support.github.app import git
from tests.support.runs.stored import trigger

BASE = "def total(xs):\n    t = 1\n    for x in xs:\n        t += x\n    return t\n"
FIXED = BASE.replace("t = 1", "t = 0")
TEST = "from cart import total\n\n\ndef test_nothing():\n    assert total([]) == 0\n"


class Repository:
    """A repository with a proven fix in two commits on a branch, and a base that moved."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        git(path, "init", "-q", "-b", "main")
        self.commit("Begin", {"cart.py": BASE})
        git(path, "switch", "-qc", "fix")
        self.commit("Start at 0", {"cart.py": FIXED})
        self.commit("Test it", {"test_cart.py": TEST})
        self.proven = git(path, "diff", "main", "fix") + "\n"
        git(path, "switch", "-q", "main")
        self.commit("Elsewhere", {"other.py": "x = 1\n"})

    def commit(self, words: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            (self.path / name).write_text(text)
        git(self.path, "add", "-A")
        git(self.path, "commit", "-qm", words)
        return git(self.path, "rev-parse", "HEAD")

    def squash(self) -> str:
        git(self.path, "merge", "-q", "--squash", "fix")
        return self.commit("Start at 0 (#5)", {})

    def rebase(self) -> str:
        git(self.path, "cherry-pick", "main..fix")
        return git(self.path, "rev-parse", "HEAD")

    def merge(self) -> str:
        git(self.path, "merge", "-q", "--no-ff", "-m", "Merge pull request #5 from x/fix", "fix")
        return git(self.path, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repo")


def look(repository: Repository, store: SqlStore, commit: str) -> PullOutcome:
    run = store.get_run(store.accept("d1", "issues", trigger(1), model="m").run_id)
    mirror = Mirror(repository.path / ".git", "http://127.0.0.1/x")
    kept = PullOutcome(run_id=run.id, kind="merged", commit=commit, branch="main")
    tip = git(repository.path, "rev-parse", "main")
    named = run.model_copy(update={"pull_number": 5})
    return _found(mirror, tip, kept, named, repository.proven)


@pytest.mark.parametrize(("how", "commits"), [("merge", 1), ("squash", 1), ("rebase", 2)])
def test_what_was_proven_is_merged_in_three_ways(
    repository: Repository, store: SqlStore, how: str, commits: int
) -> None:
    commit = getattr(repository, how)()
    found = look(repository, store, commit)
    assert (found.kind, found.lines_edited, found.commits) == ("untouched", 0, commits)


def test_of_a_rebase_any_commit_counts_that_is_at_least_half(
    repository: Repository, store: SqlStore
) -> None:
    commit = repository.rebase()
    git(repository.path, "revert", "--no-edit", "HEAD~1")
    assert look(repository, store, commit).reverted_by == "", "two lines of six"
    git(repository.path, "revert", "--no-edit", "HEAD~1")
    by = git(repository.path, "rev-parse", "HEAD")
    assert look(repository, store, commit).reverted_by == by
    git(repository.path, "revert", "--no-edit", "HEAD")
    assert look(repository, store, commit).reverted_by == ""


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_what_people_changed_is_counted(repository: Repository, store: SqlStore, how: str) -> None:
    git(repository.path, "switch", "-q", "fix")
    repository.commit("Say why", {"cart.py": "# Sums.\n" + FIXED})
    git(repository.path, "switch", "-q", "main")
    found = look(repository, store, getattr(repository, how)())
    assert (found.kind, found.lines_edited) == ("edited", 1)


def test_without_a_proven_patch_it_is_only_merged(repository: Repository, store: SqlStore) -> None:
    repository.proven = ""
    assert look(repository, store, repository.squash()).kind == "merged"


def test_a_revert_counts_until_its_own_lines_are_back(
    repository: Repository, store: SqlStore
) -> None:
    merged = repository.squash()
    git(repository.path, "revert", "--no-edit", "HEAD")
    revert = git(repository.path, "rev-parse", "HEAD")
    assert look(repository, store, merged).reverted_by == revert
    repository.commit(f"Words\n\nThis reverts commit {revert}.", {"other.py": "x = 2\n"})
    assert look(repository, store, merged).reverted_by == revert
    git(repository.path, "revert", "--no-edit", revert)
    assert look(repository, store, merged).reverted_by == ""


def test_a_commit_of_a_year_that_no_calendar_has(repository: Repository, store: SqlStore) -> None:
    merged = repository.squash()
    git(repository.path, "revert", "--no-edit", "HEAD")
    revert = git(repository.path, "cat-file", "commit", "HEAD")
    head, words = revert.split("\n\n", 1)
    *others, _ = head.split("\n")
    late = "\n".join([*others, "committer X <x@example.com> 99999999999999 +0000"])
    odd = git(
        repository.path,
        *("hash-object", "-t", "commit", "-w", "--stdin"),
        stdin=f"{late}\n\n{words}\n",
    )
    git(repository.path, "update-ref", "refs/heads/main", odd)
    found = look(repository, store, merged)
    assert found.reverted_by == odd
    assert found.reverted_at is not None
    assert found.reverted_at.year == 9999
