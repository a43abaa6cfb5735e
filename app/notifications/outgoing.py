"""Sends what is due, beside the work: on which channels, and again when a receiver was away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from agent.journal.events import now
from app.notifications import config
from app.notifications.config import Channel
from app.notifications.messages import message_of
from app.notifications.send import NotSent, send, wait_before
from app.settings.base import SettingsError
from app.settings.schema import Settings
from app.storage.notices import Notice, Notices, Sending
from app.telemetry import logs

EVERY_S = 5.0

_log = logs.get(__name__)


@contextmanager
def notifications_running(settings: Settings, database: sa.Engine) -> Iterator[None]:
    """Send what is due, in the background, until the end of the block."""
    stop = threading.Event()

    async def send_periodically() -> None:
        while not await asyncio.to_thread(stop.wait, EVERY_S):
            try:
                await send_due(settings, database)
            except Exception:  # noqa: BLE001  the database is away: it is tried again
                _log.warning("notifications could not be sent", exc_info=True)

    thread = threading.Thread(
        target=lambda: asyncio.run(send_periodically()), name="notifications", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(EVERY_S)


async def send_due(settings: Settings, database: sa.Engine) -> int:
    """Send what is due now; returns how many receivers took it."""
    known = Notices(database)
    try:
        file = config.load(settings.notifications_file)
    except SettingsError as error:
        _log.error("notifications are not sent", why=str(error))
        return 0
    await asyncio.to_thread(known.share_out, file.channels_of)
    due = await asyncio.to_thread(known.take_due)
    # A slow receiver must not hold up the others.
    sent = await asyncio.gather(*(_try(settings, known, file.named(s.channel), s) for s in due))
    return sum(sent)


async def _try(settings: Settings, known: Notices, channel: Channel | None, due: Sending) -> bool:
    if channel is None:
        await asyncio.to_thread(known.failed, due, "There is no such channel any more.", None)
        return False
    try:
        await tell(settings, channel, due.notice)
    except NotSent as error:
        again_in = wait_before(due.tries, error)
        goes_on = await asyncio.to_thread(known.failed, due, str(error), again_in)
        _log.warning(
            "a notification was not taken",
            notice=due.notice.id,
            why=str(error),
            tries=due.tries,
            again=goes_on,
        )
        return False
    await asyncio.to_thread(known.sent, due)
    return True


async def tell(settings: Settings, channel: Channel, notice: Notice) -> None:
    """Tell a notice on a channel. Raises `NotSent`."""
    web = settings.github_web_url.rstrip("/")
    message = message_of(notice, channel, base_url=settings.base_url, web_url=web)
    await send(channel, notice, message)


def trial_notice() -> Notice:
    """What a channel is told to try it."""
    moment = now()
    return Notice(
        id=f"test-{moment:%Y%m%dT%H%M%S}",
        kind="test",
        run_id="",
        repository="",
        issue_number=0,
        title="Notifications of Patchwright arrive here",
        pull_request="",
        words="",
        at=moment,
    )
