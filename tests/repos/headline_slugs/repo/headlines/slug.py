"""Slugs for URLs."""

import re

from headlines.clean import ascii_only, squeeze, strip_tags

STOP = {"a", "an", "the", "of", "and", "or"}


def slugify(text, separator="-", keep_stop_words=True):
    """A headline as a URL part."""
    words = re.findall(r"[a-z0-9]+", ascii_only(strip_tags(text)).lower())
    if not keep_stop_words:
        words = [w for w in words if w not in STOP] or words
    return separator.join(words)


def unique_slug(text, taken, separator="-"):
    """A slug that is not taken yet, numbered from 2."""
    base = slugify(squeeze(text), separator)
    slug, number = base, 2
    while slug in taken:
        slug = f"{base}{separator}{number}"
        number += 1
    return slug
