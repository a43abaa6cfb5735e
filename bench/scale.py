"""How it grows: runs a minute with 1, 2 and 4 workers, the queue, the database, the pages.

The first part is the whole of it: a service and workers as processes on PostgreSQL, real sandboxes,
stand-ins for GitHub and for the model. The model takes its time as a GPU would, so that workers
mostly wait. The floor of a run is the time that its model took. The second part is
`bench/growth.py`: how the database, the lists and the pages grow.

    python bench/scale.py [--workers 1,2,4] [--batches 3] [--runs 100000] [--events 5000]

Ends with status 1 when a run was not proven, or something grew worse than linear.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.journal.events import ModelTurned, Recorded, RunPhase
from app.storage.records import Run
from app.storage.store import SqlStore
from app.telemetry import logs
from bench.growth import measure, report, size_of
from tests.fault.house import House, house

PLACES = 2
"""Runs at once of a worker."""
STEPS = 16


@dataclass(frozen=True, slots=True)
class Throughput:
    """What so many workers did."""

    workers: int
    runs: int
    a_minute: float
    most_a_minute: float
    """What the places would allow if a run took only the time of its model."""
    model_s: float
    """Of one run, median."""
    run_s: float
    waits: tuple[float, ...]
    """Seconds from a delivery until its run began, of the runs that found a place free."""
    bytes_a_run: float
    worker_cpu_s: float
    """Processor time of the workers for a run, without its sandboxes."""
    service_cpu_s: float
    worker_mib: float
    """Most memory of a worker."""


def throughput(workers: int, batches: int, time_scale: float) -> Throughput:
    """Report as many bugs at once as keep all workers busy for some batches."""
    names = [f"worker-{number}" for number in range(workers)]
    runs = workers * PLACES * batches
    with (
        tempfile.TemporaryDirectory(prefix="patchwright-scale-") as folder,
        house(
            Path(folder),
            workers=names,
            steps=STEPS,
            seed=1,
            time_scale=time_scale,
            concurrency=str(workers * PLACES),
            repository_concurrency=str(workers * PLACES),
            worker_concurrency=str(PLACES),
        ) as made,
    ):
        store = made.wait_until_up()
        _until(lambda: _working(store) == workers, made, 120)
        before = size_of(store.database)
        cpu_before = [part.used()[0] for part in made.parts]
        for number in range(runs):
            made.report_bug(number)
        _until(lambda: store.count_runs().get(("done", "proven"), 0) == runs, made, 1500)
        done = store.list_runs(limit=200).runs
        journals = {run.id: store.events(run.id) for run in done}
        used = [part.used() for part in made.parts]
        cpu = [(now - then) / runs for (now, _), then in zip(used, cpu_before, strict=True)]
        size = (size_of(store.database) - before) / runs
        found = _figures(workers, done, journals, size, cpu, max(mib for _, mib in used[1:]))
        store.close()
    return found


def _figures(
    workers: int,
    runs: Sequence[Run],
    journals: dict[str, list[Recorded]],
    size: float,
    cpu: Sequence[float],
    mib: float,
) -> Throughput:
    begun = {
        run.id: next(
            entry.at
            for entry in journals[run.id]
            if isinstance(entry.event, RunPhase) and entry.event.phase == "preparing"
        )
        for run in runs
    }
    ended = {run.id: journals[run.id][-1].at for run in runs}
    whole = (max(ended.values()) - min(begun.values())).total_seconds()
    model = statistics.median(
        sum(e.event.duration_ms for e in entries if isinstance(e.event, ModelTurned)) / 1000
        for entries in journals.values()
    )
    first = sorted(runs, key=lambda run: begun[run.id])[: workers * PLACES]
    return Throughput(
        workers,
        len(runs),
        60 * len(runs) / whole,
        60 * workers * PLACES / model,
        model,
        statistics.median((ended[run.id] - begun[run.id]).total_seconds() for run in runs),
        tuple((begun[run.id] - run.created_at).total_seconds() for run in first),
        size,
        sum(cpu[1:]),
        cpu[0],
        mib,
    )


def _working(store: SqlStore) -> int:
    with store.database.connect() as connection:
        count: int = connection.execute(sa.text("SELECT count(*) FROM workers")).scalar_one()
    return count


def _until(what: Callable[[], bool], made: House, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not what():
        made.tend()
        if time.monotonic() > end:
            raise SystemExit("the workers did not get there: runs failed, or the machine is slow")
        time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--time-scale", type=float, default=2.0, help="of the model; 1: as a GPU")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=5_000)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # with all processes ended
    console = Console(width=140)
    logs.configure("warning", "text")
    done = []
    for workers in map(int, asked.workers.split(",")):
        done.append(throughput(workers, asked.batches, asked.time_scale))
        print_throughput(done, console)
    return report(measure(asked.runs, asked.events), console)


def print_throughput(done: Sequence[Throughput], console: Console) -> None:
    """One line for each number of workers."""
    table = Table(title=f"PostgreSQL, real sandboxes, {PLACES} places a worker, {STEPS} turns")
    for head in ("workers", "runs", "runs/min", "floor", "a run", "its model", "begins after"):
        table.add_column(head, justify="right")
    for head in ("database a run", "CPU a run: workers", "service", "worker's memory"):
        table.add_column(head, justify="right")
    for one in done:
        waits = f"{statistics.median(one.waits):.2f} s, at most {max(one.waits):.2f}"
        table.add_row(
            str(one.workers),
            str(one.runs),
            f"{one.a_minute:.2f}",
            f"{one.most_a_minute:.2f}",
            f"{one.run_s:.1f} s",
            f"{one.model_s:.1f} s",
            waits,
            f"{one.bytes_a_run / 1024:.0f} KiB",
            f"{one.worker_cpu_s:.1f} s",
            f"{one.service_cpu_s:.1f} s",
            f"{one.worker_mib:.0f} MiB",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
