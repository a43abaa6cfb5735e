"""How the database, the lists and a run's page grow with what is kept; on SQLite and PostgreSQL.

Fills databases with copies of one real run's journal, and times lists and pages over HTTP. Growth
is the exponent between two sizes: 0 is constant, 1 linear. `bench/scale.py` does this too.

    python bench/growth.py [--runs 100000] [--events 5000]

Ends with status 1 when something grew worse than linear.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.journal.events import ModelTurned, Recorded, ToolFinished, ToolStarted
from app.server.workflow_engine import running_engine
from app.settings.schema import Settings
from app.storage import tables
from app.storage.store import SqlStore
from app.telemetry import logs
from app.web.app import Web, create_app
from tests.support.postgresql import fresh_database, programs, server
from tests.support.runs.stored import trigger
from tests.support.runs.world import RunWorld
from tests.support.serving import serving

TOKEN = "operators-token"
LINEAR = 1.15
"""The steepest growth that still counts as linear: times are measured."""
WRITTEN_AT_ONCE = 500
STEPS = 16


def a_journal() -> list[Recorded]:
    """Of a run through the real engine, of so many steps."""
    with tempfile.TemporaryDirectory() as folder:
        world = RunWorld(Path(folder), steps=STEPS)
        run_id = world.store.accept("d1", "issues", trigger(), model="seeded").run_id
        with running_engine(world.services()):
            while world.store.get_run(run_id).status != "done":
                time.sleep(0.1)
        return world.store.events(run_id)


def size_of(engine: sa.Engine) -> int:
    """Bytes of the database, indexes included."""
    query = (
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        if engine.dialect.name == "sqlite"
        else "SELECT pg_database_size(current_database())"
    )
    with engine.connect() as connection:
        size: int = connection.execute(sa.text(query)).scalar_one()
    return size


def fill(store: SqlStore, first: int, count: int, journal: Sequence[Recorded]) -> None:
    """So many finished runs, from this number on, each with a copy of the journal."""
    bodies = [entry.event.model_dump_json() for entry in journal]
    asked = trigger().model_dump_json()
    for start in range(first, first + count, WRITTEN_AT_ONCE):
        numbers = range(start, min(start + WRITTEN_AT_ONCE, first + count))
        with store.database.begin() as connection:
            connection.execute(sa.insert(tables.runs), [_row(n, asked, bodies) for n in numbers])
            written = [
                {"run_id": f"run{number:09d}", "seq": seq, "at": number, "body": body}
                for number in numbers
                for seq, body in enumerate(bodies)
            ]
            if written:
                connection.execute(sa.insert(tables.events), written)


def _row(number: int, asked: str, bodies: Sequence[str]) -> dict[str, object]:
    moment = 1_764_000_000_000_000 + number
    return {
        "id": f"run{number:09d}",
        "repository": f"acme/r{number % 40}",
        "issue_number": number,
        "title": f"Bug {number}: total([100], 10) gives 0.0, expected 90.0",
        "installation_id": 5,
        "delivery_id": f"d{number}",
        "trigger": asked,
        "triggered_by": "ann",
        "model": "k2-thinking",
        "status": "done",
        "outcome": "proven",
        "pull_request": f"https://github.test/acme/r/pull/{number}",
        "created_at": moment,
        "updated_at": moment,
        "enqueued_at": moment,
        "owner": "worker-0",
        "epoch": 1,
        "next_seq": len(bodies),
    }


@dataclass(frozen=True, slots=True)
class Growth:
    """One figure at growing sizes."""

    name: str
    unit: str
    points: tuple[tuple[int, float], ...]
    total: bool = True
    """Whether it is of all together, and may grow with the size; else it is of one, and stays."""

    @property
    def exponents(self) -> list[float]:
        """Between each two sizes; 0 is constant, 1 linear."""
        pairs = zip(self.points, self.points[1:], strict=False)
        return [math.log(b / a) / math.log(m / n) for (n, a), (m, b) in pairs]

    @property
    def worse(self) -> bool:
        """Whether it grew worse than linear over the whole of it."""
        (n, a), (m, b) = self.points[0], self.points[-1]
        steepest = math.log(b / a) / math.log(m / n)
        return steepest > (LINEAR if self.total else LINEAR - 1)


def sizes(store: SqlStore, journal: Sequence[Recorded]) -> Growth:
    """Bytes of a run in the database, without its logs, with 100, 400, 1,600 of them."""
    points, known = [], 0
    before = size_of(store.database)
    for count in (100, 400, 1600):
        fill(store, known, count - known, journal)
        known = count
        points.append((count, (size_of(store.database) - before) / count / 1024))
    return Growth(f"database a run ({store.database.dialect.name})", "KiB", tuple(points), False)


def lists(store: SqlStore, most: int) -> Iterator[Growth]:
    """The first page, a page of one repository, and a walk through all runs."""
    first, one, walk, known = [], [], [], 0
    with _pages(store) as http:
        for count in (most // 100, most // 10, most):
            fill(store, known, count - known, ())
            known = count
            first.append((count, _median_ms(partial(_read, http, "/runs"))))
            last = "/runs?repository=acme/r7"
            one.append((count, _median_ms(partial(_read, http, last))))
            walk.append((count, _walk_ms(store)))
    name = store.database.dialect.name
    yield Growth(f"list: newest page ({name})", "ms", tuple(first))
    yield Growth(f"list: page of one repository ({name})", "ms", tuple(one))
    yield Growth(f"list: all of them, in pages of 200 ({name})", "ms", tuple(walk))


def _walk_ms(store: SqlStore) -> float:
    began, cursor = time.perf_counter(), ""
    while True:
        page = store.list_runs(cursor=cursor, limit=200)
        if not (cursor := page.next):
            return (time.perf_counter() - began) * 1000


def opening(store: SqlStore, journal: Sequence[Recorded], most: int) -> Iterator[Growth]:
    """A run's page at first sight and again, and its whole journal as JSON."""
    cold, warm, whole = [], [], []
    with _pages(store) as http:
        for number, count in enumerate((most // 10, most // 2, most)):
            fill(store, 10_000_000 + number, 1, _stretched(journal, count))
            path = f"/runs/run{10_000_000 + number:09d}"
            began = time.perf_counter()
            _read(http, path)
            cold.append((count, (time.perf_counter() - began) * 1000))
            warm.append((count, _median_ms(partial(_read, http, path))))
            began = time.perf_counter()
            _read_journal(http, path, count)
            whole.append((count, (time.perf_counter() - began) * 1000))
    name = store.database.dialect.name
    yield Growth(f"open a run: first time ({name})", "ms", tuple(cold))
    yield Growth(f"open a run: again ({name})", "ms", tuple(warm))
    yield Growth(f"a run's whole journal ({name})", "ms", tuple(whole))


def _stretched(journal: Sequence[Recorded], count: int) -> list[Recorded]:
    """A journal of that length: its beginning, its turns again and again, its end."""
    middle = [e for e in journal if isinstance(e.event, ModelTurned | ToolStarted | ToolFinished)]
    start, end = journal[: len(journal) // 2], journal[-4:]
    missing = count - len(start) - len(end)
    return [*start, *(middle * (missing // len(middle) + 1))[:missing], *end]


def _read_journal(http: httpx.Client, path: str, count: int) -> None:
    after, seen = -1, 0
    while page := http.get(f"{path}/events", params={"after": after}).json()["events"]:
        after, seen = page[-1]["seq"], seen + len(page)
    assert seen == count


def _settings(state: Path) -> Settings:
    return Settings(state_dir=state, operator_token=TOKEN)


@contextmanager
def _pages(store: SqlStore) -> Iterator[httpx.Client]:
    with (
        tempfile.TemporaryDirectory() as state,
        serving(create_app(Web(_settings(Path(state)), store, lambda _id: None))) as url,
        httpx.Client(
            base_url=url,
            timeout=120,
            trust_env=False,
            headers={"Authorization": f"Bearer {TOKEN}"},
        ) as http,
    ):
        yield http


def _read(http: httpx.Client, path: str) -> None:
    http.get(path, headers={"Accept": "text/html"}).raise_for_status()


def _median_ms(act: Callable[[], None], times: int = 7) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def measure(most_runs: int, most_events: int) -> list[Growth]:
    """All of it on both databases."""
    found_programs = programs()
    assert found_programs is not None, "PostgreSQL is not installed"
    journal = a_journal()
    grown: list[Growth] = []
    with tempfile.TemporaryDirectory() as folder, server(found_programs) as server_url:

        def on(name: str, act: Callable[[SqlStore], Iterable[Growth]]) -> None:
            sqlite = f"sqlite:///{folder}/{len(grown)}.db"
            store = SqlStore(sqlite if name == "sqlite" else fresh_database(server_url))
            grown.extend(act(store))
            store.close()

        for name in ("sqlite", "postgresql"):
            on(name, lambda store: [sizes(store, journal)])
            on(name, lambda store: lists(store, most_runs))
            on(name, lambda store: opening(store, journal, most_events))
    return grown


def print_growth(grown: Sequence[Growth], console: Console) -> None:
    """The figures at each size, and the exponents between them."""
    table = Table("", "sizes", "figures", "growth (1 is linear)", title="growth")
    for growth in grown:
        table.add_row(
            growth.name,
            ", ".join(f"{size:,}" for size, _ in growth.points),
            ", ".join(f"{value:,.1f}" for _, value in growth.points) + f" {growth.unit}",
            ", ".join(f"{exponent:+.2f}" for exponent in growth.exponents),
        )
    console.print(table)


def report(grown: Sequence[Growth], console: Console) -> int:
    """The table, and the exit status."""
    print_growth(grown, console)
    worse = [growth.name for growth in grown if growth.worse]
    console.print(f"worse than linear: {', '.join(worse) or 'none'}")
    return 1 if worse else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=5_000)
    asked = parser.parse_args()
    logs.configure("warning", "text")
    return report(measure(asked.runs, asked.events), Console(width=120))


if __name__ == "__main__":
    sys.exit(main())
