"""Text of files in any encoding, byte for byte, in characters that every store and protocol takes.

Bytes that are not UTF-8 become characters of a private range (U+F780 to U+F7FF), and characters of
that range are taken apart into such bytes, so that the way back gives the same bytes always. Lone
surrogates, Python's own way, cannot be written as UTF-8 or JSON.
"""

from __future__ import annotations

import re

_BYTE, _SURROGATE = 0xF700, 0xDC00
_OURS = re.compile("[\uf780-\uf7ff]")
_ODD = re.compile("[\udc80-\udcff\uf780-\uf7ff]")


def to_text(data: bytes) -> str:
    """Bytes as text; UTF-8 stays as it is."""
    text = data.decode("utf-8", errors="surrogateescape")
    return _ODD.sub(lambda found: "".join(map(_of_byte, _bytes(found[0]))), text)


def to_bytes(text: str) -> bytes:
    """What `to_text` made into text, byte for byte."""
    plain = _OURS.sub(lambda found: chr(ord(found[0]) - _BYTE + _SURROGATE), text)
    return plain.encode("utf-8", errors="surrogateescape")


def _bytes(char: str) -> bytes:
    return char.encode("utf-8", errors="surrogateescape")


def _of_byte(byte: int) -> str:
    return chr(_BYTE + byte)
