from batches import batched, pairs, unique
from upload import Uploader, checksum


def test_sizes():
    sizes = []
    for batch in batched(range(5), 2):
        sizes.append(len(batch))
    assert sizes == [2, 2, 1]


def test_bad_size():
    try:
        next(batched([1], 0))
    except ValueError:
        return
    assert False


def test_nothing():
    assert list(batched([], 3)) == []


def test_last_one():
    assert list(batched([1], 3)) == [[1]]


def test_pairs():
    assert list(pairs([1, 2, 3])) == [(1, 2), (2, 3)]
    assert list(pairs([])) == []


def test_unique():
    assert list(unique(["a", "A", "b"], key=str.lower)) == ["a", "b"]


def test_upload():
    uploader = Uploader(len, size=2)
    assert uploader.upload([1, 2, 2, 3]) == 3
    assert uploader.requests == 2


def test_checksum():
    assert checksum(["a", "b", "c"], 2) == checksum(["a", "b", "c"], 2) != checksum(["a", "b"], 2)
