import pytest
from paging import BadPage, bounds, clamp_size, page_count, window
from results import Results


def test_sizes():
    assert clamp_size(None) == 20
    assert clamp_size(0) == 1
    assert clamp_size("500") == 200


def test_page_count():
    assert page_count(0) == 1
    assert page_count(40) == 2
    assert page_count(39) == 2
    with pytest.raises(ValueError):
        page_count(-1)


def test_bounds():
    assert bounds(1, 39) == (0, 20)
    assert bounds(2, 39) == (20, 39)
    for bad in (0, 3):
        with pytest.raises(BadPage):
            bounds(bad, 39)


def test_window():
    assert window(5, 10) == [1, None, 3, 4, 5, 6, 7, None, 10]
    assert window(1, 1) == [1]


def test_results():
    results = Results(range(39))
    assert results.pages == 2
    assert results.page(2)[0] == 20
    assert results.summary(2) == "21-39 of 39"
    assert Results([]).summary(1) == "no results"
