"""The workload of this installation, as its own journals tell it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from agent.journal.events import ModelTurned, ModelWaiting, Recorded, SandboxOpened
from app.operations.capacity.workload import ToolTimes, Workload

FEWEST_PAUSES = 50
"""Tool calls below which a distribution says nothing."""
FEWEST_TURNS = 5
"""Attempts with fewer turns ended before they began."""


class TooLittle(Exception):
    """The journals hold too little to measure; the message says how much."""


@dataclass(slots=True)
class Measured:
    """What turns and pauses the journals hold."""

    turns: list[int] = field(default_factory=list)
    """Of each attempt."""
    start_tokens: list[int] = field(default_factory=list)
    written_tokens: list[int] = field(default_factory=list)
    read_tokens: list[int] = field(default_factory=list)
    pauses_s: list[float] = field(default_factory=list)

    def add(self, journal: Sequence[Recorded]) -> None:
        """One run's journal."""
        attempts: dict[int, _Attempt] = {}
        for entry in journal:
            event = entry.event
            attempt = attempts.setdefault(event.attempt, _Attempt())
            match event:
                case ModelTurned() if event.usage.prompt_tokens:
                    self._turn(attempt, entry, event)
                case ModelWaiting() | SandboxOpened():
                    # The time until the next turn is not a tool's.
                    attempt.last = None
                case _:
                    pass
        self.turns += [one.turns for one in attempts.values() if one.turns >= FEWEST_TURNS]

    def _turn(self, attempt: _Attempt, entry: Recorded, event: ModelTurned) -> None:
        usage = event.usage
        attempt.turns += 1
        self.written_tokens.append(usage.completion_tokens)
        if attempt.turns == 1:
            self.start_tokens.append(usage.prompt_tokens)
        if attempt.last is not None:
            ended, held = attempt.last
            took_s = (event.duration_ms + event.waited_ms) / 1000
            pause = entry.at.timestamp() - took_s - ended
            self.pauses_s.append(max(0.0, pause))
            if usage.prompt_tokens >= held:  # else the context was cut
                self.read_tokens.append(usage.prompt_tokens - held)
        attempt.last = entry.at.timestamp(), usage.prompt_tokens + usage.completion_tokens

    def workload(self, asked: Workload) -> Workload:
        """The workload that was asked about, with what was measured in place of assumptions.

        Raises `TooLittle`.
        """
        if len(self.pauses_s) < FEWEST_PAUSES or not self.turns:
            raise TooLittle(
                f"the journals hold {len(self.turns)} attempts with {len(self.pauses_s)} pauses "
                f"between turns of a model that reports its tokens; {FEWEST_PAUSES} are needed. "
                "Leave out --from-journals, or run more."
            )
        calls = statistics.fmean(self.turns)
        ordered = sorted(self.turns)
        quarter = max(1, len(ordered) // 4)
        parts = ordered[:quarter], ordered[quarter:-quarter] or ordered, ordered[-quarter:]
        shares = (0.25, 0.5, 0.25)
        lengths = [statistics.fmean(part) for part in parts]
        middle = sum(p * length for p, length in zip(shares, lengths, strict=True))
        return replace(
            asked,
            calls=calls,
            lengths=tuple((p, n / middle) for p, n in zip(shares, lengths, strict=True)),
            start_tokens=statistics.fmean(self.start_tokens),
            read_tokens=statistics.fmean(self.read_tokens or [asked.read_tokens]),
            written_tokens=statistics.fmean(self.written_tokens),
            tool_times=ToolTimes.of(self.pauses_s),
        )


@dataclass(slots=True)
class _Attempt:
    turns: int = 0
    last: tuple[float, int] | None = None
    """When the last turn ended, and the tokens that its conversation held then."""


def measure(journals: Iterable[Sequence[Recorded]]) -> Measured:
    """What these journals hold."""
    measured = Measured()
    for journal in journals:
        measured.add(journal)
    return measured
