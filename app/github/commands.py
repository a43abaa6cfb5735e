"""What a comment says to the App: a command, a mention, or nothing.

    /patchwright fix [hint] | stop | retry | publish | hint … | explain | help
    @patchwright …

Only what a person wrote as their own words counts: quoted lines and code are left out, so that
quoting a command does not give it again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Verb = Literal["fix", "stop", "retry", "publish", "hint", "explain", "help"]
VERBS: tuple[Verb, ...] = get_args(Verb)
LONGEST_HINT = 8000
"""Characters of a hint that are kept."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_CODE = re.compile(r"(?<!`)(`+)(?!`)[^\n]+?(?<!`)\1(?!`)")
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


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
    word, rest = _split(text)
    if not word:
        return Command("help")
    verb = _verb(word)
    return Unknown(word[:40]) if verb is None else Command(verb, rest)


def _mention(before: str, after: str) -> Command | Mention:
    word, rest = _split(after)
    verb = _verb(word.rstrip(":,.!"))
    # Only with the name first and the verb right after it: "thanks @name, stop by" is talk.
    if verb is not None and not before.strip():
        return Command(verb, rest, mentioned=True)
    return Mention(f"{before}{after}".strip()[:LONGEST_HINT])


def _split(text: str) -> tuple[str, str]:
    """The first word, and the rest."""
    word = (text.split(maxsplit=1) or [""])[0]
    return word, text.strip()[len(word) :].strip()[:LONGEST_HINT]


def _verb(word: str) -> Verb | None:
    return next((verb for verb in VERBS if verb == word.casefold()), None)


def _without_quotes(text: str) -> str:
    """The text with quotes, code and hidden comments blanked out; positions are unchanged."""
    kept: list[str] = []
    closing = ""
    for line in _HIDDEN.sub(_blank, text).split("\n"):
        fence = _FENCE.match(line)
        if closing:
            if fence and fence[1].startswith(closing) and not line.strip().strip(closing[0]):
                closing = ""
            kept.append("")
        elif fence:
            closing = fence[1]
            kept.append("")
        elif line.lstrip().startswith(">") or line.startswith(("    ", "\t")):
            kept.append("")
        else:
            kept.append(_CODE.sub(_blank, line))
    return "\n".join(kept)


def _blank(hidden: re.Match[str]) -> str:
    return "".join("\n" if char == "\n" else " " for char in hidden[0])
