"""Several callers' writes in one transaction: one wait for the disk instead of many.

A caller's write is durable when its call returns, as in a separate transaction. While one
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


class _PendingWrite:
    def __init__(self, write: Write[Any]) -> None:
        self.write = write
        self.done = False
        self.result: Any = None
        self.error: Exception | None = None


class GroupCommit:
    """Transactions on one engine that callers of several threads share."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._list_lock = threading.Lock()
        """For the list below."""
        self._commit_lock = threading.Lock()
        """Held by the caller that commits for all."""
        self._waiting: list[_PendingWrite] = []

    def run(self, write: Write[T]) -> T:
        """Do a write; on return it is durable. Raises what `write` or the database raises.

        `write` may be done again when another write of the same transaction fails, so it must do
        nothing but use its connection.
        """
        pending = _PendingWrite(write)
        with self._list_lock:
            self._waiting.append(pending)
        while not pending.done:
            with self._commit_lock:
                # Whoever had the turn before may have done it already.
                if not pending.done:
                    self._commit(self._next_batch())
        if pending.error is not None:
            raise pending.error
        result: T = pending.result
        return result

    def _next_batch(self) -> list[_PendingWrite]:
        with self._list_lock:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        return batch

    def _commit(self, writes: list[_PendingWrite]) -> None:
        try:
            with self._database.begin() as connection:
                results = [pending.write(connection) for pending in writes]
        except Exception as error:  # noqa: BLE001  it is raised again, for the caller it belongs to
            if len(writes) == 1:
                writes[0].error = error
                writes[0].done = True
                return
            for pending in writes:  # which of them it was, and the others without it
                self._commit([pending])
            return
        for pending, result in zip(writes, results, strict=True):
            pending.result = result
            pending.done = True
