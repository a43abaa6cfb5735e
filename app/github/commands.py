"""What a comment says to the App: a command, a mention, or nothing.

    /patchwright fix [budget=N] [hint] | plan [budget=N] [hint] | go [hint] | bisect [good]
    /patchwright stop | retry [budget=N] | publish | check | prove | answer N | hint …
    /patchwright keep | reopen | explain | help
    @patchwright …

Only what a person wrote as their own words counts: quotes, code and what a page does not show are
left out, so that quoting a command or pasting a text with one does not give it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from app.github.own_words import own_words

Verb = Literal[
    "fix",
    "plan",
    "go",
    "bisect",
    "stop",
    "retry",
    "publish",
    "check",
    "prove",
    "answer",
    "hint",
    "keep",
    "reopen",
    "explain",
    "help",
]
VERBS: tuple[Verb, ...] = get_args(Verb)
LONGEST_HINT = 8000
"""Characters of a hint that are kept."""
LONGEST_ANSWER = 300
"""Characters of a comment that may be an answer without being addressed to the App."""
_NO_MORE = re.compile(r"(?:\s*(?:it|this|open|please|pr|pull request)\b[.,!]?)*\s*", re.IGNORECASE)
"""Words after a verb that takes none, which add nothing to it."""
_NUMBER = re.compile(r"(?:option\s+)?#?([1-9])[.):!]?", re.IGNORECASE)


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
    # Only with the name first and the verb right after it: "thanks @name, stop by" is talk. So is
    # "@name keep the old name", which a review may well say.
    talk = verb in ("keep", "reopen") and not _NO_MORE.fullmatch(rest)
    if verb is not None and not before.strip() and not talk:
        return Command(verb, rest, mentioned=True)
    return Mention(f"{before}{after}".strip()[:LONGEST_HINT])


def first_word(text: str) -> tuple[str, str]:
    """The first word, and the rest."""
    word = (text.split(maxsplit=1) or [""])[0]
    return word, text.strip()[len(word) :].strip()[:LONGEST_HINT]


def asked_budget(text: str) -> tuple[str | None, str]:
    """What stands after `budget=` at the beginning of a command's words, and the other words.

    None: it is not there.
    """
    word, rest = first_word(text)
    name, given, value = word.partition("=")
    if given and name.casefold() == "budget":
        return value[:40], rest
    return None, text


def _verb(word: str) -> Verb | None:
    return next((verb for verb in VERBS if verb == word.casefold()), None)


def plain_answer(body: str, options: Sequence[str]) -> int:
    """The option, from 1, that a whole comment names by its number or its words; 0: none."""
    text = body.strip()
    if len(text) > LONGEST_ANSWER or own_words(text) != text:
        return 0
    return option_named(text, options)


def option_named(text: str, options: Sequence[str]) -> int:
    """The option, from 1, that a text is the number or the words of; 0: none."""
    if number := _NUMBER.fullmatch(text.strip()):
        return int(number[1]) if int(number[1]) <= len(options) else 0
    wanted = _plain(text)
    return next((n for n, option in enumerate(options, 1) if _plain(option) == wanted), 0)


def answer_in(text: str, options: Sequence[str]) -> tuple[int, str]:
    """The option that the words of an answer name, 0 for none, and what is said besides."""
    if named := option_named(text, options):
        return named, ""
    word, rest = first_word(text)
    return option_named(word, options), rest


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold().rstrip(".!")
