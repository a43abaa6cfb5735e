from batches import batched


def test_batches_are_kept():
    assert list(batched(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batched(range(6), 3)) == [[0, 1, 2], [3, 4, 5]]
    assert list(batched([1], 1)) == [[1]]


def test_lists():
    first, second = batched("abcd", 2)
    assert first == ["a", "b"] and second == ["c", "d"]
    first.append("x")
    assert second == ["c", "d"]
