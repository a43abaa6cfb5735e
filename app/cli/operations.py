"""Commands for operators: workers, backups, control of runs, the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from app.sanitize.terminal import SafeConsole
from app.settings.base import SettingsError
from app.settings.loading import load
from app.settings.schema import Settings

if TYPE_CHECKING:
    from app.storage.store import SqlStore

operations = typer.Typer()
of_runs = typer.Typer()
organisations_cli = typer.Typer(
    help="Turn Patchwright off for a whole organisation, and on again.", no_args_is_help=True
)
out = SafeConsole()

RunId = Annotated[str, typer.Argument(help="Id as shown by `patchwright runs list`.")]


@operations.command()
def worker(
    drain: Annotated[
        bool, typer.Option("--drain", help="Tell a worker to finish its runs and exit.")
    ] = False,
    name: Annotated[
        str, typer.Option(help="Worker to drain; by default the one named in the settings.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has exited.")] = False,
) -> None:
    """Execute runs without receiving webhooks; needs PostgreSQL."""
    from app.server import worker as worker_process

    settings = load()
    if not drain:
        worker_process.run_worker(settings)
        return
    named = name or settings.executor
    if not worker_process.drain(settings, named, wait):
        raise SettingsError(
            f"there is no live worker {named}; `patchwright workers` lists all of them"
        )
    out.print(f"worker {named} accepts no more runs", highlight=False)


@operations.command()
def workers() -> None:
    """List the live workers and when each was last heard from."""
    from app.queue.worker_registry import list_workers

    table = Table("worker", "state", "last heard from")
    for one in list_workers(_store()[1].database):
        table.add_row(one.id, one.state, f"{one.silent_s:.0f} s ago")
    out.print(table)


@operations.command()
def backup(target: Annotated[Path, typer.Argument(help="File to write.")]) -> None:
    """Back up the SQLite databases to one file, while the service runs."""
    from app.operations.backup import backup as write
    from app.storage.audit import operator, record

    settings = load()
    size = write(settings, target)
    record(_store()[1].database, operator(), "backup", str(target))
    out.print(f"{target}: {size / 1e6:.1f} MB", highlight=False)


@operations.command()
def restore(
    source: Annotated[Path, typer.Argument(help="File that `backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an existing database.")
    ] = False,
) -> None:
    """Restore a backup; the service must be stopped. The existing database is kept beside it."""
    from app.operations.backup import restore as put
    from app.storage.audit import operator, record

    settings = load()
    runs = put(settings, source, replace=replace)
    record(_store()[1].database, operator(), "restore", str(source))
    out.print(f"{runs} runs restored; `patchwright serve` continues them", highlight=False)


@operations.command()
def audit(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of entries.")] = 50,
    subject: Annotated[str, typer.Option(help="Only entries about this run, worker or file.")] = "",
) -> None:
    """Show who triggered what, newest first."""
    from app.storage.audit import entries

    for entry in entries(_store()[1].database, limit, subject):
        line = f"{entry.at:%Y-%m-%d %H:%M:%S} {entry.actor}: {entry.action} {entry.subject}"
        out.print(f"{line} {entry.detail}".rstrip(), markup=False, highlight=False, soft_wrap=True)


Account = Annotated[str, typer.Argument(help="The organisation's or user's login at GitHub.")]


@organisations_cli.command("off")
def turn_off(
    account: Account,
    reason: Annotated[str, typer.Option(help="Why, for the people there.")] = "",
) -> None:
    """Do nothing any more in an organisation's repositories; runs in hand stop and say why."""
    from app.operations import organisations

    out.print(organisations.turn_off(_store()[1], account, reason), highlight=False)


@organisations_cli.command("on")
def turn_on(account: Account) -> None:
    """Work for the organisation again."""
    from app.operations import organisations

    out.print(organisations.turn_on(_store()[1], account), highlight=False)


@organisations_cli.command("list")
def list_off() -> None:
    """List the organisations for which Patchwright is turned off, and by whom."""
    from app.storage.organisations import all_off

    table = Table("organisation", "since", "by", "reason")
    for one in all_off(_store()[1].database):
        table.add_row(one.account, f"{one.at:%Y-%m-%d %H:%M}", one.by, one.reason)
    out.print(table)


@of_runs.command()
def cancel(run_id: RunId) -> None:
    """Cancel a run."""
    _act("cancel", run_id)


@of_runs.command()
def pause(run_id: RunId) -> None:
    """Pause a run before its next turn."""
    _act("pause", run_id)


@of_runs.command()
def resume(run_id: RunId) -> None:
    """Resume a paused run."""
    _act("resume", run_id)


@of_runs.command()
def retry(run_id: RunId) -> None:
    """Start another run for the same issue."""
    from app.operations.run_control import retry as again
    from app.storage.records import UnknownRun

    settings, store = _store()
    try:
        run = again(settings, store, run_id)
    except UnknownRun:
        raise _unknown(run_id) from None
    out.print(f"run {run.id} is queued", highlight=False)


def _act(action: str, run_id: str) -> None:
    from app.operations.run_control import ACTIONS
    from app.storage.records import UnknownRun

    _, store = _store()
    try:
        result = ACTIONS[action](store, run_id)
    except UnknownRun:
        raise _unknown(run_id) from None
    out.print(f"run {run_id}: {result}", highlight=False)


def _store() -> tuple[Settings, SqlStore]:
    from app.storage.store import SqlStore

    settings = load()
    return settings, SqlStore(settings.database)


def _unknown(run_id: str) -> SettingsError:
    return SettingsError(f"there is no run {run_id}; `patchwright runs list` shows all runs")
