"""The list of runs: filters, search, pages, and only what the visitor may see."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from agent.journal.events import Outcome
from agent.model import Record
from app.storage.records import RunFilter, Status
from app.storage.tables import from_micros, runs, to_micros
from app.web.auth.visitors import Place, ReadableRuns
from app.web.dashboard.context import Context, Guest
from app.web.rendering import render

router = APIRouter()

PAGE = 50
AnySelect = TypeVar("AnySelect", bound=sa.Select[Any])


class RunRow(Record):
    """A run in the list."""

    id: str
    repository: str
    issue_number: int
    title: str
    status: str
    outcome: str
    model: str
    pull_request: str
    closed: Literal["", "merged", "closed"]
    events: int
    created_at: datetime
    updated_at: datetime


class Page(Record):
    """Some runs, newest first; `next` is the cursor of the page after, empty at the end."""

    runs: tuple[RunRow, ...]
    next: str = ""


def repositories(database: sa.Engine) -> list[Place]:
    """The repositories that have runs, by name."""
    by_id = (
        sa.select(
            sa.func.max(runs.c.installation_id).label("installation_id"),
            sa.func.max(runs.c.repository).label("repository"),
            runs.c.repository_id,
        )
        .group_by(runs.c.repository_id)
        .order_by(sa.func.max(runs.c.repository))
    )
    of_private_time = (
        sa.select(runs.c.visibility, runs.c.repository_id)
        .where(runs.c.visibility.in_(("private", "asked")))
        .distinct()
    )
    with database.execution_options(read_only=True).connect() as connection:
        marked = {
            (row.visibility, row.repository_id) for row in connection.execute(of_private_time)
        }
        return [
            Place(
                *row,
                has_private_runs=bool({("private", row[2]), ("asked", row[2])} & marked),
                is_public=("asked", row[2]) in marked,
            )
            for row in connection.execute(by_id)
        ]


def read_page(
    database: sa.Engine,
    filters: RunFilter,
    *,
    search: str = "",
    cursor: str = "",
    readable: ReadableRuns | None = None,
    limit: int = PAGE,
) -> Page:
    """A page of the list. `search` is part of a title, or an issue's number; None reads all.

    A bad cursor is the first page.
    """
    query = sa.select(runs).order_by(runs.c.created_at.desc(), runs.c.id.desc())
    for name, value in filters.model_dump().items():
        if value:
            query = query.where(runs.c[name] == value)
    if readable is not None:
        of_private_time = runs.c.visibility.in_(("private", "asked"))
        query = query.where(
            sa.or_(
                runs.c.repository_id.in_(sorted(readable.whole)),
                sa.and_(
                    runs.c.repository_id.in_(sorted(readable.without_private)),
                    sa.not_(of_private_time),
                ),
            )
        )
    if words := search.strip():
        query = query.where(_search_condition(words))
    query = from_cursor(query, runs, cursor)
    with database.execution_options(read_only=True).connect() as connection:
        found = [_row(r) for r in connection.execute(query.limit(limit + 1)).mappings()]
    if len(found) <= limit:
        return Page(runs=tuple(found))
    end = found[limit - 1]
    return Page(runs=tuple(found[:limit]), next=f"{to_micros(end.created_at)}_{end.id}")


def from_cursor(query: AnySelect, table: sa.Table, cursor: str) -> AnySelect:
    """The query for rows after a cursor, newest first; a bad cursor changes nothing."""
    created, _, last = cursor.partition("_")
    if not created.isdecimal() or len(created) >= 18:
        return query
    key = sa.tuple_(table.c.created_at, table.c.id)
    return query.where(key < sa.tuple_(sa.literal(int(created)), sa.literal(last)))


def _search_condition(words: str) -> sa.ColumnElement[bool]:
    number = words.removeprefix("#")
    in_text = sa.or_(
        runs.c.title.icontains(words, autoescape=True),
        runs.c.repository.icontains(words, autoescape=True),
    )
    if number.isascii() and number.isdecimal() and len(number) < 18:
        return sa.or_(in_text, runs.c.issue_number == int(number))
    return in_text


def _row(row: Any) -> RunRow:
    return RunRow(
        created_at=from_micros(row["created_at"]),
        updated_at=from_micros(row["updated_at"]),
        events=row["next_seq"],
        **{
            name: row[name]
            for name in RunRow.model_fields
            if name not in ("created_at", "updated_at", "events")
        },
    )


async def _readable(dashboard: Context, visitor: Guest) -> ReadableRuns | None:
    if not visitor.login:
        return None
    known = await run_in_threadpool(repositories, dashboard.store.database)
    return await dashboard.access.readable(visitor, known)


Readable = Annotated[ReadableRuns | None, Depends(_readable)]
"""The runs that the visitor may see; None: all."""


@router.get("/runs", response_class=HTMLResponse)
def list_runs(
    dashboard: Context,
    visitor: Guest,
    readable: Readable,
    repository: Annotated[str, Query(max_length=201)] = "",
    status: Annotated[str, Query(max_length=16)] = "",
    outcome: Annotated[str, Query(max_length=16)] = "",
    search: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str, Query(max_length=64)] = "",
) -> HTMLResponse:
    """A page of the list."""
    database = dashboard.store.database
    filters = _filters(repository, status, outcome)
    page = read_page(database, filters, search=search, cursor=cursor, readable=readable)
    kept = {name: value for name, value in filters.model_dump().items() if value}
    kept |= {"search": search} if search.strip() else {}
    known = [
        place.repository
        for place in repositories(database)
        if readable is None or place.repository_id in readable.whole | readable.without_private
    ]
    return HTMLResponse(
        render(
            "runs.html",
            visitor=visitor,
            page=page,
            older="/runs?" + urlencode({**kept, "cursor": page.next}),
            filters=filters,
            search=search,
            repositories=known,
            statuses=get_args(Status),
            outcomes=get_args(Outcome),
            filtered=bool(kept),
            label=dashboard.settings.label,
        )
    )


def _filters(repository: str, status: str, outcome: str) -> RunFilter:
    """Filters from an address; words that name no state filter nothing."""
    return RunFilter.model_validate(
        {
            "repository": repository,
            "status": status if status in get_args(Status) else "",
            "outcome": outcome if outcome in get_args(Outcome) else "",
        }
    )
