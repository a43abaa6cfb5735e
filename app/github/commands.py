"""What a comment says to the App: a command, a mention, or nothing.

    /patchwright fix [hint] | bisect [good] | stop | retry | publish | check | prove
    /patchwright hint … | explain | help
    @patchwright …

Only what a person wrote as their own words counts: quotes, code and what a page does not show are
left out, so that quoting a command or pasting a text with one does not give it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Verb = Literal[
    "fix", "bisect", "stop", "retry", "publish", "check", "prove", "hint", "explain", "help"
]
VERBS: tuple[Verb, ...] = get_args(Verb)
LONGEST_HINT = 8000
"""Characters of a hint that are kept."""

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


@dataclass(frozen=True, slots=True)
class Command:
    """A command, with the words after it."""

    verb: Verb
    text: str = ""
    mentioned: bool = False
    """Given by `@name` and not by `/name`."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Addressed to us, but not with a known command."""

    word: str


@dataclass(frozen=True, slots=True)
class Mention:
    """We are named, without a command."""

    text: str


def parse(body: str, name: str) -> Command | Unknown | Mention | None:
    """What a comment says to the App called `name`; the first thing that is said counts."""
    text = body.replace("\r\n", "\n").replace("\r", "\n")
    if name.casefold() not in text.casefold():
        return None
    lines, own = text.split("\n"), _without_quotes(text).split("\n")
    slash = re.compile(rf"\s{{0,3}}/{re.escape(name)}(?![\w-])", re.IGNORECASE)
    at = re.compile(
        rf"(?<![\w`@/.+-])@{re.escape(name)}(?:\[bot\])?(?![\w/\[-])(?!\.\w)[,:]?", re.IGNORECASE
    )
    for number, line in enumerate(own):
        if match := slash.match(line):
            return _command(_rest(lines, number, match.end()))
        if match := at.search(line):
            before = "\n".join((*lines[:number], lines[number][: match.start()]))
            return _mention(before, _rest(lines, number, match.end()))
    return None


def _rest(lines: list[str], number: int, column: int) -> str:
    return "\n".join((lines[number][column:], *lines[number + 1 :])).strip()


def _command(text: str) -> Command | Unknown:
    word, rest = first_word(text)
    if not word:
        return Command("help")
    verb = _verb(word)
    return Unknown(word[:40]) if verb is None else Command(verb, rest)


def _mention(before: str, after: str) -> Command | Mention:
    word, rest = first_word(after)
    verb = _verb(word.rstrip(":,.!"))
    # Only with the name first and the verb right after it: "thanks @name, stop by" is talk.
    if verb is not None and not before.strip():
        return Command(verb, rest, mentioned=True)
    return Mention(f"{before}{after}".strip()[:LONGEST_HINT])


def first_word(text: str) -> tuple[str, str]:
    """The first word, and the rest."""
    word = (text.split(maxsplit=1) or [""])[0]
    return word, text.strip()[len(word) :].strip()[:LONGEST_HINT]


def _verb(word: str) -> Verb | None:
    return next((verb for verb in VERBS if verb == word.casefold()), None)


def _without_quotes(text: str) -> str:
    """The text with quotes, code and what is hidden blanked out; positions are unchanged.

    Where readers could disagree about what is code, it is not the author's own words. Takes time
    in proportion to the text, which may be a stranger's.
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
