"""`patchwright runs export`: its command-line options."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.sanitize.terminal import SafeConsole


class OutcomeWord(StrEnum):
    """Outcomes of attempts."""

    proven = "proven"
    draft = "draft"
    diagnosis = "diagnosis"
    stopped = "stopped"
    failed = "failed"


def run_export(
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    run: Annotated[list[str] | None, typer.Option(help="Only this run; may be repeated.")] = None,
    repository: Annotated[str, typer.Option(help="Only this owner/name.")] = "",
    outcome: Annotated[
        list[OutcomeWord] | None,
        typer.Option(help="Only attempts with this outcome; may be repeated."),
    ] = None,
    merged: Annotated[bool, typer.Option("--merged", help="Only merged runs.")] = False,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only runs since this day.")
    ] = None,
    validation: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share set aside for validation, by repository.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed for choosing these repositories.")] = 0,
    anonymise: Annotated[
        bool, typer.Option("--anonymise", help="Replace repositories and people by pseudonyms.")
    ] = False,
    anonymise_key: Annotated[
        Path | None,
        typer.Option(help="Key file that makes the pseudonyms the same in every export."),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Also write a page per run.")] = False,
    journals: Annotated[bool, typer.Option("--journals", help="Also write the journals.")] = False,
) -> None:
    """Write finished runs as training data in chat format; secrets are removed."""
    import secrets

    from app.export.exporter import ExportRefused, ExportRequest, export
    from app.settings.loading import load
    from app.storage.archive import Journals
    from app.storage.store import SqlStore

    key = None
    if anonymise_key is not None:
        try:
            key = anonymise_key.read_bytes().strip()
        except OSError as problem:
            raise ExportRefused(f"{anonymise_key} cannot be read: {problem.strerror}") from None
        if len(key) < 16:
            raise ExportRefused(f"the key in {anonymise_key} has fewer than 16 bytes")
    elif anonymise:
        key = secrets.token_bytes(32)
    request = ExportRequest(
        out=out,
        run_ids=tuple(run or ()),
        repository=repository,
        outcomes=tuple(word.value for word in outcome or ()),
        merged=merged,
        since=since.replace(tzinfo=UTC) if since else None,
        validation=validation,
        seed=seed,
        key=key,
        pages=html,
        journals=journals,
    )
    settings = load()
    store = SqlStore(settings.database)
    try:
        done = export(store, request, Journals(settings, store).events)
    finally:
        store.close()
    SafeConsole().print(
        f"{done.runs} runs: {done.train} examples for training, {done.validation} for validation "
        f"in {out}",
        highlight=False,
    )
