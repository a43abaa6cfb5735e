import pytest
from pool.pool import Pool
from pool.run import retry, run_all, with_connection


def test_back_after_an_error():
    pool = Pool(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            with_connection(pool, lambda c: 1 / 0)
    assert pool.available() == 1
    assert with_connection(pool, lambda c: 7) == 7
    assert run_all(pool, ["a"]) == 1


def test_not_before_it_is_done():
    pool = Pool(1)
    assert with_connection(pool, lambda c: pool.available()) == 0


def test_retry_uses_one():
    pool = Pool(1)
    with pytest.raises(OSError):
        retry(pool, lambda c: (_ for _ in ()).throw(OSError()))
    assert pool.available() == 1
