"""The words that nobody may use."""

BANNED = frozenset({"password", "secret", "admin", "qwerty", "letmein"})


def load(lines):
    """A word list from a file's lines; `#` begins a comment."""
    words = set()
    for line in lines:
        word = line.partition("#")[0].strip().lower()
        if word:
            words.add(word)
    return frozenset(words)
