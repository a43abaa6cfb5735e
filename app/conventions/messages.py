"""How a project words its commits: decided from its last messages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from agent.model import Record
from app.conventions.changes import PastChange

FEWEST = 10
SHARE = 0.6
"""A style is what so many of the last messages have."""
_BOT = re.compile(r"\[bot\]$|^(?:dependabot|renovate|github-actions|pre-commit-ci)", re.IGNORECASE)
_CONVENTIONAL = re.compile(
    r"(?P<type>build|chore|ci|docs|feat|fix|perf|refactor|revert|style|test|deps|release|bugfix)"
    r"(?P<scope>\([\w ./,@*-]{1,40}\))?!?: (?P<rest>\S.*)"
)
"""https://www.conventionalcommits.org/en/v1.0.0/"""
_FIX_WORD = re.compile(
    r"(?P<open>\[)?(?P<word>[Ff]ix(?:e[sd])?|FIX|[Bb]ug[Ff]ix|BUGFIX|BUG|[Bb]ug)(?P<close>\])?"
    r"(?P<number>(?: issue)? #\d+)?(?P<joint>: | -- | - | )(?P<rest>\S.*)"
)

Form = Literal["plain", "conventional", "word"]


class MessageStyle(Record):
    """How the first line of a fix's commit is written, and whether commits are signed off."""

    form: Form = "plain"
    """`word`: it begins with the project's own word for a fix."""
    word: str = "Fix"
    """`fix`, `Fixed`, `[Fix]`, `BUG` …"""
    joint: str = ": "
    """What stands after it."""
    numbered: bool = False
    """Whether the issue's number stands behind the word: `Fixed #12 -- …`."""
    lower: bool = False
    """Whether the rest begins with a small letter."""
    signed_off: bool = False
    seen: int = 0
    of: int = 0

    def subject(self, title: str, number: int) -> str:
        """The first line for a fix of this issue, not yet cut or cleaned."""
        words = title.strip()
        conventional = _CONVENTIONAL.fullmatch(words)
        if conventional is not None and self.form == "conventional":
            words = conventional["rest"]
        if self.lower and words[:1].isupper() and not words[1:2].isupper():
            words = words[:1].lower() + words[1:]
        numbered = f" #{number}" if self.numbered and number else ""
        return f"{self.word}{numbered}{self.joint}{words}"

    @property
    def sentence(self) -> str:
        """What was found, for people; empty where nothing was."""
        if self.form == "plain":
            return ""
        kind = "conventional commits" if self.form == "conventional" else "this form"
        return f"{self.seen} of the last {self.of} commits have {kind} (`{self.example}`)."

    @property
    def example(self) -> str:
        """The form with dots."""
        return self.subject("…", 12)


def message_style(changes: Sequence[PastChange]) -> MessageStyle:
    """The style of these commits, the newest first; bots' count for nothing."""
    own = [c for c in changes if c.subject and not c.merges and not _BOT.search(c.author)][:100]
    if len(own) < FEWEST:
        return MessageStyle()
    signed = sum("\nSigned-off-by: " in f"\n{change.body}" for change in own)
    signed_off = signed >= SHARE * len(own)
    conventional = [m for c in own if (m := _CONVENTIONAL.fullmatch(c.subject))]
    if len(conventional) >= SHARE * len(own):
        return MessageStyle(
            form="conventional",
            word="fix",
            lower=_mostly_lower([m["rest"] for m in conventional]),
            signed_off=signed_off,
            seen=len(conventional),
            of=len(own),
        )
    fixes = [m for c in own if (m := _FIX_WORD.fullmatch(c.subject))]
    if len(fixes) < FEWEST // 2:
        return MessageStyle(signed_off=signed_off)
    counted = Counter(
        (f"{m['open'] or ''}{m['word']}{m['close'] or ''}", m["joint"], bool(m["number"]))
        for m in fixes
    )
    (word, joint, numbered), number = counted.most_common(1)[0]
    if number < SHARE * len(fixes):
        return MessageStyle(signed_off=signed_off)
    rest = [m["rest"] for m in fixes]
    return MessageStyle(
        form="word",
        word=word,
        joint=joint,
        numbered=numbered,
        lower=_mostly_lower(rest),
        signed_off=signed_off,
        seen=number,
        of=len(own),
    )


def _mostly_lower(texts: Sequence[str]) -> bool:
    letters = [text[0] for text in texts if text[:1].isalpha()]
    return bool(letters) and sum(letter.islower() for letter in letters) > len(letters) / 2
