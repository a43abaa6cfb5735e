"""Pass phrases: normalising and checking."""

import re

from wordlist import BANNED

LEET = str.maketrans("013457$@", "oieastsa")


def words(phrase):
    """The words of a phrase, in lower case."""
    return re.findall(r"[^\W_]+", phrase.lower())


def plain(word):
    """A word without the usual disguises."""
    return word.translate(LEET)


def is_banned(word, banned=BANNED):
    return word in banned or plain(word) in banned


def is_allowed(phrase, banned=BANNED):
    """Whether no word of a phrase is banned; a phrase needs a word at least."""
    found = words(phrase)
    if not found:
        return False
    for word in found:
        if is_banned(word, banned):
            return False
        return True


def strength(phrase):
    """0 to 3: one point each for length, number of words and a digit."""
    points = 0
    if len(phrase) >= 16:
        points += 1
    if len(words(phrase)) >= 4:
        points += 1
    if any(c.isdigit() for c in phrase):
        points += 1
    return points
