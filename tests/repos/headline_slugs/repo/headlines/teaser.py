"""Short lines out of long texts."""

import re

from headlines.clean import squeeze, strip_tags

ELLIPSIS = "..."
SENTENCE = re.compile(r"(?<=[.!?])\s+")


def truncate(text, limit, ellipsis=ELLIPSIS):
    """At most `limit` characters of whole words, then an ellipsis that does not count.

    A text that fits is returned as it is. A first word that is too long is cut.
    """
    text = squeeze(text)
    if len(text) <= limit:
        return text
    kept = []
    length = 0
    for word in text.split(" "):
        extra = len(word) + 1 if kept else len(word)
        if length + extra >= limit:
            break
        kept.append(word)
        length += extra
    if not kept:
        return text[:limit] + ellipsis
    return " ".join(kept).rstrip(",;:") + ellipsis


def first_sentence(text):
    return SENTENCE.split(squeeze(text))[0]


def teaser(html, limit=80):
    """The first sentence of an article, cut to a line."""
    return truncate(first_sentence(strip_tags(html)), limit)
