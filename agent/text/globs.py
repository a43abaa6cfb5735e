"""Patterns of paths, as policies and lists of guarded files have them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import PurePosixPath


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path matches a glob: `**` spans folders; one without `/` matches any file name.

    Case is ignored, since some file systems ignore it.
    """
    name = PurePosixPath(path).name
    return any(_regex(p).fullmatch(path if "/" in p else name) is not None for p in patterns)


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    out = ""
    for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern):
        out += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part) or re.escape(
            part
        )
    return re.compile(out, re.IGNORECASE)
