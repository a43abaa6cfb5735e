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

from app.github.own_words import own_words

Verb = Literal[
    "fix", "bisect", "stop", "retry", "publish", "check", "prove", "hint", "explain", "help"
]
VERBS: tuple[Verb, ...] = get_args(Verb)
LONGEST_HINT = 8000
"""Characters of a hint that are kept."""


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
    lines, own = text.split("\n"), own_words(text).split("\n")
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
