"""Text files as bytes and as text: encodings and line ends come back as they were."""

from __future__ import annotations

import codecs
import difflib
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file's text with what is needed to write it back byte for byte."""

    text: str
    """With `\\n` line ends where the file used `\\r\\n` throughout; otherwise as it was."""
    encoding: str
    crlf: bool
    mark: bytes = b""
    """The byte order mark at the file's start."""

    def encode(self, text: str) -> bytes:
        """Bytes of a changed text, in the file's own encoding and line ends.

        Raises `UnicodeEncodeError` when the encoding lacks a character of the text.
        """
        if self.crlf:
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        return self.mark + text.encode(self.encoding)


def decode(data: bytes) -> TextFile | None:
    """The file's text, or None when binary. UTF-8 first, UTF-16 by its mark, then Latin-1."""
    mark, encoding = next(((m, e) for m, e in _MARKS if data.startswith(m)), (b"", "utf-8"))
    if not mark and b"\0" in data[:8192]:
        return None
    try:
        text = data.removeprefix(mark).decode(encoding)
    except UnicodeDecodeError:
        mark, encoding = b"", "latin-1"
        text = data.decode(encoding)
    crlf = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    return TextFile(text.replace("\r\n", "\n") if crlf else text, encoding, crlf, mark)


@dataclass(frozen=True, slots=True)
class Replacement:
    """A replaced text, or why there is none."""

    text: str = ""
    line: int = 0
    """First line of the new text, from 1."""
    refusal: str = ""


def replace_once(text: str, old: str, new: str) -> Replacement:
    """Replace the one exact occurrence of `old`; refuse helpfully otherwise."""
    if not old:
        return Replacement(refusal="`old` is empty; give the exact text to replace")
    if old == new:
        return Replacement(refusal="`old` and `new` are the same")
    count = text.count(old)
    if count == 1:
        at = text.index(old)
        line = text.count("\n", 0, at) + 1
        return Replacement(text=text[:at] + new + text[at + len(old) :], line=line)
    if count > 1:
        lines = _lines_of(text, old)
        return Replacement(
            refusal=f"`old` occurs {count} times (lines {lines}); add lines around it until "
            "it is unique"
        )
    return Replacement(refusal="`old` does not occur in the file. " + _nearest(text, old))


def _lines_of(text: str, old: str) -> str:
    found: list[int] = []
    at = text.find(old)
    while at >= 0 and len(found) < 10:
        found.append(text.count("\n", 0, at) + 1)
        at = text.find(old, at + 1)
    return ", ".join(str(n) for n in found)


def _nearest(text: str, old: str) -> str:
    lines, wanted = text.split("\n"), old.strip("\n").split("\n")
    if len(lines) > 20_000 or len(wanted) > 200:
        return "View the file and copy the text exactly."
    anchor = max(wanted, key=lambda line: len(line.strip()))
    close = difflib.get_close_matches(anchor, lines, n=1, cutoff=0.5)
    if not close:
        return "Nothing like it is there; view the file first."
    at = max(0, lines.index(close[0]) - wanted.index(anchor))
    shown = "\n".join(
        f"{at + i + 1:6d}\t{line}" for i, line in enumerate(lines[at : at + len(wanted)])
    )
    return f"The nearest text is:\n{shown}\nWhite space counts; copy it without the line numbers."
