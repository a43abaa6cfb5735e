"""A pool of connections."""

from pool.connection import Connection


class PoolEmpty(RuntimeError):
    """All connections are in use."""


class Pool:
    def __init__(self, size=4):
        self.size = size
        self._free = []
        self._used = set()

    def available(self):
        return self.size - len(self._used)

    def acquire(self):
        if not self.available():
            raise PoolEmpty(f"all {self.size} connections are in use")
        connection = self._free.pop() if self._free else Connection()
        self._used.add(connection)
        return connection

    def release(self, connection):
        self._used.remove(connection)
        if not connection.closed:
            self._free.append(connection)

    def close(self):
        for connection in self._free:
            connection.close()
        self._free.clear()
