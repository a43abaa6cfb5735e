"""Faults of old objects: which are let through at a fetch, and what is said about the others.

git's check of objects (`fsck`) names each fault; git's own list is `fsck-msgids`. GitHub serves
repositories with many of them: histories are older than the checks, and a fault in a published
object can only be removed by rewriting everything after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

LET_THROUGH: Mapping[str, str] = MappingProxyType(
    {
        # Shown to people at most; nothing here reads it.
        "badDate": "a date",
        "badDateOverflow": "a date",
        "badTimezone": "a date",
        "zeroPaddedDate": "a date",
        "missingSpaceBeforeDate": "a date",  # Gitaly ignores it, too (gitlab-org/gitaly#4265)
        "badEmail": "an address",
        "badName": "a name",
        "missingEmail": "an address",
        "missingNameBeforeEmail": "a name",
        "missingSpaceBeforeEmail": "a name",
        "multipleAuthors": "an author",  # a reason why faults can be let through at all, in git
        "nulInCommit": "a message",
        "badTagName": "a tag",
        "missingTaggerEntry": "a tag",
        # The same modes, written otherwise (lodash/lodash#2309, jashkenas/underscore#2887).
        "zeroPaddedFilemode": "a mode",
        "badFilemode": "a mode",
        # In a tree of the history they harm nothing (Behat/Behat#1360 has one). The trees that are
        # worked on are looked at again: see `Order`.
        "duplicateEntries": "a tree",
        "treeNotSorted": "a tree",
        # Only read as text, never by git.
        "gitmodulesUrl": "a submodule",
        "gitmodulesParse": "a submodule",
        "gitmodulesMissing": "a submodule",
        "gitmodulesBlob": "a submodule",
        "gitmodulesLarge": "a submodule",
    }
)
"""Names of git's messages, and what of an object they are about."""

_FAULT = re.compile(r"^error: object (?P<id>[0-9a-f]{7,64}): (?P<name>[A-Za-z0-9]+): (?P<what>.*)$")
_NAMES_OF_GIT = ("hasDot", "hasDotdot", "hasDotgit", "fullPathname", "emptyName")


def fetch_settings() -> dict[str, str]:
    """git's settings for a fetch: everything is checked, and these faults are let through."""
    let_through = {f"fetch.fsck.{name}": "ignore" for name in LET_THROUGH}
    refused = {f"fetch.fsck.{name}": "error" for name in _NAMES_OF_GIT}
    return {"fetch.fsckObjects": "true", **let_through, **refused}


def explain_fault(output: str) -> str:
    """What is wrong with a history that git refused to fetch, and what to do; empty if it is not
    that.
    """
    for line in output.splitlines():
        if found := _FAULT.match(line):
            name, what = found["name"], found["what"].strip()
            why = (
                "Its files would be written outside of their folder or over git's own"
                if name in _NAMES_OF_GIT
                else "git could not work with it safely"
            )
            return (
                f"git refuses the repository's history: {name} ({what}) in the object "
                f"{found['id'][:12]}. {why}. `git fsck` in a clone names all such objects; "
                "remove them from the history (`git filter-repo`), or publish it anew without them."
            )
    return ""


class Order:
    """Whether the entries of a tree, told one by one in a walk, are in git's order and once each.

    Programs disagree about a tree whose entries are not: one finds a file where another does not.
    """

    def __init__(self) -> None:
        self._open: list[tuple[bytes, list[bytes], bytes]] = []
        """Each folder of the walk: its path, the files that a folder may yet repeat, the last."""

    def is_next(self, path: bytes, is_folder: bool) -> bool:
        """Whether the next entry may stand there."""
        folder, _, name = path.rpartition(b"/")
        while self._open and self._open[-1][0] != folder:
            self._open.pop()
        if not self._open:
            self._open.append((folder, [], b""))
        _, files, last = self._open.pop()
        # A folder is compared as if its name ended with a slash.
        place = name + (b"/" if is_folder else b"\0")
        while files and not name.startswith(files[-1]):
            files.pop()
        fits = place > last and not (files and files[-1] == name)
        if not is_folder:
            files.append(name)
        self._open.append((folder, files, place))
        if is_folder:
            self._open.append((path, [], b""))
        return fits
