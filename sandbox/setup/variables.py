"""Environment variables that name earlier ones."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
LONGEST_VALUE = 65_536
"""Characters of an environment variable. The kernel takes twice as many."""


def with_variables(value: str, known: Mapping[str, str]) -> str:
    """A value with the variables' values in place of their names.

    Raises `ValueError` when it gets long: a few that name each other can stand for a text without
    end.
    """
    size = len(value)

    def put(name: re.Match[str]) -> str:
        nonlocal size
        text = known.get(name[1] or name[2], "")
        size += len(text)
        if size > LONGEST_VALUE:
            raise ValueError(f"the value is longer than {LONGEST_VALUE} characters")
        return text

    return _VARIABLE.sub(put, value)
