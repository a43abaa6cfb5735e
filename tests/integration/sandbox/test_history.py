"""A sandbox with the repository's history: git works in it as on a developer's machine."""

from pathlib import Path

import pytest

from app.git.commit_history import CommitHistories
from app.git.local import mirror_local
from sandbox.docker.engine import DockerEngine
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits
from sandbox.spec import SandboxSpec
from tests.support.github.app import git
from tests.support.sandboxes.fixtures import INSTALLATION, engine

__all__ = ["engine"]

pytestmark = pytest.mark.docker


async def test_git_tells_of_the_past_and_no_diff_does(engine: DockerEngine, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q")
    for text in ("one", "two"):
        (work / "a.txt").write_text(f"{text}\nsame\n")
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", f"Say {text}")
    git(work, "tag", "v1")
    local = mirror_local(work, tmp_path / "mirror")
    tree, past = tmp_path / "tree.tar", tmp_path / "history.tar"
    local.mirror.tree_tar(local.commit, tree)
    history = CommitHistories(local.mirror, tmp_path / "h").of(local.commit)
    assert history is not None
    history.write_tar(past)
    spec = SandboxSpec(BASE_IMAGE, Limits(), "history", "test", installation=INSTALLATION)
    box = await engine.open(spec, tree, past)
    try:
        asked = await box.run(
            "git log --format=%s && git describe --tags && git status --porcelain && "
            "git blame -s a.txt && git log --oneline -S one -- a.txt | wc -l && git fsck 2>&1"
        )
        lines = asked.text.split("\n")
        assert asked.ok and lines[:3] == ["Say two", "Say one", "v1"], asked.text
        assert lines[3].endswith("1) two") and lines[4].endswith("2) same")
        assert lines[5] == "2" and "missing" not in asked.text
        assert await box.diff() == ""
        base = await box.snapshot()
        done = await box.run("echo three > a.txt && git commit -qam Mine && git checkout -q HEAD~2")
        assert done.ok, done.text
        assert "+one" in await box.diff() and ".git" not in await box.diff()
        await box.restore(base)
        assert await box.diff() == ""
        assert (await box.read("a.txt")) == b"two\nsame\n"
    finally:
        await box.close()
