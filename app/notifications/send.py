"""Sends one message to one channel. Addresses and secrets are never part of an error.

An operator's address is posted to only if every address that its name has is one of the public
internet, unless the channel says `internal`; the connection then goes to one of those addresses and
not to what the name means a moment later (but e-mail's, whose library looks the name up again). No
redirect is followed, and no proxy of the environment is asked: it would look the name up by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import smtplib
import socket
import ssl
import time
from datetime import timedelta
from functools import cache
from urllib.parse import quote, urlsplit

import httpx

from app.notifications.config import KINDS, Channel
from app.notifications.messages import Message, added_headers, body_of, email_of
from app.settings.base import SettingsError
from app.storage.notices import Notice

TIMEOUT_S = 15.0
"""For all of a request; a receiver that is slower is tried again."""
MOST_ANSWER = 64 * 1024
AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which it is tried again; any other but a 2xx is final."""
WAITS = tuple(timedelta(seconds=s) for s in (10, 60, 300, 900, 3600))
"""Before the second, third … try; the last is repeated until a day is over."""


class NotSent(Exception):
    """The receiver did not take it; the message says why, without its address."""

    def __init__(self, why: str, *, again: bool = True, after: timedelta | None = None) -> None:
        super().__init__(why)
        self.again = again
        """Whether another try may help."""
        self.after = after
        """How long the receiver asks to wait; None: it does not."""


def wait_before(tries: int, error: NotSent) -> timedelta | None:
    """How long to wait after so many tries; None: it is not tried again."""
    if not error.again:
        return None
    own = WAITS[min(tries, len(WAITS)) - 1]
    return max(own, error.after or own)


async def send(channel: Channel, notice: Notice, message: Message) -> None:
    """Tell it on the channel. Raises `NotSent`."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            if channel.kind == "email":
                # In a thread that is left alone if the server does not answer in time.
                await asyncio.to_thread(_send_mail, channel, notice, message)
            else:
                await _post(channel, notice, message)
    except TimeoutError:
        raise NotSent(f"{channel.name} did not answer within {TIMEOUT_S:.0f} s.") from None
    except (SettingsError, ValueError) as error:
        raise NotSent(f"{channel.name} is not set up: {error}") from None


async def _post(channel: Channel, notice: Notice, message: Message) -> None:
    url, body = channel.address, body_of(channel.kind, notice, message)
    headers = {"Content-Type": "application/json", "User-Agent": "patchwright"}
    method = "POST"
    match channel.kind:
        case _ if channel.kind not in KINDS:
            headers |= added_headers(channel.kind, channel.secret)
        case "webhook":
            headers |= signature(channel.secret, body, notice.id)
        case "matrix":
            headers["Authorization"] = f"Bearer {channel.secret}"
            room, transaction = quote(channel.room, safe=""), quote(notice.id, safe="")
            url += f"/_matrix/client/v3/rooms/{room}/send/m.room.message/{transaction}"
            method = "PUT"
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = await _resolved(channel, host, parts.port or (443 if parts.scheme == "https" else 80))
    pinned = httpx.URL(url).copy_with(host=address)
    # The name is still what the certificate has to be for, and what the receiver is told.
    headers["Host"] = parts.netloc
    extensions = {"sni_hostname": host} if parts.scheme == "https" else {}
    try:
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
            client.stream(
                method, pinned, content=body, headers=headers, extensions=extensions
            ) as answer,
        ):
            taken = 0
            async for piece in answer.aiter_raw():
                taken += len(piece)
                if taken > MOST_ANSWER:
                    break
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        raise NotSent(f"{channel.name} cannot be reached ({type(error).__name__}).") from None
    if answer.status_code // 100 == 2:
        return
    raise NotSent(
        f"{channel.name} answered {answer.status_code}.",
        again=answer.status_code in AGAIN,
        after=_asked_to_wait(answer),
    )


@cache
def _tls() -> ssl.SSLContext:
    """The machine's authorities, read once."""
    return ssl.create_default_context()


def signature(secret: str, body: bytes, notice_id: str, at: int | None = None) -> dict[str, str]:
    """The headers of a signed request; the same form as alerts are signed in."""
    when = str(int(time.time()) if at is None else at)
    signed = hmac.new(secret.encode(), when.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {
        "X-Patchwright-Delivery": notice_id,
        "X-Patchwright-Timestamp": when,
        "X-Patchwright-Signature": f"sha256={signed}",
    }


async def _resolved(channel: Channel, host: str, port: int) -> str:
    """An address of a host to connect to. Raises `NotSent`."""
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotSent(f"{channel.name}: its host has no address.") from None
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    inside = [each for each in addresses if not is_public(each)]
    if inside and not channel.internal:
        raise NotSent(
            f"{channel.name}: its host is on this machine or a private network. Set "
            "`internal = true` for the channel if that is meant.",
            again=False,
        )
    if not addresses:
        raise NotSent(f"{channel.name}: its host has no address.")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    return (mapped or found).is_global and not (mapped or found).is_multicast


def _asked_to_wait(answer: httpx.Response) -> timedelta | None:
    told = answer.headers.get("retry-after", "")
    return timedelta(seconds=min(int(told), 3600)) if told.isascii() and told.isdigit() else None


def _send_mail(channel: Channel, notice: Notice, message: Message) -> None:
    mail, tls, at = email_of(channel, notice, message), _tls(), (channel.server, channel.port)
    try:
        connected = (
            smtplib.SMTP_SSL(*at, timeout=TIMEOUT_S, context=tls)
            if channel.security == "tls"
            else smtplib.SMTP(*at, timeout=TIMEOUT_S)
        )
        with connected as server:
            # Whom it is connected to, not what its name says now; nothing has been told yet.
            peer = "" if server.sock is None else str(server.sock.getpeername()[0])
            if not channel.internal and not is_public(peer):
                raise NotSent(
                    f"{channel.name}: its server is on this machine or a private network. Set "
                    "`internal = true` for the channel if that is meant.",
                    again=False,
                )
            if channel.security == "starttls":
                server.starttls(context=tls)
            if channel.user:
                server.login(channel.user, channel.secret)
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:
        # 5xx is final, 4xx is not (RFC 5321, 4.2.1).
        raise NotSent(
            f"{channel.name} answered {error.smtp_code}.", again=error.smtp_code < 500
        ) from None
    except UnicodeError:
        raise NotSent(f"{channel.name}: its server has no address.") from None
    except smtplib.SMTPRecipientsRefused:
        raise NotSent(f"{channel.name} refuses the recipients.", again=False) from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{channel.name} cannot be reached ({type(error).__name__}).") from None
