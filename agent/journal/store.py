"""The store seam: where a run's journal and its logs are kept, and a store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from agent.journal.events import AnyEvent, QuestionAsked, Recorded, now
from agent.model import Record

NO_LOGS: Mapping[str, bytes] = MappingProxyType({})
STOPPED_BY_A_PERSON = "A person stopped the run."


class Hint(Record):
    """A person's note for a run."""

    id: int
    author: str
    text: str


class Answer(Record):
    """What was chosen when a run asked."""

    option: int
    """From 1; 0: nobody approved a plan in time."""
    author: str = ""
    """Empty: nobody chose in time."""
    text: str = ""
    """What the person said besides. Untrusted."""


class Store(Protocol):
    """Journals and logs of runs. All methods are quick and may be called from the event loop."""

    def append(
        self, run_id: str, events: Sequence[AnyEvent], logs: Mapping[str, bytes] = NO_LOGS
    ) -> tuple[Recorded, ...]:
        """Append events in one transaction, together with `logs` (see `put_log`).

        On return they are durable. Raises `LostLease` when another worker owns the run now.
        """
        ...

    def events(self, run_id: str, after: int = -1) -> list[Recorded]:
        """The journal in order, from the event after sequence number `after`."""
        ...

    def put_log(self, run_id: str, log_id: str, data: bytes) -> None:
        """Keep a whole output; the same id again replaces it."""
        ...

    def get_log(self, run_id: str, log_id: str) -> bytes | None:
        """A kept output, or None."""
        ...

    def stop_reason(self, run_id: str) -> str:
        """Why this run has to stop, as a sentence; empty while it may go on."""
        ...

    def hints(self, run_id: str, after: int = 0) -> list[Hint]:
        """Notes from people with an id above `after`, oldest first."""
        ...

    def answer(self, run_id: str, asked: QuestionAsked) -> Answer | None:
        """What was answered, the default once its time has come; None: it is still waited for.

        An answer that was given once stays.
        """
        ...


class MemoryStore:
    """A store for one process: `patchwright fix` without a state folder, and tests."""

    def __init__(self) -> None:
        self._journals: dict[str, list[Recorded]] = {}
        self._logs: dict[tuple[str, str], bytes] = {}
        self.stopped: set[str] = set()
        self.noted: dict[str, list[Hint]] = {}
        self.answers: dict[tuple[str, int], Answer] = {}
        """By run and number of the question."""

    def append(
        self, run_id: str, events: Sequence[AnyEvent], logs: Mapping[str, bytes] = NO_LOGS
    ) -> tuple[Recorded, ...]:
        """Append events and logs in one transaction; on return they are durable."""
        for log_id, data in logs.items():
            self.put_log(run_id, log_id, data)
        journal = self._journals.setdefault(run_id, [])
        recorded = tuple(
            Recorded(seq=len(journal) + i, at=now(), event=e) for i, e in enumerate(events)
        )
        journal.extend(recorded)
        return recorded

    def events(self, run_id: str, after: int = -1) -> list[Recorded]:
        """The journal in order, from the event after sequence number `after`."""
        return self._journals.get(run_id, [])[after + 1 :]

    def put_log(self, run_id: str, log_id: str, data: bytes) -> None:
        """Keep a whole output; the same id again replaces it."""
        self._logs[run_id, log_id] = data

    def get_log(self, run_id: str, log_id: str) -> bytes | None:
        """A kept output, or None."""
        return self._logs.get((run_id, log_id))

    def stop_reason(self, run_id: str) -> str:
        """Why this run has to stop, as a sentence; empty while it may go on."""
        return STOPPED_BY_A_PERSON if run_id in self.stopped else ""

    def hints(self, run_id: str, after: int = 0) -> list[Hint]:
        """Notes from people with an id above `after`, oldest first."""
        return [h for h in self.noted.get(run_id, []) if h.id > after]

    def answer(self, run_id: str, asked: QuestionAsked) -> Answer | None:
        """What was answered, the default once its time has come; None: it is still waited for."""
        if now() >= asked.due:
            self.answers.setdefault((run_id, asked.number), Answer(option=asked.default))
        return self.answers.get((run_id, asked.number))
