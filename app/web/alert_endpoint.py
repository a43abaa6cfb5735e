"""Deliveries of alerts: body, proof of where it comes from, and what is answered."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from app.alerts.records import BadAlert
from app.intake.alerts import NotBelieved, UnknownSource, accept_alerts
from app.settings.base import SettingsError
from app.settings.schema import Settings
from app.storage.alerts import Alerts, TooManyAlerts
from app.storage.store import SqlStore
from app.telemetry import logs
from app.web.request_body import BodyMemory, read_body

PATH = "/webhooks/alerts/"
LONGEST_ALERT = 5 * 1024 * 1024
"""Bytes of a delivery. Sentry takes events of 1 MiB at most and sends little more than them."""

_log = logs.get(__name__)


async def deliver_alerts(
    settings: Settings,
    store: SqlStore,
    enqueue_event: Callable[[str], None],
    memory: BodyMemory,
    request: Request,
) -> tuple[int, dict[str, str | int]]:
    """Check, keep and pass on one delivery: status and answer. Raises `HTTPException`."""
    name = str(request.path_params["source"])
    limit = min(LONGEST_ALERT, settings.body_limit_bytes)
    with memory.body() as held:
        body = await read_body(request, limit, held)
        headers = {key.lower(): value for key, value in request.headers.items()}
        taken_in = (settings, Alerts(store.database), name, headers, body)
        try:
            taken = await run_in_threadpool(accept_alerts, *taken_in)
        except UnknownSource:
            raise HTTPException(404, "There is no such source of alerts.") from None
        except NotBelieved as error:
            raise HTTPException(
                401, str(error), {"WWW-Authenticate": 'Basic realm="alerts"'}
            ) from None
        except BadAlert as error:
            raise HTTPException(400, f"Bad payload: {error}.") from None
        except TooManyAlerts:
            _log.warning("too many new alerts today: nothing of a delivery is taken", source=name)
            raise HTTPException(
                429, "The source has brought too many new alerts today.", {"Retry-After": "3600"}
            ) from None
        except SettingsError as error:
            _log.error("alerts cannot be taken", source=name, why=str(error))
            raise HTTPException(503, "The settings about alerts are not usable.") from None
    for event_id in taken.events:
        try:
            enqueue_event(event_id)
        except Exception:  # noqa: BLE001  whatever the engine's trouble: the outbox has the event
            _log.warning("an alert could not be enqueued yet", about=event_id, exc_info=True)
    _log.info("alerts", source=name, how=taken.result, alerts=taken.count, due=len(taken.events))
    answer: dict[str, str | int] = {"result": taken.result}
    if taken.beyond:
        _log.warning("too many new alerts today", source=name, not_taken=taken.beyond)
        answer["not_taken"] = taken.beyond
    return (202 if taken.result == "noted" else 200), answer
