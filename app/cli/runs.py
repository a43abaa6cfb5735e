"""`patchwright runs list` and `runs show`: the store's runs in a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.engine import make_url

from app.journal_view.terminal import printable, progress_line
from app.settings.schema import Settings
from app.storage.archive import Journals
from app.storage.records import RunFilter, UnknownRun
from app.storage.store import SqlStore


def print_runs(settings: Settings, console: Console, limit: int) -> None:
    """The latest runs as a table."""
    store = SqlStore(settings.database)
    runs = store.list_runs(RunFilter(), limit=limit).runs
    if not runs:
        place = make_url(settings.database).render_as_string(hide_password=True)
        console.print(f"No runs yet in {place}", markup=False, highlight=False, soft_wrap=True)
        return
    rows = [
        (
            run.id,
            f"{run.repository}#{run.issue_number} {run.title}",
            run.outcome or run.status,
            f"#{number} {run.closed or 'open'}" if (number := run.pull_number) else "",
            f"{run.updated_at:%m-%d %H:%M}",
        )
        for run in runs
    ]
    names = ("run", "issue", "state", "pull request", "updated")
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    # Only the issue is shortened on a narrow terminal: a truncated id could not be copied.
    room = console.width - sum(widths) + widths[1] - 3 * len(names)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name, width in zip(names, widths, strict=True):
        widest = max(min(width, room), 12) if name == "issue" else width
        table.add_column(name, no_wrap=True, overflow="ellipsis", width=widest)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # Text: no markup is read
    console.print(table)


def print_run(settings: Settings, console: Console, run_id: str) -> bool:
    """Print one run's journal, one line per event; False if there is no such run."""
    store = SqlStore(settings.database)
    try:
        run = store.get_run(run_id)
    except UnknownRun:
        return False
    console.print(Text(printable(f"{run.repository}#{run.issue_number} {run.title}")))
    console.print(Text(printable(f"{run.status} {run.outcome} {run.pull_request}".rstrip())))
    for entry in Journals(settings, store).events(run_id):
        line = progress_line(entry)
        if line:
            console.print(f"{entry.at:%H:%M:%S} {line}", markup=False, highlight=False)
    return True
