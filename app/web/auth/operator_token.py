"""Who may read the pages: they show private code. Pure decisions on a request's facts.

With an operator token: whoever shows it (as a bearer token, once in the address, or by the cookie
that this gave). Without one: only browsers on this very machine.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping

COOKIE = "patchwright_operator"
LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}


def cookie_value(token: str) -> str:
    """What the cookie holds: proof of the token, not the token."""
    return hmac.new(token.encode(), b"patchwright operator cookie", hashlib.sha256).hexdigest()


def same(left: str, right: str) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


def shown(token: str, *, authorization: str, cookie: str) -> bool:
    """Whether a request shows the operator's token."""
    scheme, _, value = authorization.partition(" ")
    if scheme.casefold() == "bearer" and same(value.strip(), token):
        return True
    return same(cookie, cookie_value(token))


def is_local(client: str, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a browser on this machine.

    A proxy on this machine would make everybody look local, and a page elsewhere could name a host
    of its own that resolves to this machine: so no forwarding headers, and a local `Host`.
    """
    try:
        local = ipaddress.ip_address(client).is_loopback
    except ValueError:
        local = False
    return (
        local and not was_forwarded(headers) and _host_name(headers.get("host", "")) in LOCAL_NAMES
    )


def was_forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a proxy says that it passed the request on."""
    return any(name in headers for name in ("forwarded", "x-forwarded-for", "via"))


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].casefold()
