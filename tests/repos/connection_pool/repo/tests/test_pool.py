import pytest

from pool.connection import ConnectionClosed
from pool.pool import Pool, PoolEmpty
from pool.run import retry, run_all, with_connection


def test_acquire_and_release():
    pool = Pool(1)
    connection = pool.acquire()
    with pytest.raises(PoolEmpty):
        pool.acquire()
    pool.release(connection)
    assert pool.acquire() is connection


def test_with_connection():
    pool = Pool(2)
    assert with_connection(pool, lambda c: c.execute("select 1")) == 1
    assert pool.available() == 2


def test_run_all():
    pool = Pool(1)
    assert run_all(pool, ["a", "b"]) == 2
    assert run_all(pool, []) == 0


def test_closed_connections_do_not_come_back():
    pool = Pool(1)
    first = pool.acquire()
    first.close()
    pool.release(first)
    assert pool.acquire() is not first
    with pytest.raises(ConnectionClosed):
        first.execute("x")


def test_retry():
    pool = Pool(5)
    seen = []

    def fails_once(connection):
        seen.append(connection)
        if len(seen) < 2:
            raise OSError("gone")
        return "ok"

    assert retry(pool, fails_once) == "ok"


def test_close():
    pool = Pool(1)
    connection = pool.acquire()
    pool.release(connection)
    pool.close()
    assert connection.closed
