"""Halves of characters (lone surrogates), which JSON can write and UTF-8 cannot."""

from __future__ import annotations

from typing import Any


def join_surrogates(text: str) -> str:
    """The text with matching halves put together and U+FFFD for those that have no other."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def join_surrogates_in(value: Any) -> Any:
    """A value decoded from JSON with all its texts `join_surrogates`."""
    if isinstance(value, str):
        return join_surrogates(value)
    if isinstance(value, list):
        return [join_surrogates_in(inner) for inner in value]
    if isinstance(value, dict):
        return {join_surrogates(key): join_surrogates_in(inner) for key, inner in value.items()}
    return value
