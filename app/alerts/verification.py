"""Whether a delivery comes from the source that it names; before anything of it is parsed.

What the services can do, by their documentation and source (November 2026):

- Sentry's integrations sign the body: `Sentry-Hook-Signature` is the hexadecimal HMAC-SHA256 of it
  with the integration's client secret (docs.sentry.io, "Webhooks"). The time in
  `Sentry-Hook-Timestamp` is not signed. Sentry's older WebHooks plugin and GlitchTip sign nothing
  (their sources send with `requests`, which makes Basic authentication of `user:password@` in an
  address).
- Alertmanager sends what its `http_config` says: `authorization` or `basic_auth`
  (prometheus.io, "http_config"). It signs nothing.
- Grafana sends Basic authentication or an Authorization header, and from version 12 signs: the
  hexadecimal HMAC-SHA256 of the body or, where a timestamp header is set, of `TIMESTAMP:BODY`
  (grafana/alerting, `http/hmac.go`; the header is called X-Grafana-Alerting-Signature in its
  documentation and X-Grafana-Alert-Signature in that source, so both are taken).
- Any other service signs `TIMESTAMP.BODY` in `X-Patchwright-Signature`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping

from app.alerts.sources import plugin

MOST_SKEW_S = 300
"""How far the signed time of a delivery may be from ours, in seconds."""
GRAFANA_SIGNATURES = ("x-grafana-alerting-signature", "x-grafana-alert-signature")
GRAFANA_TIMES = ("x-grafana-alerting-signature-timestamp", "x-grafana-alerting-timestamp")
SIGNATURE, TIME = "x-patchwright-signature", "x-patchwright-timestamp"
_TIME = re.compile(r"[0-9]{1,12}")


def verify(
    kind: str, secret: str, headers: Mapping[str, str], body: bytes, now_s: float | None = None
) -> str:
    """Why a delivery is not believed, in words; empty: it is. Header names are in lower case."""
    if not secret:
        return "The source has no secret."
    moment = time.time() if now_s is None else now_s
    match kind:
        case "sentry" if signature := headers.get("sentry-hook-signature"):
            return _compared(signature, _signed(secret, body))
        case "sentry" | "glitchtip" | "alertmanager":
            return _authorised(secret, headers)
        case "grafana":
            for name in GRAFANA_SIGNATURES:
                if signature := headers.get(name):
                    return _grafana(secret, headers, signature, body, moment)
            return _authorised(secret, headers)
        case "generic":
            at = headers.get(TIME, "")
            if late := _not_now(at, moment):
                return late
            expected = "sha256=" + _signed(secret, at.encode() + b"." + body)
            return _compared(headers.get(SIGNATURE, ""), expected)
        case _:
            return plugin.verify(kind, secret, headers, body)


def _grafana(
    secret: str, headers: Mapping[str, str], signature: str, body: bytes, moment: float
) -> str:
    at = next((headers[name] for name in GRAFANA_TIMES if name in headers), "")
    if not at:
        return _compared(signature, _signed(secret, body))
    if late := _not_now(at, moment):
        return late
    return _compared(signature, _signed(secret, at.encode() + b":" + body))


def _authorised(secret: str, headers: Mapping[str, str]) -> str:
    """By the Authorization header: a bearer token, or Basic with any name."""
    header = headers.get("authorization", "")
    scheme, _, told = header.partition(" ")
    if not told:
        return "The Authorization header is missing."
    if scheme.casefold() == "basic":
        try:
            decoded = base64.b64decode(told.strip(), validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            return "The Authorization header is malformed."
        told = decoded.partition(":")[2]
    elif scheme.casefold() != "bearer":
        return "The Authorization header is neither Basic nor Bearer."
    return _compared(told.strip(), secret, "The password or token is wrong.")


def _not_now(at: str, moment: float) -> str:
    if not _TIME.fullmatch(at):
        return "The signed time is missing or malformed."
    if abs(int(at) - moment) > MOST_SKEW_S:
        return "The signed time is too far from this machine's."
    return ""


def _signed(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _compared(
    told: str, expected: str, wrong: str = "The signature does not match the body."
) -> str:
    # As bytes: of texts only ASCII can be compared so.
    alike = hmac.compare_digest(told.encode("utf-8", "replace"), expected.encode())
    return "" if alike else wrong
