"""How much a tree may add to a sandbox is a limit, whatever the tree holds."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from sandbox.errors import SandboxError
from sandbox.protocol import Limits
from sandbox.sizing import TreeSize, mount_sizes, tree_size

MIB = 1024**2


def tar_of(path: Path, files: int, size: int) -> Path:
    with tarfile.open(path, "w") as archive:
        for number in range(files):
            info = tarfile.TarInfo(f"f{number}")
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
    return path


@pytest.mark.parametrize(("files", "size"), [(4, 16 * MIB), (6_000, 1)])
def test_a_tree_adds_no_more_than_the_limit(tmp_path: Path, files: int, size: int) -> None:
    tar = tar_of(tmp_path / "t.tar", files, size)
    roomy = Limits(memory_bytes=128 * MIB, tree_bytes=1024 * MIB)
    added = mount_sizes(roomy, tree_size(tar, roomy)).memory - roomy.memory_bytes
    assert 0 < added <= roomy.tree_bytes
    with pytest.raises(SandboxError, match="tree_mb"):
        tree_size(tar, Limits(memory_bytes=128 * MIB, tree_bytes=added - 1))


def test_a_usual_tree_adds_nothing(tmp_path: Path) -> None:
    limits = Limits(tree_bytes=1)
    assert tree_size(tar_of(tmp_path / "t.tar", 10, 1000), limits) == TreeSize()
