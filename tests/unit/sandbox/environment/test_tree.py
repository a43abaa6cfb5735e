"""A tree's name: what a program in it can see decides it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from sandbox.environment.tree import tree_hash
from sandbox.errors import SandboxError

Entry = tuple[str, bytes, bytes, int, str, int]
FILE: Entry = ("dev/prepare", tarfile.REGTYPE, b"echo", 0o644, "", 1)
LINK: Entry = ("link", tarfile.SYMTYPE, b"", 0o777, "dev", 1)


def named(path: Path, *entries: Entry) -> str:
    with tarfile.open(path, "w") as archive:
        for name, kind, data, mode, link, time in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.linkname, info.mtime = kind, mode, link, time
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return tree_hash(path)


def test_names_bytes_modes_and_links_count_and_times_do_not(tmp_path: Path) -> None:
    tar = tmp_path / "t.tar"
    one = named(tar, FILE, LINK)
    assert one == named(tar, LINK, (*FILE[:5], 99))
    others = {
        named(tar, FILE),
        named(tar, ("dev/prepare2", *FILE[1:]), LINK),
        named(tar, (FILE[0], FILE[1], b"evil", *FILE[3:]), LINK),
        named(tar, (*FILE[:3], 0o755, *FILE[4:]), LINK),
        named(tar, FILE, (*LINK[:4], "/etc", 1)),
        named(tar, FILE, LINK, ("empty", tarfile.DIRTYPE, b"", 0o755, "", 1)),
    }
    assert one not in others and len(others) == 6


def test_what_is_no_tar_has_no_name(tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(b"x" * 1024)
    with pytest.raises(SandboxError, match="cannot be read"):
        tree_hash(tmp_path / "t.tar")
