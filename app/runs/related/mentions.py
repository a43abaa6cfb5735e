"""What texts and names of others say about an issue: its number, its files, that it is closed.

Pure, and linear in the text, which may be a stranger's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.text.tracebacks import Frame, frames, in_tree
from app.git.files import listed_files
from app.git.mirror import Mirror
from app.github.own_words import own_words
from app.github.records import Pull

_CLOSES = re.compile(
    r"(?<![\w/-])(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s{1,20}(?P<place>[\w.-]{1,100}/[\w.-]{1,100})?"
    r"#(?P<number>\d{1,9})(?!\w)",
    re.IGNORECASE,
)
"""GitHub's keywords: "Linking a pull request to an issue" at docs.github.com."""
_NEGATED = re.compile(
    r"(?:\b(?:not(?! only\b)|never|cannot|without)|n['\u2019]t)(?:[ \t]+[\w-]{1,30}){0,3}[ \t]*\Z",
    re.IGNORECASE,
)
_NEGATED_WITHIN = 100
"""Characters before a keyword that are looked at."""
_NUMBER = re.compile(
    r"(?:(?<![\w./-])(?P<place>[\w.-]{1,100}/[\w.-]{1,100})|(?<![\w/&-]))#(?P<number>\d{1,9})(?!\w)"
    r"|/(?P<at>[\w.-]{1,100}/[\w.-]{1,100})/issues/(?P<of>\d{1,9})(?!\w)"
)
_VERSION = re.compile(r"(?<![\w.-])v?(\d{1,6}\.\d{1,6}(?:\.\d{1,6}){0,2})(?![\w-]|\.\d)")
_PATH = re.compile(r"(?<![\w./-])[\w-][\w./-]{0,200}\.[A-Za-z]{1,5}\b")
_MOST_WORDS = 200_000
_MOST_FILES = 20
_MOST_VERSIONS = 10
_MOST_CLAIMED = 5
"""Issues that one pull request is taken to fix."""


def closed_issues(text: str, repository: str = "") -> list[int]:
    """The issues of this repository that a text says to close, in order.

    In its author's own words: the comments of a template and quoted code close nothing.
    """
    own = _own(text)
    return [int(found["number"]) for found in _closing(own, repository)]


def says_to_close(pull: Pull, number: int, repository: str) -> bool:
    """Whether a pull request's title or text says that it closes an issue.

    That it does not is not taken for it, and nor is a list of whatever issues there are.
    """
    claimed: dict[int, None] = {}
    for text in (pull.title, pull.body):
        if f"#{number}" not in text:
            continue
        own = _own(text)
        for found in _closing(own, repository):
            if not _NEGATED.search(own[max(0, found.start() - _NEGATED_WITHIN) : found.start()]):
                claimed[int(found["number"])] = None
    return number in list(claimed)[:_MOST_CLAIMED]


def _own(text: str) -> str:
    return own_words(text[:_MOST_WORDS].replace("\r\n", "\n").replace("\r", "\n"))


def _closing(own: str, repository: str) -> list[re.Match[str]]:
    return [
        found
        for found in _CLOSES.finditer(own)
        if (found["place"] or repository).casefold() == repository.casefold()
    ]


def mentions(text: str, number: int, repository: str) -> bool:
    """Whether a text names an issue of this repository."""
    for found in _NUMBER.finditer(text[:_MOST_WORDS]):
        place, named = found["place"] or found["at"] or "", found["number"] or found["of"]
        if int(named) == number and place.casefold() in ("", repository.casefold()):
            return True
    return False


def branch_is_about(name: str, number: int) -> bool:
    """Whether a branch is named after an issue, as in `fix/45-total` or `issue-45`."""
    word = rf"(?:^|[/_-])(?:issues?|fix(?:es)?|bug|gh|hotfix)?[-_/#]?{number}(?=$|[-_/])"
    return bool(re.search(word, name, re.IGNORECASE)) and not re.search(rf"\d\.{number}", name)


def versions(text: str) -> list[str]:
    """The versions that a text names, without a leading v, in order."""
    found = dict.fromkeys(_VERSION.findall(text[:_MOST_WORDS]))
    return list(found)[:_MOST_VERSIONS]


def named_files(mirror: Mirror, commit: str, text: str) -> Sequence[str]:
    """The files of a commit that a text names, in stack traces or as paths. Raises `GitError`."""
    words = text[:_MOST_WORDS]
    places = [*frames(words), *(Frame("python", p, 0, "") for p in _PATH.findall(words))]
    if not places:
        return ()
    there = listed_files(mirror, commit)
    return tuple(dict.fromkeys(frame.path for frame in in_tree(places, there)))[:_MOST_FILES]
