"""Text: slugs, wrapping, counting; in the src layout."""

from __future__ import annotations

from tests.histories.story import Fix, Module, Story

SLUGS = Module(
    path="src/words/slugs.py",
    text='''"""Names for addresses."""

import re


def slug(title):
    """Lower case words with dashes between."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return "-".join(words)


def unique(name, taken):
    """The name, or the first of name-2, name-3 … that is not taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def shorten(text, length):
    """At most `length` characters, with three dots for what is left out."""
    if len(text) <= length:
        return text
    return text[: length - 3] + "..."
''',
    tests_path="tests/test_slugs.py",
    tests="""from words.slugs import shorten, slug, unique


def test_plain_slug():
    assert slug("one") == "one"


def test_free_name():
    assert unique("a", {"b"}) == "a"


def test_short_text():
    assert shorten("abc", 10) == "abc"
""",
    fixes=(
        Fix(
            kind="missing call on a value",
            right="title.lower())",
            wrong="title)",
            message="""
Capital letters vanish from slugs

    >>> from words.slugs import slug
    >>> slug("Hello World")
    'ello-orld'

Expected 'hello-world'.
""",
            tests="""
def test_capitals():
    assert slug("Hello World") == "hello-world"
    assert slug("ABC 12") == "abc-12"
""",
        ),
        Fix(
            kind="off by one in a constant",
            right="    number = 2\n",
            wrong="    number = 1\n",
            message="""
Second page of a name gets number one

`unique("a", {"a"})` returns `'a-1'` instead of `'a-2'`.
""",
            tests="""
def test_numbers():
    assert unique("a", {"a"}) == "a-2"
    assert unique("a", {"a", "a-2"}) == "a-3"
    assert unique("a", {"a", "a-1"}) == "a-2"
""",
        ),
        Fix(
            kind="forgotten part of a length",
            right='return text[: length - 3] + "..."',
            wrong='return text[:length] + "..."',
            message="""
Shortened titles are longer than allowed

    >>> from words.slugs import shorten
    >>> shorten("abcdefghij", 6)
    'abcdef...'

The three dots count as well: 'abc...' is right.
""",
            tests="""
def test_length_is_kept():
    assert shorten("abcdefghij", 6) == "abc..."
    assert shorten("abcdefghij", 9) == "abcdef..."
    assert len(shorten("x" * 50, 20)) == 20
""",
        ),
    ),
)

COUNTS = Module(
    path="src/words/counts.py",
    text='''"""Counting words."""


def count(text):
    """How often each word stands in the text."""
    found = {}
    for word in text.split():
        found[word] = found.get(word, 0) + 1
    return found


def top(text, most):
    """The most frequent words, then by alphabet."""
    counted = count(text)
    return sorted(counted, key=lambda w: (-counted[w], w))[:most]


def longest(words):
    """The longest word; the first of several. None without words."""
    best = None
    for word in words:
        if best is None or len(word) > len(best):
            best = word
    return best


def is_palindrome(text):
    """Whether it reads the same backwards, blanks and case aside."""
    letters = [c.lower() for c in text if c.isalnum()]
    return letters == letters[::-1]
''',
    tests_path="tests/test_counts.py",
    tests="""from words.counts import count, is_palindrome, longest, top


def test_count_of_nothing():
    assert count("") == {}


def test_top_of_one():
    assert top("a", 3) == ["a"]


def test_longest_of_none():
    assert longest([]) is None


def test_palindrome():
    assert is_palindrome("abba")
    assert not is_palindrome("abc")
""",
    fixes=(
        Fix(
            kind="wrong default of a lookup",
            right="found.get(word, 0) + 1",
            wrong="found.get(word, 1) + 1",
            message="""
Every word is counted once too often

    >>> from words.counts import count
    >>> count("a b a")
    {'a': 3, 'b': 2}

It should be {'a': 2, 'b': 1}.
""",
            tests="""
def test_counting():
    assert count("a b a") == {"a": 2, "b": 1}
    assert count("x") == {"x": 1}
""",
        ),
        Fix(
            kind="sorting key",
            right="key=lambda w: (-counted[w], w)",
            wrong="key=lambda w: (counted[w], w)",
            message="""
top() gives the rarest words

`top("b a b c", 1)` returns `['a']`, but it should be `['b']`.
""",
            tests="""
def test_top():
    assert top("b a b c", 1) == ["b"]
    assert top("b a b c a d", 3) == ["a", "b", "c"]
    assert top("z y", 5) == ["y", "z"]
""",
        ),
        Fix(
            kind="condition forgets a case",
            right="letters = [c.lower() for c in text if c.isalnum()]",
            wrong="letters = [c.lower() for c in text]",
            message="""
Sentences are never palindromes

`is_palindrome("Never odd or even")` returns `False` instead of `True`. Blanks and commas do not
count.
""",
            tests="""
def test_sentences():
    assert is_palindrome("Never odd or even")
    assert is_palindrome("Madam, I'm Adam")
    assert not is_palindrome("Never odd or even, right?")
    assert is_palindrome("1, 2 1")
""",
        ),
    ),
)

WORDS = Story(
    name="words",
    modules=(SLUGS, COUNTS),
    files={
        "src/words/__init__.py": "",
        "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['src']\n",
    },
)
