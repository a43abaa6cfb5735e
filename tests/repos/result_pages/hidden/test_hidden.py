import math

from paging import page_count
from results import Results


def test_ceiling():
    for total in range(1, 130):
        for size in (1, 2, 7, 20, 50):
            assert page_count(total, size) == math.ceil(total / size)
    assert page_count(0, 7) == 1


def test_all_hits_are_shown():
    results = Results(range(101))
    assert [h for p in range(1, results.pages + 1) for h in results.page(p)] == list(range(101))
