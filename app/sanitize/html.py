"""Hostile text made safe to look at: terminal colours as spans, unseen characters by their names.

Everything that comes out is escaped markup whose only tags are `span`s with classes of our own
style sheet. Time is linear in the length of what is shown, whatever the text holds.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from agent.text.visible import FILLERS, REPEATED

SHOWN = 24_000
"""Characters of one text that a page shows; more is cut from its middle and is in the log."""

# Control sequences as ECMA-48 has them: CSI, then OSC and other strings, then two-character ones.
_ESCAPE = re.compile(
    r"\x1b\[([0-?]{0,64})[ -/]{0,8}([@-~])"
    r"|\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]{0,8}[0-~]"
)
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    f"\ufff9-\ufffb{FILLERS}]+|{REPEATED}"
)
NAMED = 8
"""Characters of one unseen stretch that are named; of the others the number is given."""
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def clip(text: str, longest: int = SHOWN) -> str:
    """Head and tail of a long text, with a line between that says how much is missing."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def plain(text: str, longest: int = SHOWN) -> Markup:
    """Text without terminal sequences; other unseen characters are named."""
    return _escape_visibly(_ESCAPE.sub("", clip(text, longest).replace("\r\n", "\n")))


def words(text: str) -> str:
    """The same for where no markup can stand, as in a title."""
    text = _ESCAPE.sub("", clip(text, 300))
    return _UNSEEN.sub(_names, text)


def terminal(text: str, longest: int = SHOWN) -> Markup:
    """A command's output with the colours that it asked a terminal for."""
    text = clip(text, longest).replace("\r\n", "\n")
    pieces: list[Markup] = []
    style: frozenset[str] = frozenset()
    at = 0
    for found in _ESCAPE.finditer(text):
        pieces.append(_apply_style(text[at : found.start()], style))
        at = found.end()
        if found[2] == "m":
            style = _next_style(style, found[1])
    pieces.append(_apply_style(text[at:], style))
    return Markup("").join(pieces)


def patch(text: str, longest: int = SHOWN) -> Markup:
    """A unified diff, its lines marked as added, removed or headings."""
    return Markup("\n").join(
        _line(line) for line in clip(text, longest).replace("\r\n", "\n").split("\n")
    )


def _line(line: str) -> Markup:
    if line.startswith(("diff ", "index ", "--- ", "+++ ", "@@")):
        kind = "diff-head"
    elif line.startswith("+"):
        kind = "diff-add"
    elif line.startswith("-"):
        kind = "diff-del"
    else:
        return _escape_visibly(line)
    return Markup('<span class="{}">{}</span>').format(kind, _escape_visibly(line))


def _apply_style(text: str, style: frozenset[str]) -> Markup:
    if not text:
        return Markup("")
    if not style:
        return _escape_visibly(text)
    return Markup('<span class="{}">{}</span>').format(
        " ".join(sorted(style)), _escape_visibly(text)
    )


def _escape_visibly(text: str) -> Markup:
    """Escaped text; characters that hide or reorder others are shown as U+XXXX."""
    # Escaping changes none of them, and what is put in holds nothing that needs it.
    return Markup(_UNSEEN.sub(_mark_character, str(escape(text))))  # noqa: S704


def _mark_character(found: re.Match[str]) -> str:
    return f'<span class="unseen">{_names(found)}</span>'


def _names(found: re.Match[str]) -> str:
    names = " ".join(f"U+{ord(character):04X}" for character in found[0][:NAMED])
    more = len(found[0]) - NAMED
    return f"{names} and {more} more" if more > 0 else names


def _next_style(style: frozenset[str], parameters: str) -> frozenset[str]:
    """The style after one SGR sequence; colours beyond the sixteen keep the text's own."""
    codes = [int(p) for p in parameters.split(";") if p.isascii() and p.isdecimal()] or [0]
    now = set(style)
    for place, code in enumerate(codes):
        if code in (38, 48) and place + 1 < len(codes):
            break  # 256 colours and true colour: what follows are its numbers
        if code == 0:
            now.clear()
        elif code == 1:
            now.add("ansi-bold")
        elif code == 22:
            now.discard("ansi-bold")
        elif code == 4:
            now.add("ansi-line")
        elif code == 24:
            now.discard("ansi-line")
        elif 30 <= code <= 37 or 90 <= code <= 97 or code == 39:
            now = {s for s in now if not s.startswith("ansi-fg")}
            if code != 39:
                now.add(f"ansi-fg-{_COLOURS[code % 10]}")
    return frozenset(now)
