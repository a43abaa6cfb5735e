"""The pages and their JSON: the runs, each run's journal live, queue, statistics.

Annotations are kept as objects here: FastAPI has to see the dependencies that are made inside
`pages`.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse

from agent.journal.events import Outcome
from app.journal_view import cards
from app.journal_view.cards import card_values
from app.journal_view.entries import present_all
from app.journal_view.summary import Head
from app.sanitize.html import SHOWN
from app.settings.schema import Settings
from app.storage.archive import Journals
from app.storage.records import Run, RunFilter, Status, UnknownRun
from app.storage.store import SqlStore
from app.web.auth.visitors import AccessControl, Asking, Visitor
from app.web.dashboard import queue as dashboard_queue
from app.web.dashboard import run_list
from app.web.dashboard import statistics as dashboard_stats
from app.web.dashboard.actions import fields_of, steer
from app.web.dashboard.compare import compare
from app.web.dashboard.live import Streams, stream
from app.web.dashboard.summaries import Heads
from app.web.rendering import render

EVENTS_PER_PAGE = 200


def _untold(_run_id: str) -> None:
    """The outbox is looked into soon."""


def pages(
    settings: Settings,
    store: SqlStore,
    ask: Asking | None = None,
    enqueue: Callable[[str], None] = _untold,
) -> APIRouter:
    """The routes that show runs, each visitor what they may see.

    `ask` tells people's roles; without it only the operator is let in.
    """
    door = AccessControl(settings, ask)
    journals = Journals(settings, store)
    heads, streams = Heads(journals), Streams()
    efforts = dashboard_stats.Efforts(store.engine, journals)
    router = APIRouter(dependencies=[Depends(door.visitor)])
    Guest = Annotated[Visitor, Depends(door.visitor)]

    async def find(run_id: str, visitor: Guest) -> Run:
        try:
            run = await run_in_threadpool(store.get_run, run_id)
        except UnknownRun:
            raise HTTPException(404, "There is no such run.") from None
        if not await door.may_read(visitor, run):
            raise HTTPException(404, "There is no such run.")
        return run

    Found = Annotated[Run, Depends(find)]

    async def readable(visitor: Guest) -> frozenset[str] | None:
        if not visitor.login:
            return None
        return await door.readable(visitor, await run_in_threadpool(run_list.places, store.engine))

    Readable = Annotated[frozenset[str] | None, Depends(readable)]

    def head_of(run: Run) -> str:
        return render("head.html", **_head_values(settings, run, heads.of(run.id)))

    @router.get("/runs", response_class=HTMLResponse)
    def list_runs(
        visitor: Guest,
        seen: Readable,
        repository: Annotated[str, Query(max_length=201)] = "",
        status: Annotated[str, Query(max_length=16)] = "",
        outcome: Annotated[str, Query(max_length=16)] = "",
        search: Annotated[str, Query(max_length=200)] = "",
        cursor: Annotated[str, Query(max_length=64)] = "",
    ) -> HTMLResponse:
        filters = _filters(repository, status, outcome)
        page = run_list.listed(store.engine, filters, search=search, cursor=cursor, readable=seen)
        kept = {name: value for name, value in filters.model_dump().items() if value}
        kept |= {"search": search} if search.strip() else {}
        known = [r for _, r in run_list.places(store.engine) if seen is None or r in seen]
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
                label=settings.label,
            )
        )

    @router.get("/runs/{run_id}", response_class=HTMLResponse)
    async def show_run(
        visitor: Guest, run: Found, first: Annotated[int | None, Query(ge=0, lt=2**53)] = None
    ) -> HTMLResponse:
        start = max(run.events - EVENTS_PER_PAGE, 0) if first is None else first
        events = await run_in_threadpool(journals.events, run.id, start - 1, EVENTS_PER_PAGE)
        end = start + len(events)
        head = await run_in_threadpool(heads.of, run.id)
        values = _head_values(settings, run, head)
        values |= {
            "visitor": visitor,
            "may_steer": await door.may_steer(visitor, run),
            "events": present_all(events),
            "shown": SHOWN,
            "first": start,
            "end": end,
            "earlier": max(start - EVENTS_PER_PAGE, 0) if start else None,
            "later": end if end < run.events else None,
            "live": run.status != "done" and end >= run.events,
            "snapshots": list(head.snapshots.values()),
            "names": _snapshot_names(head),
        }
        return HTMLResponse(await run_in_threadpool(lambda: render("run.html", **values)))

    @router.get("/runs/{run_id}/events")
    def run_events(
        run: Found,
        after: Annotated[int, Query(ge=-1, lt=2**53)] = -1,
        limit: Annotated[int, Query(ge=1, le=1000)] = EVENTS_PER_PAGE,
    ) -> JSONResponse:
        events = journals.events(run.id, after=after, limit=limit)
        return JSONResponse(
            {
                "run": run.id,
                "status": run.status,
                "outcome": run.outcome,
                "events": [recorded.model_dump(mode="json") for recorded in events],
                "after": events[-1].seq if events else after,
            }
        )

    @router.get("/runs/{run_id}/stream")
    async def run_stream(
        request: Request, run: Found, after: Annotated[int, Query(ge=-1, lt=2**53)] = -1
    ) -> Response:
        if streams.full:
            raise HTTPException(503, "Too many runs are watched at once. Reload the page later.")
        last = request.headers.get("last-event-id", "")
        place = int(last) if last.isascii() and last.isdecimal() and len(last) < 16 else after
        return StreamingResponse(
            stream(store, run.id, place, head_of, streams), media_type="text/event-stream"
        )

    @router.get("/runs/{run_id}/logs/{log_id:path}")
    def run_log(run: Found, log_id: str) -> Response:
        data = journals.log(run.id, log_id)
        if data is None:
            raise HTTPException(404, "There is no such log.")
        return Response(data, media_type="text/plain; charset=utf-8")

    @router.get("/runs/{run_id}/compare", response_class=HTMLResponse)
    def compare_snapshots(
        visitor: Guest,
        run: Found,
        left: Annotated[str, Query(max_length=200)] = "",
        right: Annotated[str, Query(max_length=200)] = "",
    ) -> HTMLResponse:
        head = heads.of(run.id)
        known = {snapshot.key: snapshot for snapshot in head.snapshots.values()}
        if (left and left not in known) or right not in known:
            raise HTTPException(404, "There is no such snapshot.")

        def read(key: str) -> str:
            data = journals.log(run.id, known[key].log_id) if key else b""
            return (data or b"").decode("utf-8", "replace")

        files = compare(read(left), read(right))
        return HTMLResponse(
            render(
                "compare.html",
                visitor=visitor,
                run=run,
                names=_snapshot_names(head),
                left=left,
                right=right,
                files=files,
            )
        )

    @router.post("/runs/{run_id}/{verb}")
    async def act(request: Request, visitor: Guest, run: Found, verb: str) -> Response:
        fields = await fields_of(request)
        door.check_form(request, visitor, fields.get("form_token", ""))
        if not await door.may_steer(visitor, run):
            raise HTTPException(403, "Your role in this repository does not let you do that.")
        text = fields.get("text", "")
        to = await run_in_threadpool(steer, store, enqueue, run, visitor, verb, text)
        return RedirectResponse(f"/runs/{to}", status_code=303)

    @router.get("/queue", response_class=HTMLResponse)
    def queue(visitor: Guest, seen: Readable) -> HTMLResponse:
        state = dashboard_queue.look(store.engine, seen)
        return HTMLResponse(
            render("queue.html", visitor=visitor, state=state, limit=settings.tokens_per_day)
        )

    @router.get("/statistics", response_class=HTMLResponse)
    def statistics(visitor: Guest, seen: Readable) -> HTMLResponse:
        figures = dashboard_stats.gather(store.engine, efforts, seen)
        return HTMLResponse(
            render(
                "statistics.html",
                visitor=visitor,
                figures=figures,
                gpus=settings.gpus_per_stream,
                weeks=cards.bars(figures.weeks),
                fix_minutes=cards.bars(figures.minutes_each),
                fix_tokens=cards.bars(_scaled(figures.tokens_each, 0.001)),
                fix_seconds=cards.bars(
                    _scaled(figures.seconds_each, settings.gpus_per_stream or 1)
                ),
            )
        )

    return router


def _scaled(values: Sequence[tuple[str, float]], by: float) -> list[tuple[str, float]]:
    return [(name, value * by) for name, value in values]


def _snapshot_names(head: Head) -> dict[str, str]:
    """The base and the snapshots, each with its name for people."""
    return {"": "the base"} | {s.key: s.name for s in head.snapshots.values()}


def _took(run: Run, head: Head) -> str:
    # A run's own last change may be the merge of its pull request.
    seconds = ((head.ended_at or run.updated_at) - run.created_at).total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _head_values(settings: Settings, run: Run, head: Head) -> dict[str, object]:
    return card_values(
        head,
        where=f"/runs/{run.id}",
        budget_calls=settings.budget_calls,
        budget_tokens=settings.budget_tokens,
    ) | {
        "run": run,
        "took": _took(run, head),
        "issue_url": f"{settings.github_web_url}/{run.repository}/issues/{run.issue_number}",
    }


def _filters(repository: str, status: str, outcome: str) -> RunFilter:
    """Filters from an address; words that name no state filter nothing."""
    return RunFilter.model_validate(
        {
            "repository": repository,
            "status": status if status in get_args(Status) else "",
            "outcome": outcome if outcome in get_args(Outcome) else "",
        }
    )
