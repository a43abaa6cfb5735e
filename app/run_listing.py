"""`patchwright runs list` and `runs show`: the store's runs in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import make_url

from app.progress import progress_line
from app.records import RunFilter, UnknownRun
from app.retention import archived_journal
from app.settings import Settings
from app.store import SqlStore


def print_runs(settings: Settings, console: Console, limit: int) -> None:
    """The latest runs as a table."""
    store = SqlStore(settings.database)
    runs = store.list_runs(RunFilter(), limit=limit).runs
    if not runs:
        place = make_url(settings.database).render_as_string(hide_password=True)
        console.print(f"No runs yet in {place}", markup=False, highlight=False, soft_wrap=True)
        return
    table = Table("run", "repository", "issue", "status", "outcome", "pull request", "updated")
    for run in runs:
        table.add_row(
            run.id,
            run.repository,
            f"#{run.issue_number} {run.title}"[:60],
            run.status,
            run.outcome,
            run.pull_request,
            f"{run.updated_at:%Y-%m-%d %H:%M}",
        )
    console.print(table)


def print_run(settings: Settings, console: Console, run_id: str) -> bool:
    """One run's journal, a line an event; False when there is no such run."""
    store = SqlStore(settings.database)
    try:
        run = store.get_run(run_id)
    except UnknownRun:
        return False
    console.print(f"{run.repository}#{run.issue_number} {run.title}", markup=False)
    console.print(f"{run.status} {run.outcome} {run.pull_request}".rstrip(), markup=False)
    for entry in store.events(run_id) or archived_journal(settings, store.engine, run_id):
        line = progress_line(entry)
        if line:
            console.print(f"{entry.at:%H:%M:%S} {line}", markup=False, highlight=False)
    return True
