"""The one writer of an attempt's journal: appends events and keeps the state they fold to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from agent.journal.events import (
    AnyEvent,
    AttemptStarted,
    ModelTurned,
    QuestionAnswered,
    Recorded,
    SandboxOpened,
    now,
)
from agent.journal.state import AttemptState, fold, step
from agent.journal.store import NO_LOGS, Store
from agent.task import ATTACHED

OnEvent = Callable[[Recorded], None]


class Journal:
    """An attempt's journal. Opening it reads what is there, so that a resumed attempt continues."""

    def __init__(
        self, store: Store, run_id: str, attempt: int, on_event: OnEvent | None = None
    ) -> None:
        self.store = store
        self.run_id = run_id
        self.attempt = attempt
        self._on_event = on_event
        recorded = [r for r in store.events(run_id) if r.event.attempt == attempt]
        self.state: AttemptState = fold(r.event for r in recorded)
        self._started_at: datetime | None = None
        self._last_at: datetime | None = None
        self._unattended = timedelta()
        """Between a worker's last event and the next one's first, a question and its answer, or
        while a turn was not allowed to begin: nobody worked."""
        for entry in recorded:
            self._take_time(entry)

    def append(self, *events: AnyEvent, logs: Mapping[str, bytes] = NO_LOGS) -> AttemptState:
        """Make events, and logs with them, durable in one transaction; fold them into the state.

        Raises `LostLease` when another worker owns the run; nothing is folded then.
        """
        recorded = self.store.append(
            self.run_id,
            [e.model_copy(update={"attempt": self.attempt}) for e in events],
            {self.log_key(log_id): data for log_id, data in logs.items()},
        )
        for entry in recorded:
            self._take_time(entry)
            self.state = step(self.state, entry.event)
            if self._on_event is not None:
                self._on_event(entry)
        return self.state

    @property
    def elapsed_s(self) -> float:
        """Seconds since the attempt started, without those between two workers or of waiting."""
        if self._started_at is None:
            return 0.0
        return (now() - self._started_at - self._unattended).total_seconds()

    def log_key(self, log_id: str) -> str:
        """The store's key of a log of this attempt."""
        if self.attempt <= 1 or log_id.startswith(ATTACHED):
            return log_id
        return f"{self.attempt}.{log_id}"

    def _take_time(self, entry: Recorded) -> None:
        if isinstance(entry.event, AttemptStarted):
            self._started_at = entry.at
        elif (
            isinstance(entry.event, SandboxOpened | QuestionAnswered)
            and self._started_at
            and self._last_at
        ):
            self._unattended += entry.at - self._last_at
        elif isinstance(entry.event, ModelTurned):
            self._unattended += timedelta(milliseconds=entry.event.waited_ms)
        self._last_at = entry.at

    def put_log(self, log_id: str, data: bytes) -> None:
        """Keep a whole output under an id that the model may use."""
        self.store.put_log(self.run_id, self.log_key(log_id), data)

    def get_log(self, log_id: str) -> bytes | None:
        """A kept output, or None."""
        return self.store.get_log(self.run_id, self.log_key(log_id))
