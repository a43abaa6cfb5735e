"""Patches as text: parsed twice, strictly, and taken apart by hunk.

A patch comes out of a sandbox and is hostile. It is read by a grammar that knows only what
`git diff --no-renames` writes for text files, and by unidiff; both must see the same change.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from agent.errors import AgentError
from agent.model import Record


class BadPatch(AgentError):
    """The text is no patch that the gate accepts; the message says why, in a sentence."""


class Hunk(Record):
    """One hunk: where it is in the patch's lines, and what it does."""

    first: int
    """Index of its header among the patch's lines."""
    last: int
    """Index after its last line."""
    added: tuple[tuple[int, str], ...]
    """Line number in the new file and text, without the line's end."""
    removed: tuple[tuple[int, str], ...]
    """Line number in the old file and text."""


class FileChange(Record):
    """What a patch does to one file."""

    path: str
    kind: Literal["added", "deleted", "changed"]
    first: int
    last: int
    old_mode: str = ""
    new_mode: str = ""
    hunks: tuple[Hunk, ...] = ()

    @property
    def added(self) -> tuple[tuple[int, str], ...]:
        """All added lines."""
        return tuple(line for hunk in self.hunks for line in hunk.added)

    @property
    def removed(self) -> tuple[tuple[int, str], ...]:
        """All removed lines."""
        return tuple(line for hunk in self.hunks for line in hunk.removed)


_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_INDEX = re.compile(r"index [0-9a-f]{4,64}\.\.[0-9a-f]{4,64}(?: (\d{6}))?")
_MODE = re.compile(r"(old mode|new mode|new file mode|deleted file mode) (\d{6})")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "a": "\a", "b": "\b"}


def parse_patch(text: str) -> tuple[FileChange, ...]:
    """The files of a patch, in order. Raises `BadPatch`."""
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    starts: list[FileChange] = []
    at = 0
    while at < len(lines):
        change = _file(lines, at)
        starts.append(change)
        at = change.last
    if len({c.path for c in starts}) != len(starts):
        raise BadPatch("The patch changes the same file twice.")
    _second_opinion(text, starts)
    return tuple(starts)


_COMMENT = ("#", "//", "/*", "*", '"""', "'''")


def touched_paths(diff: str) -> dict[str, Literal["added", "deleted", "changed"]]:
    """The paths of a tree's diff, binary files and links too, and what became of each.

    Raises `BadPatch` when a header is not git's.
    """
    found: dict[str, Literal["added", "deleted", "changed"]] = {}
    # What stands in a file begins with a sign or a blank, so that it cannot pass for a header.
    for part in re.split(r"^(?=diff --git )", diff, flags=re.M)[1:]:
        header, *others = part.splitlines()
        path = _git_line_path(header)
        kind = _kind({words.rpartition(" ")[0]: "" for words in others[:2]})
        found[path] = "changed" if path in found else kind
    return found


def only_comments(hunk: Hunk) -> bool:
    """Whether a hunk changes blank lines and comments only."""
    return all(
        not text.strip() or text.strip().startswith(_COMMENT)
        for _, text in (*hunk.added, *hunk.removed)
    )


def hunk_line(hunk: Hunk) -> int:
    """Where a hunk's change begins: in the patched file, or in the base's if it only deletes."""
    return (hunk.added or hunk.removed)[0][0]


def without_hunks(text: str, dropped: Collection[Hunk]) -> str:
    """The patch without some hunks; files that lose all their hunks are left out whole.

    The others' headers say where they then are in the new file.
    """
    lines = text.split("\n")
    gone: set[int] = set()
    for change in parse_patch(text):
        lost = [hunk for hunk in change.hunks if hunk in dropped]
        if lost and len(lost) == len(change.hunks):
            gone.update(range(change.first, change.last))
        missing = 0
        for hunk in change.hunks:
            if hunk in lost:
                gone.update(range(hunk.first, hunk.last))
                missing += len(hunk.added) - len(hunk.removed)
            elif missing:
                lines[hunk.first] = _moved(lines[hunk.first], missing)
    return "\n".join(line for i, line in enumerate(lines) if i not in gone)


def _moved(header: str, by: int) -> str:
    """A hunk's header with its place in the new file so many lines further up."""
    return re.sub(r"(?<= \+)\d+", lambda start: str(int(start[0]) - by), header, count=1)


def _file(lines: list[str], first: int) -> FileChange:
    path = _git_line_path(lines[first])
    at = first + 1
    modes: dict[str, str] = {}
    while at < len(lines) and not lines[at].startswith(("--- ", "diff --git ")):
        line = lines[at]
        if line.startswith(("Binary files ", "GIT binary patch")):
            raise BadPatch(f"{path} is binary; only changes of text can be judged.")
        if mode := _MODE.fullmatch(line):
            modes[mode[1]] = mode[2]
        elif index := _INDEX.fullmatch(line):
            if index[1]:
                modes.setdefault("index", index[1])
        else:
            raise BadPatch(f"The patch's header of {path} has a line that is not understood.")
        at += 1
    hunks: list[Hunk] = []
    if at < len(lines) and lines[at].startswith("--- "):
        at = _names(lines, at, path, modes)
        while at < len(lines) and lines[at].startswith("@@ "):
            hunk = _hunk(lines, at, path)
            hunks.append(hunk)
            at = hunk.last
        if not hunks:
            raise BadPatch(f"The patch names {path} but changes nothing in it.")
    if at < len(lines) and not lines[at].startswith("diff --git "):
        raise BadPatch(f"The patch of {path} is followed by text that is no part of a patch.")
    return FileChange(
        path=path,
        kind=_kind(modes),
        first=first,
        last=at,
        old_mode=modes.get("old mode") or modes.get("deleted file mode") or modes.get("index", ""),
        new_mode=modes.get("new mode") or modes.get("new file mode") or modes.get("index", ""),
        hunks=tuple(hunks),
    )


def _kind(modes: dict[str, str]) -> Literal["added", "deleted", "changed"]:
    if "new file mode" in modes:
        return "added"
    return "deleted" if "deleted file mode" in modes else "changed"


def _git_line_path(line: str) -> str:
    rest = line.removeprefix("diff --git ")
    if rest == line:
        raise BadPatch("The patch is not in git's format.")
    if rest.startswith('"'):
        old, _, new = rest.partition('" ')
        old, new = _unquoted(old + '"'), _unquoted(new)
    else:
        half = (len(rest) - 1) // 2
        old, new = rest[:half], rest[half + 1 :]
    if not (old.startswith("a/") and new.startswith("b/") and old[2:] == new[2:] and old[2:]):
        raise BadPatch("The patch renames or copies a file; give it as deletion and addition.")
    return old[2:]


def _names(lines: list[str], at: int, path: str, modes: dict[str, str]) -> int:
    old = _unquoted(lines[at].removeprefix("--- ").removesuffix("\t"))
    following = lines[at + 1] if at + 1 < len(lines) else ""
    new = _unquoted(following.removeprefix("+++ ").removesuffix("\t"))
    expected = {
        "added": ("/dev/null", f"b/{path}"),
        "deleted": (f"a/{path}", "/dev/null"),
        "changed": (f"a/{path}", f"b/{path}"),
    }[_kind(modes)]
    if not following.startswith("+++ ") or (old, new) != expected:
        raise BadPatch(f"The patch's header lines of {path} contradict one another.")
    return at + 2


def _hunk(lines: list[str], first: int, path: str) -> Hunk:
    header = _HUNK.match(lines[first])
    if header is None:
        raise BadPatch(f"A hunk header of {path} is not understood.")
    old_at, new_at = int(header[1]), int(header[3])
    old_left, new_left = int(header[2] or 1), int(header[4] or 1)
    added: list[tuple[int, str]] = []
    removed: list[tuple[int, str]] = []
    at = first + 1
    while old_left > 0 or new_left > 0:
        line = lines[at] if at < len(lines) else ""
        sign = line[:1]
        if sign == "+":
            added.append((new_at, line[1:]))
        elif sign == "-":
            removed.append((old_at, line[1:]))
        elif sign not in (" ", "\\"):
            raise BadPatch(f"A hunk of {path} is shorter than its header says.")
        if sign in (" ", "-"):
            old_at, old_left = old_at + 1, old_left - 1
        if sign in (" ", "+"):
            new_at, new_left = new_at + 1, new_left - 1
        at += 1
    if old_left or new_left:
        raise BadPatch(f"A hunk of {path} is longer than its header says.")
    while at < len(lines) and lines[at].startswith("\\"):
        at += 1
    return Hunk(first=first, last=at, added=tuple(added), removed=tuple(removed))


def _unquoted(name: str) -> str:
    """A path as git writes it, quoted like a C string where it holds unusual bytes."""
    if not (len(name) >= 2 and name.startswith('"') and name.endswith('"')):
        return name
    out = bytearray()
    for part in re.finditer(r"\\([0-7]{3})|\\(.)|([^\\]+)", name[1:-1]):
        octal, escape, plain = part.groups()
        if octal:
            out.append(int(octal, 8) & 0xFF)
        elif escape:
            out += _ESCAPES.get(escape, escape).encode()
        else:
            out += plain.encode()
    return out.decode("utf-8", errors="replace")


def _second_opinion(text: str, changes: list[FileChange]) -> None:
    """Compare with unidiff's reading: a text that two parsers read differently is refused."""
    try:
        seen = PatchSet(text)
    except (UnidiffParseError, ValueError, IndexError) as error:
        raise BadPatch(f"The patch cannot be parsed: {error}") from error
    ours = [(len(c.added), len(c.removed)) for c in changes if c.hunks]
    theirs = [(f.added, f.removed) for f in seen if len(f)]
    if ours != theirs:
        raise BadPatch("The patch can be read in more than one way.")
