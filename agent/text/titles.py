"""A title's first words, as a part of a file's or a test's name."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 50
"""Characters; no word is cut to fit."""


def name_of_title(title: str, longest: int = LONGEST) -> str:
    """The first words of a title that fit, joined by underscores; letters lose their accents.

    Words in other scripts are left out, as not every tool that runs tests takes them in a name.
    """
    plain = unicodedata.normalize("NFKD", title.casefold())
    words = re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c)))
    name = ""
    for word in words:
        if not word.isascii():
            continue
        if len(name) + len(word) > longest:
            break
        name += f"_{word}"
    return re.sub("_+", "_", name).strip("_") or "reported_bug"


def class_of_name(name: str) -> str:
    """The name of a unittest case, from that of a title."""
    words = "".join(part.capitalize() for part in name.split("_"))
    return f"{'' if words[:1].isalpha() else 'Case'}{words}Test"
