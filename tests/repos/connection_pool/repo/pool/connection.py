"""A connection that only pretends."""

import itertools

_ids = itertools.count(1)


class ConnectionClosed(RuntimeError):
    pass


class Connection:
    def __init__(self):
        self.id = next(_ids)
        self.closed = False
        self.log = []

    def execute(self, statement):
        if self.closed:
            raise ConnectionClosed(self.id)
        self.log.append(statement)
        return len(self.log)

    def close(self):
        self.closed = True
