"""GitHub's deliveries: body, signature, and what is answered."""

from __future__ import annotations

import time

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from app.github import webhooks
from app.intake.receive import Intake, accept_delivery
from app.settings.schema import Settings
from app.telemetry import logs
from app.web.request_body import BodyMemory, HeldBody, read_body

_log = logs.get(__name__)


async def deliver(
    settings: Settings, intake: Intake, memory: BodyMemory, request: Request
) -> tuple[int, dict[str, str]]:
    """Check, keep and pass on one delivery: status and answer. Raises `HTTPException`."""
    with memory.body() as held:
        return await _deliver(settings, intake, held, request)


async def _deliver(
    settings: Settings, intake: Intake, held: HeldBody, request: Request
) -> tuple[int, dict[str, str]]:
    started = time.monotonic()
    body = await read_body(request, settings.body_limit_bytes, held)
    signature = request.headers.get("x-hub-signature-256")
    if signature is None:
        raise HTTPException(401, "The X-Hub-Signature-256 header is missing.")
    # At most a small local file: a thread would cost more than it.
    secret = settings.secret("github_webhook_secret")
    if not webhooks.verify(secret, body, signature):
        raise HTTPException(401, "The signature does not match the body.")
    event = request.headers.get("x-github-event", "")
    delivery = request.headers.get("x-github-delivery", "")
    try:
        taken = await run_in_threadpool(accept_delivery, intake, event, delivery, body)
    except webhooks.BadPayload as error:
        raise HTTPException(400, f"Bad payload: {error}.") from None
    if taken.result == "ignored":
        return 200, {"result": "ignored", "reason": taken.reason}
    _log.info(
        "delivery",
        delivery=delivery,
        github_event=event,
        run=taken.run_id,
        how=taken.result,
        ms=round((time.monotonic() - started) * 1000),
    )
    answer = {"result": taken.result}
    if taken.run_id:
        url = f"{settings.base_url}/runs/{taken.run_id}"
        answer |= {"run": taken.run_id, "url": url}
    return (202 if taken.result in ("new", "noted") else 200), answer
