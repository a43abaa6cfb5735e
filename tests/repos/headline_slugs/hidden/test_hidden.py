import pytest
from headlines import truncate

TEXT = "New bridge opens in spring"


@pytest.mark.parametrize("limit", range(3, 26))
def test_longest_prefix_of_whole_words(limit):
    words = TEXT.split(" ")
    fitting = [" ".join(words[:n]) for n in range(1, len(words)) if len(" ".join(words[:n])) <= limit]
    assert truncate(TEXT, limit) == fitting[-1] + "..."


def test_first_word_exactly():
    assert truncate("Donau Dampf", 5) == "Donau..."
    assert truncate("Donau Dampf", 4) == "Dona..."
