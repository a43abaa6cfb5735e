"""Several callers' writes in one transaction: one wait for the disk instead of many.

A caller's write is durable when its call returns, as in a transaction of its own. While one
transaction is being committed, the writes that come in meanwhile gather for the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

T = TypeVar("T")
Write = Callable[[sa.Connection], T]
MOST = 64
"""Writes in one transaction: the first of them waits for all."""


class _Waiting:
    def __init__(self, write: Write[Any]) -> None:
        self.write = write
        self.done = False
        self.result: Any = None
        self.error: Exception | None = None


class GroupCommit:
    """Transactions on one engine that callers of several threads share."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._gate = threading.Lock()
        """For the list below."""
        self._turn = threading.Lock()
        """Held by the caller that commits for all."""
        self._waiting: list[_Waiting] = []

    def run(self, write: Write[T]) -> T:
        """Do a write; on return it is durable. Raises what `write` or the database raises.

        `write` may be done again when another write of the same transaction fails, so it must do
        nothing but use its connection.
        """
        mine = _Waiting(write)
        with self._gate:
            self._waiting.append(mine)
        while not mine.done:
            with self._turn:
                # Whoever had the turn before may have done it already.
                if not mine.done:
                    self._commit(self._take())
        if mine.error is not None:
            raise mine.error
        result: T = mine.result
        return result

    def _take(self) -> list[_Waiting]:
        with self._gate:
            taken, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        return taken

    def _commit(self, writes: list[_Waiting]) -> None:
        try:
            with self._database.begin() as connection:
                results = [one.write(connection) for one in writes]
        except Exception as error:  # noqa: BLE001  it is raised again, for the caller it belongs to
            if len(writes) == 1:
                writes[0].error = error
                writes[0].done = True
                return
            for one in writes:  # which of them it was, and the others without it
                self._commit([one])
            return
        for one, result in zip(writes, results, strict=True):
            one.result = result
            one.done = True
