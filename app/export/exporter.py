"""`patchwright runs export`: runs as training data, as journals, and as pages to send around."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from jinja2 import Environment, PackageLoader, StrictUndefined

from agent.journal.events import (
    AnyEvent,
    CulpritSearched,
    NoteAdded,
    Outcome,
    QuestionAnswered,
    Recorded,
)
from agent.tools.registry import tool_specs
from app.export.anonymise import mentioned_logins, pseudonymise, without_secrets
from app.export.examples import RunMetadata, examples, validation_repositories
from app.journal_view.html import trace_page
from app.outcomes.rows import Outcomes, PullOutcome
from app.storage.records import Run, RunFilter, UnknownRun
from app.storage.store import SqlStore

_CARD = Environment(  # Markdown, not HTML; its values are numbers and names that are checked.
    loader=PackageLoader("app.export", "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701
)
PAGE = 200


class ExportRefused(Exception):
    """Nothing can be exported as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Which runs to export, and how. Empty filters filter nothing."""

    out: Path
    run_ids: tuple[str, ...] = ()
    repository: str = ""
    outcomes: tuple[Outcome, ...] = ()
    merged: bool = False
    since: datetime | None = None
    validation: float = 0.1
    """Part of the examples, kept apart by repository."""
    seed: int = 0
    key: bytes | None = None
    """Anonymise, with pseudonyms by this key."""
    pages: bool = False
    """Write a page per run too."""
    journals: bool = False
    """Write the journals too."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    runs: int
    train: int
    validation: int


def export(
    store: SqlStore,
    request: ExportRequest,
    journal_of: Callable[[str], Sequence[Recorded]] | None = None,
) -> Exported:
    """Write `train.jsonl`, `validation.jsonl` and `README.md` into the folder.

    Only runs that are over go out; `journal_of` reads journals that the store no longer holds too.
    Raises `ExportRefused` when the folder holds something or nothing fits.
    """
    if request.out.exists() and any(request.out.iterdir()):
        raise ExportRefused(f"{request.out} is not empty; name another folder with --out")
    runs = [run for run in _runs(store, request) if _matches(run, request)]
    if not runs:
        raise ExportRefused("no finished run matches these filters")
    apart = validation_repositories([r.repository for r in runs], request.validation, request.seed)
    counts = {side: _Counts() for side in ("train", "validation")}
    read = journal_of or store.events
    exported: list[Run] = []
    for run in runs:
        became = Outcomes(store.database).get(run.id)
        rows = _export_run(run, read(run.id), request, became)
        if not rows:
            continue
        exported.append(run)
        side = "validation" if run.repository.lower() in apart else "train"
        with _open_for_append(request.out / f"{side}.jsonl") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                counts[side].add(row)
    if not exported:
        raise ExportRefused("no attempt of a finished run matches these filters")
    card = _CARD.get_template("dataset_card.md.j2").render(
        train=counts["train"].rows,
        validation=counts["validation"].rows,
        has_validation=bool(apart),
        runs=len(exported),
        repositories=len({run.repository.lower() for run in exported}),
        models=sorted(counts["train"].models | counts["validation"].models),
        outcomes=sorted((counts["train"].outcomes + counts["validation"].outcomes).items()),
        rewards=sorted((counts["train"].rewards + counts["validation"].rewards).items()),
        request=request,
    )
    _write(request.out / "README.md", card)
    return Exported(len(exported), counts["train"].rows, counts["validation"].rows)


def _export_run(
    run: Run, journal: Sequence[Recorded], request: ExportRequest, became: PullOutcome | None
) -> list[dict[str, Any]]:
    """The run's examples that fit; with them its journal and page are written, if wanted."""
    private = _Redaction(run, journal, request.key)
    rows = examples(RunMetadata.of(run, became), journal, tool_specs())
    rows = [private.data(row) for row in rows if _example_matches(row, request)]
    if rows and (request.journals or request.pages):
        clean = private.journal()
        lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in clean)
        if request.journals:
            _write(request.out / "journals" / f"{run.id}.jsonl", lines)
        if request.pages:
            title = private.text(f"{run.repository}#{run.issue_number} {run.title}")
            page = trace_page(title, [Recorded.model_validate(entry) for entry in clean])
            _write(request.out / "pages" / f"{run.id}.html", page)
    return rows


@dataclass(slots=True)
class _Counts:
    """What was written to one side, for the card."""

    rows: int = 0
    models: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    rewards: Counter[str] = field(default_factory=Counter)

    def add(self, row: dict[str, Any]) -> None:
        self.rows += 1
        self.models.add(row["model"])
        self.outcomes[row["outcome"]] += 1
        self.rewards[str(row["reward"])] += 1


def read_journal(path: Path) -> list[Recorded]:
    """An exported journal. Raises `OSError`, `ValueError`."""
    with path.open("rb") as file:
        return [Recorded.model_validate_json(line) for line in file]


@dataclass(frozen=True, slots=True)
class _Redaction:
    """One run's data, ready for export."""

    run: Run
    events: Sequence[Recorded]
    key: bytes | None

    def data(self, value: Any) -> Any:
        clean = without_secrets(value)
        if self.key is None:
            return clean
        people = {self.run.triggered_by, self.run.trigger.issue_author}
        people |= set(_authors(r.event for r in self.events))
        people |= mentioned_logins(f"{self.run.trigger.issue_title}\n{self.run.trigger.issue_body}")
        return pseudonymise(clean, [self.run.repository], people, self.key)

    def text(self, text: str) -> str:
        return str(self.data(text))

    def journal(self) -> list[Any]:
        return [self.data(r.model_dump(mode="json")) for r in self.events]


def _authors(events: Iterable[AnyEvent]) -> Iterator[str]:
    return (
        e.author
        for e in events
        if isinstance(e, NoteAdded | CulpritSearched | QuestionAnswered) and e.author
    )


def _runs(store: SqlStore, request: ExportRequest) -> Iterator[Run]:
    if request.run_ids:
        for run_id in request.run_ids:
            try:
                yield store.get_run(run_id)
            except UnknownRun:
                raise ExportRefused(f"there is no run {run_id}") from None
        return
    filters = RunFilter(status="done")
    cursor = ""
    while True:
        page = store.list_runs(filters, cursor, PAGE)
        yield from page.runs
        cursor = page.next
        if not cursor:
            return


def _matches(run: Run, request: ExportRequest) -> bool:
    if run.status != "done" or (request.merged and run.closed != "merged"):
        return False
    if request.repository and run.repository.lower() != request.repository.lower():
        return False
    return request.since is None or run.created_at >= request.since


def _example_matches(row: dict[str, Any], request: ExportRequest) -> bool:
    if request.merged and row["pull_request"] != "merged":
        return False
    return not request.outcomes or row["outcome"] in request.outcomes


def _open_for_append(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a", encoding="utf-8", errors="replace")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A lone surrogate in what a program printed has no UTF-8.
    path.write_text(text, "utf-8", errors="replace")
