"""A local repository as `patchwright fix` takes it: borrowed, never written to."""

import contextlib
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.git.local import RepositoryRefused, local_change, mirror_local
from app.git.mirror import Identity
from tests.support.github.app import CART, PATCH, git

BOT = Identity("patchwright[bot]", "patchwright[bot]@users.example")
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with a clean work tree."""
    folder = tmp_path / "work"
    (folder / "shop").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "shop" / "cart.py").write_text(CART)
    (folder / "secret.txt").write_text("kept\n")
    (folder / ".gitattributes").write_text("secret.txt export-ignore\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_local_repository_is_borrowed_and_left_alone(work: Path, tmp_path: Path) -> None:
    before = _files(work)
    local = mirror_local(work, tmp_path / "scratch")
    assert local.commit == git(work, "rev-parse", "HEAD")
    out = tmp_path / "tree.tar"
    local.mirror.tree_tar(local.commit, out)
    with tarfile.open(out) as tar:
        assert "secret.txt" in tar.getnames()
    made = local.mirror.commit_patch(
        local.commit, PATCH, message="m", author=BOT, branch="b", when=WHEN
    )
    assert made not in git(work, "rev-list", "--all")
    assert _files(work) == before


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(p.relative_to(folder)): (p.lstat().st_mtime_ns, p.lstat().st_size)
        for p in folder.rglob("*")
    }


def test_a_linked_worktree_can_be_borrowed_too(tmp_path: Path) -> None:
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init", "-q", "-b", "main")
    (main / "a.txt").write_text("a\n")
    git(main, "add", "-A")
    git(main, "commit", "-q", "-m", "first")
    git(main, "worktree", "add", "-q", "../linked")
    local = mirror_local(tmp_path / "linked", tmp_path / "scratch")
    local.mirror.tree_tar(local.commit, tmp_path / "tree.tar")


def test_an_unusable_folder_is_reported_in_one_sentence(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    with pytest.raises(RepositoryRefused, match="There is no folder"):
        mirror_local(tmp_path / "nowhere", scratch)
    (tmp_path / "plain").mkdir()
    with pytest.raises(RepositoryRefused, match="is not a git repository"):
        mirror_local(tmp_path / "plain", scratch)
    repo = tmp_path / "repo"
    (repo / "sub").mkdir(parents=True)
    git(repo, "init", "-q")
    with pytest.raises(RepositoryRefused, match="no commits yet"):
        mirror_local(repo, scratch)
    (repo / "a.txt").write_text("a\n")
    (repo / "sub" / "b.txt").write_text("b\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "first")
    with pytest.raises(RepositoryRefused, match="is inside the repository"):
        mirror_local(repo / "sub", scratch)
    (repo / "a.txt").write_text("changed\n")
    (repo / "new.txt").write_text("new\n")
    with pytest.raises(RepositoryRefused, match=r"not committed: a\.txt, new\.txt"):
        mirror_local(repo, scratch)
    for n in range(20):
        (repo / f"n{n}.txt").write_text("x")
    with pytest.raises(RepositoryRefused, match="and 12 more"):
        mirror_local(repo, scratch)


def test_the_environment_of_a_hook_does_not_mislead(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when `patchwright fix` is run by a git hook, which sets these."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path))
    local = mirror_local(work, tmp_path / "scratch")
    assert local.commit == git(work, "rev-parse", "HEAD")
    local.mirror.tree_tar(local.commit, tmp_path / "tree.tar")


def test_a_filter_of_the_repository_is_not_run(work: Path, tmp_path: Path) -> None:
    (work / ".gitattributes").write_text("* filter=a.b=c\n")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "filtered")
    for kind in ("clean", "process", "smudge"):
        git(work, "config", "--file", "more", f"filter.a.b=c.{kind}", f"touch {tmp_path}/ran; cat")
    git(work, "config", "filter.a.b=c.required", "true")
    (work / "more").rename(work / ".git" / "more")
    git(work, "config", "include.path", "more")
    for file in work.glob("*.*"):
        os.utime(file, (1, 1))
    mirror_local(work, tmp_path / "scratch")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("setting", "is_run"),
    [
        ("lfs.repositoryformatversion", True),
        ("lfs.https://example.com/o/r.git/info/lfs.access", True),
        # Git LFS runs what these name.
        ("lfs.extension.evil.clean", False),
        ("lfs.extension.access", False),
        ("lfs.storage", False),
        ("filter.lfs.clean", False),
    ],
)
def test_the_persons_own_lfs_is_run_only_without_the_repositorys_programs(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, is_run: bool
) -> None:
    (work / ".gitattributes").write_text("* filter=lfs\n")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "large files")
    program = tmp_path / "bin" / "git-lfs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (tmp_path / "gitconfig").write_text('[filter "lfs"]\nclean = git-lfs clean -- %f\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    git(work, "config", setting, "git-lfs clean -- %f")
    for file in work.glob("*.*"):
        os.utime(file, (1, 1))
    mirror_local(work, tmp_path / "scratch")
    assert (tmp_path / "ran").exists() is is_run


def test_an_object_that_the_repository_lacks_runs_no_program(work: Path, tmp_path: Path) -> None:
    tree = git(work, "rev-parse", "HEAD^{tree}").strip()
    for key, value in (
        ("core.repositoryformatversion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", str(tmp_path)),
        ("remote.origin.uploadpack", f"touch {tmp_path}/ran; git-upload-pack"),
    ):
        git(work, "config", key, value)
    (work / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    (work / ".git" / "index").unlink()
    with contextlib.suppress(RepositoryRefused):
        mirror_local(work, tmp_path / "scratch")
    assert not (tmp_path / "ran").exists()


def test_what_is_configured_in_the_repository_is_not_run(work: Path, tmp_path: Path) -> None:
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    spy.chmod(0o755)
    git(work, "config", "core.fsmonitor", str(spy))
    git(work, "config", "core.pager", str(spy))
    for hook in ("post-index-change", "reference-transaction"):
        (work / ".git" / "hooks").mkdir(exist_ok=True)
        (work / ".git" / "hooks" / hook).symlink_to(spy)
    local = mirror_local(work, tmp_path / "scratch")
    local.mirror.commit_patch(local.commit, PATCH, message="m", author=BOT, branch="b", when=WHEN)
    assert not (tmp_path / "ran").exists()


def test_a_change_begins_where_the_branches_parted(work: Path) -> None:
    parted = git(work, "rev-parse", "HEAD")
    git(work, "checkout", "-q", "-b", "fix")
    (work / "shop" / "cart.py").write_text("fixed = True\n")
    git(work, "commit", "-qam", "Fix the cart")
    git(work, "commit", "-q", "--allow-empty", "-m", "More words")
    fixed = git(work, "rev-parse", "HEAD")
    git(work, "checkout", "-q", "main")
    git(work, "commit", "-q", "--allow-empty", "-m", "Something else")
    (work / "unsaved.txt").write_text("not committed\n")
    found = local_change(work, "main", "fix")
    assert (found.base, found.head) == (parted, fixed)
    assert found.message.split("\n\n") == ["Fix the cart", "More words"]


@pytest.mark.parametrize(
    ("base", "head", "told"),
    [
        ("nowhere", "HEAD", "no commit nowhere"),
        ("HEAD", "--output=x", "no commit --output=x"),
        ("HEAD", "alone", "no commit in common"),
    ],
)
def test_what_is_no_change_is_said(work: Path, base: str, head: str, told: str) -> None:
    git(work, "checkout", "-q", "--orphan", "alone")
    git(work, "commit", "-qm", "alone")
    git(work, "checkout", "-q", "main")
    with pytest.raises(RepositoryRefused, match=told):
        local_change(work, base, head)


def test_a_change_is_of_a_repository(tmp_path: Path) -> None:
    with pytest.raises(RepositoryRefused, match="no folder"):
        local_change(tmp_path / "nowhere", "HEAD~1", "HEAD")
    with pytest.raises(RepositoryRefused, match="not a git repository"):
        local_change(tmp_path, "HEAD~1", "HEAD")
