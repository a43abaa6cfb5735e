"""Running things on connections of a pool."""


def with_connection(pool, action):
    """What `action(connection)` gives; the connection goes back to the pool."""
    connection = pool.acquire()
    result = action(connection)
    pool.release(connection)
    return result


def run_all(pool, statements):
    """Execute statements on one connection; how many ran."""

    def work(connection):
        count = 0
        for statement in statements:
            connection.execute(statement)
            count += 1
        return count

    return with_connection(pool, work)


def retry(pool, action, times=3, on=(OSError,)):
    """Try an action again when it fails with one of these errors."""
    for attempt in range(1, times + 1):
        try:
            return with_connection(pool, action)
        except on:
            if attempt == times:
                raise
    return None
