from headlines.slug import slugify, unique_slug


def test_slugify():
    assert slugify("Crème brûlée for 3") == "creme-brulee-for-3"
    assert slugify("<b>Bold</b> move") == "bold-move"


def test_stop_words():
    assert slugify("The fall of the wall", keep_stop_words=False) == "fall-wall"
    assert slugify("The the", keep_stop_words=False) == "the-the"


def test_unique():
    assert unique_slug("News", {"news", "news-2"}) == "news-3"
