"""Which parts of git's diff are not text, and the attributes that make git treat them so."""

from __future__ import annotations

import re

_SECTION = re.compile(rb"^diff --git ", re.MULTILINE)
_GLOB = re.compile(rb"([*?\[\\])")


def sections_not_text(patch: bytes, names: bytes) -> list[bytes]:
    """The paths whose section of a diff is not UTF-8.

    `names` are all changed paths in the diff's order, each ended by NUL. Content lines of a diff
    start with a blank, a sign or a backslash, so "diff --git " at a line's start is a header.
    """
    starts = [found.start() for found in _SECTION.finditer(patch)]
    bodies = [patch[a:b] for a, b in zip(starts, [*starts[1:], len(patch)], strict=True)]
    paths = names.split(b"\0")[:-1]
    return [path for path, body in zip(paths, bodies, strict=False) if not _is_text(body)]


def attributes_for(paths: list[bytes]) -> bytes:
    """Lines for git's attributes file by which these very paths are binary."""
    return b"".join(b'"' + _c_quoted(b"/" + _GLOB.sub(rb"\\\1", p)) + b'" -diff\n' for p in paths)


def _c_quoted(path: bytes) -> bytes:
    return b"".join(
        b"\\%03o" % byte if byte < 0x20 or byte >= 0x7F or byte in b'"\\' else bytes([byte])
        for byte in path
    )


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
