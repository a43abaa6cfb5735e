"""What a person wrote as their own words in Markdown: no quotes, no code, nothing hidden."""

from __future__ import annotations

import re

_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]")
"""A list's mark, before what could be a block of its own."""
_FENCE = re.compile(r"(`{3,})[^`]*\Z|(~{3,})")
_HIDDEN = re.compile(
    # What a page does not show (CommonMark 0.31: HTML blocks, raw HTML, definitions of links).
    r"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<![A-Za-z][^>]*(?:>|\Z)"
    r"|^ {0,3}\[[^\[\]\n]{1,999}\]:.*?(?:\n[ \t]*\n|\Z)",
    re.DOTALL | re.MULTILINE,
)
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)[^<>]*>")
_QUOTING_TAGS = ("pre", "code", "samp", "kbd", "tt", "blockquote", "script", "style", "textarea")
_TICKS = re.compile("`+")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n")


def own_words(text: str) -> str:
    r"""The text with quotes, code and what is hidden blanked out; positions are unchanged.

    Lines end with `\n` alone. Where readers could disagree about what is code, it is not the
    author's own words. Takes time in proportion to the text, which may be a stranger's.
    """
    blocks = _without_blocks(text)
    # A tag may hold a backtick, and code a tag: what only one of both orders shows is blank.
    one, other = _without_html(_without_code(blocks)), _without_code(_without_html(blocks))
    return "".join(a if a == b else " " for a, b in zip(one, other, strict=True))


def _without_blocks(text: str) -> str:
    """Without fenced and indented code, and lines that quote; also within items of lists."""
    kept: list[str] = []
    closing = ""
    within = 0
    for line in text.split("\n"):
        plain = line.expandtabs(4)
        indent = len(plain) - len(plain.lstrip())
        if closing and plain.strip() and indent < within:
            closing = ""  # with the item that it was in
        if closing:
            ends = indent <= within + 3 and plain.strip().startswith(closing)
            if ends and not plain.strip().strip(closing[0]):
                closing = ""
            kept.append("")
            continue
        inner = plain
        while item := _ITEM.match(inner):
            inner = inner[item.end() :]
        column = len(plain) - len(inner)
        fence = _FENCE.match(inner.lstrip()) if column or indent <= 3 else None
        if fence:
            closing, within = fence[1] or fence[2], column
        if fence or inner.lstrip().startswith(">") or (not column and indent > 3):
            kept.append("")
        else:
            kept.append(line)
    return "\n".join(kept)


def _without_code(text: str) -> str:
    """Without spans between two equal runs of backticks within a paragraph."""
    spans: list[tuple[int, int]] = []
    start = 0
    for end in (*(found.end() for found in _PARAGRAPH_END.finditer(text)), len(text)):
        runs = [found.span() for found in _TICKS.finditer(text, start, end)]
        closers: dict[int, list[int]] = {}
        for number in reversed(range(len(runs))):
            closers.setdefault(runs[number][1] - runs[number][0], []).append(number)
        number = 0
        while number < len(runs):
            first, last = runs[number]
            first += text[first - 1 : first] == "\\" and first > 0
            same = closers.get(last - first, [])
            while same and same[-1] <= number:
                same.pop()
            if same:
                number = same[-1]
                spans.append((first, runs[number][1]))
            number += 1
        start = end
    return _blanked(text, spans)


def _without_html(text: str) -> str:
    """Without comments and the like, tags, and what stands between tags that quote."""
    text = _HIDDEN.sub(lambda hidden: re.sub(r"[^\n]", " ", hidden[0]), text)
    tags = list(_TAG.finditer(text))
    closers: dict[str, list[int]] = {}
    for tag in reversed(tags):
        if tag[1]:
            closers.setdefault(tag[2].lower(), []).append(tag.end())
    spans: list[tuple[int, int]] = []
    end = 0
    for tag in tags:
        if tag.start() < end:
            continue
        end = tag.end()
        if not tag[1] and tag[2].lower() in _QUOTING_TAGS:
            same = closers.get(tag[2].lower(), [])
            while same and same[-1] <= end:
                same.pop()
            end = same[-1] if same else end
        spans.append((tag.start(), end))
    return _blanked(text, spans)


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with spaces in these places, which come one after another."""
    out: list[str] = []
    at = 0
    for start, end in spans:
        out += [text[at:start], re.sub(r"[^\n]", " ", text[start:end])]
        at = end
    return "".join([*out, text[at:]])
