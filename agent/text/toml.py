"""TOML of others, read within bounds."""

from __future__ import annotations

import re
import tomllib
from typing import Any

_LONG_KEY = re.compile(r"(?<![\w\"'.-])(?:[\w\"'-]{1,60}[ \t]{0,3}\.[ \t]{0,3}){60}")
"""`a.a.a.…`: a key's parts take the square of their number."""


def toml_table(text: str) -> dict[str, Any]:
    """The text's table. Raises `ValueError` where it is no TOML, too deep, or has such a key."""
    if _LONG_KEY.search(text):
        raise ValueError("a key has too many parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
