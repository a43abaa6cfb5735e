"""A tree as it was before a tool wrote files and ran commands in it, to go back to."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Mapping

from agent.gate.regression_test import normalised_path
from agent.model import Record
from sandbox.errors import FileMissing
from sandbox.protocol import Sandbox


class Before(Record):
    """What `go_back` needs."""

    snapshot: str
    files: Mapping[str, bytes | None]
    """What is in each of the files that are to be written; None: it is not there."""
    missing_folders: tuple[str, ...] = ()
    """Folders of these files that are not there either, the deepest first."""


async def look(sandbox: Sandbox, paths: Iterable[str]) -> Before:
    """How the tree and some files are now. Raises `FileRefused` for what is no regular file."""
    files: dict[str, bytes | None] = {}
    for path in paths:
        try:
            files[path] = await sandbox.read(path)
        except FileMissing:
            files[path] = None
    folders = {folder for path, data in files.items() if data is None for folder in _above(path)}
    listed = ""
    if folders:
        asked = shlex.join(sorted(folders, key=len, reverse=True))
        listed = (
            await sandbox.run(f'for d in {asked}; do [ -e "$d" ] || printf \'%s\\n\' "$d"; done')
        ).text
    missing = tuple(folder for folder in listed.splitlines() if folder in folders)
    return Before(snapshot=await sandbox.snapshot(), files=files, missing_folders=missing)


async def go_back(sandbox: Sandbox, before: Before) -> None:
    """Undo all that was done since: the whole tree, and the files that git does not see too."""
    new = [normalised_path(path) for path, data in before.files.items() if data is None]
    if new:
        await sandbox.run(f"rm -f -- {shlex.join(new)}")
    for path, data in before.files.items():
        if data is not None:
            await sandbox.write(path, data)
    await sandbox.restore(before.snapshot)
    if before.missing_folders:
        await sandbox.run(f"rmdir -- {shlex.join(before.missing_folders)} 2>/dev/null; true")


def _above(path: str) -> list[str]:
    """The folders that a path lies in, without the root."""
    found = []
    folder = posixpath.dirname(normalised_path(path))
    while folder not in ("/", ""):
        found.append(folder)
        folder = posixpath.dirname(folder)
    return found
