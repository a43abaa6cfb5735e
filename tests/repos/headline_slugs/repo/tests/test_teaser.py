from headlines import teaser, truncate


def test_short_text_is_kept():
    assert truncate("Short  text", 20) == "Short text"
    assert truncate("Exactly", 7) == "Exactly"


def test_cut_at_a_word():
    assert truncate("New bridge opens in spring", 12) == "New bridge..."
    assert truncate("Rain, sun, snow", 6) == "Rain..."


def test_long_first_word():
    assert truncate("Donaudampfschiff fährt", 5) == "Donau..."


def test_teaser():
    html = "<p>The mayor opened the bridge. It rained.</p>"
    assert teaser(html) == "The mayor opened the bridge."
    assert teaser(html, 11) == "The mayor..."
