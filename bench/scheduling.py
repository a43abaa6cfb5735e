"""Attempts that take turns as the caches have room, beside today's that all go at once.

The same decision as the worker's (`app/llm/warm_streams.py`) in the simulation of
`bench/capacity.py`, in virtual time: a worker that has as many attempts under way as fit, twice and
four times as many, and always more to do.

    python bench/scheduling.py [--attempts 400] [--seed 1]

Ends with status 1 when twice as many attempts as fit bring less than 1.3 times the runs a day, or
when a run waits for its turn for more than twice the median run at once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table

from app.llm.warm_streams import Conversation, Room, may_take_turns
from app.operations.capacity.plan import best_state
from app.operations.capacity.serving import pools, serving
from app.operations.capacity.workload import Workload, contexts
from tests.doubles.virtual_cluster.runs import Attempt, Choose, Outcome, VirtualRuns

LEAST_GAIN, LONGEST_PAUSE = 1.3, 2.0


@dataclass(frozen=True)
class Case:
    """A cluster, and how much more is under way than fits."""

    model: str
    hardware: str
    overload: float
    servers: int = 1
    host_ratio: float = 0.0
    calls: float = 100.0

    @property
    def name(self) -> str:
        """For a row of the table."""
        with_hicache = ", HiCache" if self.host_ratio else ""
        return f"{self.servers} x {self.model} {self.hardware}{with_hicache}, {self.overload:g}x"


CASES = (
    *(Case("k2-thinking", "8xH200", overload) for overload in (1, 2, 4)),
    *(Case("k2-thinking", "8xH200", overload, servers=3) for overload in (1, 2, 4)),
    *(Case("k2.7-code", "8xH200", overload, host_ratio=2) for overload in (1, 2, 4)),
    *(Case("k3", "2x8xH200", overload) for overload in (1, 2, 4)),
)


@dataclass(frozen=True)
class Compared:
    """The same work, done both ways."""

    under_way: int
    all_at_once: Outcome
    in_turn: Outcome

    @property
    def gain(self) -> float:
        """Runs a day, as a multiple."""
        return self.in_turn.runs_per_day / self.all_at_once.runs_per_day

    @property
    def longest_pause(self) -> float:
        """The longest that any run waited at once, as a multiple of the median run."""
        return max(self.in_turn.pauses) / statistics.median(self.in_turn.seconds)


def in_turn(room: Room) -> Choose:
    """The worker's decision, asked by the simulation."""

    def choose(now: float, attempts: Sequence[Attempt]) -> Collection[int]:
        known = (
            Conversation(
                f"{one.number:09}",
                one.began,
                one.same,
                None if one.asks or one.in_turn else one.last_turn,
            )
            for one in attempts
        )
        return {int(key) for key in may_take_turns(known, room, now)}

    return choose


def compare(case: Case, attempts: int, seed: int) -> Compared:
    """Both ways, with the same seed."""
    one = replace(serving(case.model, case.hardware), host_ratio=case.host_ratio)
    work = Workload(runs_per_day=500, calls=case.calls)
    under_way = round(case.overload * case.servers * best_state(work, one).attempts)
    room = pools(one, contexts(work, work.written_tokens * one.model.written).context)
    slots = one.model.state.running_slots if one.model.state else 1
    kept = Room(
        tokens=case.servers * max(room.tokens, room.host_tokens),
        # K3's states are not asked of the servers: `PATCHWRIGHT_MODEL_WARM_STREAMS` has them.
        streams=case.servers * room.states // slots if one.model.state else 0,
    )

    def run(choose: Choose | None) -> Outcome:
        runs = VirtualRuns(
            work, one, servers=case.servers, under_way=under_way, seed=seed, choose=choose
        )
        return runs.closed(attempts)

    return Compared(under_way, run(None), run(in_turn(kept)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    console = Console(width=140)
    table = Table("", "under way", "runs a day", "in turn", "gain", "cached", "in turn")
    for heading in ("median run", "longest", "longest pause", "of the median"):
        table.add_column(heading)
    missed = []
    for case in CASES:
        seen = compare(case, asked.attempts, asked.seed)
        before, after = seen.all_at_once, seen.in_turn
        table.add_row(
            case.name,
            str(seen.under_way),
            f"{before.runs_per_day:,.0f}",
            f"{after.runs_per_day:,.0f}",
            f"{seen.gain:.2f}",
            f"{before.cached_share:.1%}",
            f"{after.cached_share:.1%}",
            f"{statistics.median(after.seconds) / 60:.0f} min",
            f"{max(after.seconds) / 60:.0f} min",
            f"{max(after.pauses) / 60:.0f} min",
            f"{seen.longest_pause:.2f}",
        )
        if case.overload == 2 and seen.gain < LEAST_GAIN:
            missed.append(f"{case.name}: {seen.gain:.2f} times the runs")
        if seen.longest_pause > LONGEST_PAUSE:
            missed.append(f"{case.name}: a run waited {seen.longest_pause:.2f} medians")
    console.print(table)
    console.print(f"missed: {'; '.join(missed) or 'none'}; seed {asked.seed}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
