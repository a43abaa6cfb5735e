"""Sends what is due, beside the work: on which channels, and again when a receiver was away."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from functools import partial

import sqlalchemy as sa

from agent.journal.events import now
from app.background import repeated
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


def notifications_running(settings: Settings, database: sa.Engine) -> AbstractContextManager[None]:
    """Send what is due, in the background, until the end of the block."""
    act = partial(send_due, settings, database)
    return repeated("notifications", EVERY_S, act, "notifications could not be sent")


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
    by_channel: dict[str, list[Sending]] = {}
    for sending in due:
        by_channel.setdefault(sending.channel, []).append(sending)

    async def in_order(name: str, sendings: list[Sending]) -> int:
        return sum([await _try(settings, known, file.named(name), each) for each in sendings])

    # A slow receiver must not hold up the others.
    return sum(await asyncio.gather(*(in_order(*each) for each in by_channel.items())))


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
