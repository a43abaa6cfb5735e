"""What people may do to a run from its page: a hint, an answer, a stop, another try, publishing a
patch."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from agent.journal.store import Answer
from app.publishing.publication import kept_change, kept_proof
from app.storage import audit
from app.storage.inbox import Inbox
from app.storage.questions import Questions
from app.storage.records import Run
from app.storage.store import SqlStore
from app.telemetry import logs
from app.web.auth.visitors import Visitor
from app.web.dashboard.context import Context, Guest, ReadableRun
from app.web.request_body import form_fields

LONGEST_HINT = 4000
router = APIRouter()
_log = logs.get(__name__)


def steer(
    store: SqlStore,
    enqueue: Callable[[str], None],
    run: Run,
    visitor: Visitor,
    verb: str,
    fields: Mapping[str, str],
) -> str:
    """Do it; returns the id of the run whose page shows what became of it. Blocks.

    Raises `HTTPException` when it does not fit the run's state.
    """
    match verb:
        case "hint":
            return _hint(store, run, visitor, fields.get("text", "").strip())
        case "answer":
            return _answer(store, enqueue, run, visitor, fields)
        case "stop":
            if run.status == "done":
                raise HTTPException(409, "The run is already over.")
            store.request_stop(run.id)
            audit.record(store.database, visitor.name, "stop", run.id)
            return run.id
        case "open":
            store.open_pages(run.repository_id)
            audit.record(store.database, visitor.name, "open pages", run.repository)
            return run.id
        case "retry":
            return _retry(store, enqueue, run, visitor)
        case "publish":
            return _publish(store, enqueue, run, visitor)
        case _:
            raise HTTPException(404, "There is no such action.")


def _hint(store: SqlStore, run: Run, visitor: Visitor, text: str) -> str:
    if run.status == "done":
        raise HTTPException(409, "The run is over: a hint would not be read. Start over instead.")
    if not text:
        raise HTTPException(422, "The hint is empty.")
    if len(text) > LONGEST_HINT:
        raise HTTPException(422, f"The hint is longer than {LONGEST_HINT} characters.")
    store.add_hint(run.id, visitor.name, text)
    audit.record(store.database, visitor.name, "hint", run.id, text)
    return run.id


def _answer(
    store: SqlStore,
    enqueue: Callable[[str], None],
    run: Run,
    visitor: Visitor,
    fields: Mapping[str, str],
) -> str:
    questions = Questions(store.database)
    kept, text = questions.of_run(run.id), fields.get("text", "").strip()
    if kept is None or fields.get("question") != str(kept.asked.number):
        raise HTTPException(409, "That question is not open any more.")
    numbers = {str(n) for n in range(1, len(kept.asked.options) + 1)}
    if fields.get("option") not in numbers:
        raise HTTPException(422, "There is no such answer.")
    if len(text) > LONGEST_HINT:
        raise HTTPException(422, f"The text is longer than {LONGEST_HINT} characters.")
    answer = Answer(option=int(fields["option"]), author=visitor.name, text=text)
    if not questions.answer(run.id, kept.asked.number, answer, ""):
        raise HTTPException(409, "That question is not open any more.")
    audit.record(store.database, visitor.name, "answer", run.id, f"{answer.option} {text}".rstrip())
    _enqueue(enqueue, run.id)
    return run.id


def _retry(store: SqlStore, enqueue: Callable[[str], None], run: Run, visitor: Visitor) -> str:
    if run.status != "done":
        raise HTTPException(409, "The run is not over yet.")
    trigger = run.trigger
    if visitor.login:
        trigger = trigger.model_copy(
            update={"sender": visitor.login, "sender_id": visitor.account_id}
        )
        if trigger.by == "schedule":  # from now on a person wants it
            asked = {"by": "command", "goal": "fix", "sender_is_bot": False}
            trigger = trigger.model_copy(update=asked)
    accepted = store.accept(f"page-{uuid.uuid4()}", "page", trigger, model=run.model)
    audit.record(store.database, visitor.name, "retry", accepted.run_id, f"of {run.id}")
    if accepted.how == "new":
        _enqueue(enqueue, accepted.run_id)
    return accepted.run_id


def _publish(store: SqlStore, enqueue: Callable[[str], None], run: Run, visitor: Visitor) -> str:
    if run.status != "done":
        raise HTTPException(409, "The run is not over yet.")
    inbox, events = Inbox(store.database), [recorded.event for recorded in store.events(run.id)]
    if run.pull_request and (run.closed or kept_change(events) is None):
        raise HTTPException(
            409, "The run's patch is published already, or its pull request closed."
        )
    if not kept_proof(events):
        raise HTTPException(409, "The run kept no patch. Start over instead.")
    audit.record(store.database, visitor.name, "publish", run.id)
    if run.pull_request:
        inbox.request(run.id, "publish", f"page-{uuid.uuid4()}")
    if inbox.wake(run.id):
        _enqueue(enqueue, run.id)
    return run.id


def _enqueue(enqueue: Callable[[str], None], run_id: str) -> None:
    try:
        enqueue(run_id)
    except Exception:  # noqa: BLE001  whatever the engine's trouble: the outbox has it
        _log.warning("the run could not be enqueued yet", run=run_id, exc_info=True)


@router.post("/runs/{run_id}/{verb}")
async def act(
    request: Request, dashboard: Context, visitor: Guest, run: ReadableRun, verb: str
) -> Response:
    """Take a form of the run's page, and lead to the run that shows what became of it."""
    fields = await form_fields(request)
    dashboard.access.check_form(request, visitor, fields.get("form_token", ""))
    may = dashboard.access.may_open if verb == "open" else dashboard.access.may_steer
    if not await may(visitor, run):
        raise HTTPException(403, "Your role in this repository does not let you do that.")
    to = await run_in_threadpool(
        steer, dashboard.store, dashboard.enqueue, run, visitor, verb, fields
    )
    return RedirectResponse(f"/runs/{to}", status_code=303)
