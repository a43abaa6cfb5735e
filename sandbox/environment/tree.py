"""A repository's tree as a tar file: its paths, and the texts that a choice is made from."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sandbox.errors import SandboxError

_MOST_TEXT = 4 * 1024**2
"""A lock file may be long; one that is longer is cut, and still decides the hash by its start."""
_MOST_TEXTS = 64 * 1024**2
"""Bytes of all texts; what comes after them in the archive is left out."""
_BLOCK = 4096
_PIECE = 1024**2


@dataclass(frozen=True, slots=True)
class Tree:
    """What is known of a tree."""

    files: tuple[str, ...]
    """Paths of regular files, in the archive's order."""
    texts: dict[str, str]
    disk_bytes: int
    """What the files take up on a disk with pages of 4 KiB."""
    committed: int = 0
    """When the tree was committed, in seconds since 1970: git gives its archives that time. 0: not
    known."""


def read_tree(tar: Path, wanted: Callable[[Sequence[str]], Sequence[str]]) -> Tree:
    """Read a tar file; `wanted` says which files' texts to take. Nothing is unpacked; blocks."""
    try:
        with tarfile.open(tar, "r:") as archive:
            members = {m.name.removeprefix("./"): m for m in archive if m.isreg()}
            texts: dict[str, str] = {}
            left = _MOST_TEXTS
            for name in wanted(tuple(members)):
                file = archive.extractfile(members[name]) if name in members else None
                if file is not None and left > 0:
                    content = file.read(min(_MOST_TEXT, left))
                    left -= len(content)
                    texts[name] = content.decode("utf-8", "replace")
    except (tarfile.TarError, OSError) as error:
        raise SandboxError(f"The repository's tree cannot be read: {error}") from None
    pages = sum(-(-m.size // _BLOCK) for m in members.values())
    committed = int(max((m.mtime for m in members.values()), default=0))
    return Tree(tuple(members), texts, pages * _BLOCK, committed)


def tree_hash(tar: Path) -> str:
    """A name for everything in a tree that a program in it can see: names, modes, links, bytes.

    Times do not count: they are the commit's, and two commits may have the same tree. Blocks.
    """
    entries = []
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                content = _digest(file) if file else ""
                kind = member.type.decode("latin-1")
                entries.append([member.name, kind, member.mode, member.linkname, content])
    except (tarfile.TarError, OSError) as error:
        raise SandboxError(f"The repository's tree cannot be read: {error}") from None
    whole = json.dumps(sorted(entries)).encode("utf-8", "surrogatepass")
    return hashlib.sha256(whole).hexdigest()


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
