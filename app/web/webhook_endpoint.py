"""GitHub's deliveries: body, signature, and what is answered."""

from __future__ import annotations

import time

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.github import webhooks
from app.intake.receive import Intake, accept_delivery
from app.settings.schema import Settings
from app.telemetry import logs

_log = logs.get(__name__)


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body, never holding more than `limit` bytes of it. Raises 413 or 400."""
    # Closing ends the sender's flow: the server would read the rest to its end otherwise.
    too_large = HTTPException(
        413, f"The body is larger than {limit} bytes.", {"Connection": "close"}
    )
    declared = request.headers.get("content-length")
    if declared is not None:
        if not (declared.isascii() and declared.isdecimal() and len(declared) < 20):
            raise HTTPException(400, "The Content-Length header is not a number.")
        if int(declared) > limit:
            raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise too_large
            chunks.append(chunk)
    except ClientDisconnect:
        raise HTTPException(400, "The body ended early.") from None
    return b"".join(chunks)


async def deliver(
    settings: Settings, intake: Intake, request: Request
) -> tuple[int, dict[str, str]]:
    """Check, keep and pass on one delivery: status and answer. Raises `HTTPException`."""
    started = time.monotonic()
    body = await read_body(request, settings.body_limit_bytes)
    signature = request.headers.get("x-hub-signature-256")
    if signature is None:
        raise HTTPException(401, "The X-Hub-Signature-256 header is missing.")
    # At most a small local file: a thread would cost more than it.
    secret = settings.secret("github_webhook_secret")
    if not webhooks.verify(secret, body, signature):
        raise HTTPException(401, "The signature does not fit the body.")
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
