"""Text before anything else is done with it."""

import re
import unicodedata

SPACES = re.compile(r"\s+")
TAGS = re.compile(r"<[^>]+>")


def squeeze(text):
    """One space between words, none around."""
    return SPACES.sub(" ", text).strip()


def strip_tags(text):
    return TAGS.sub("", text)


def ascii_only(text):
    """Letters without their accents; what has no ASCII letter is dropped."""
    decomposed = unicodedata.normalize("NFKD", text)
    return decomposed.encode("ascii", "ignore").decode("ascii")
