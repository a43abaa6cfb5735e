"""Who is believed: each service's own proof, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from app.alerts.records import Kind
from app.alerts.verification import verify

SECRET, BODY, NOW = "s3cret-ü", b'{"a": 1}', 1_795_209_977.0


def signed(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def basic(password: str, name: str = "alerts") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


AT = str(int(NOW))
GOOD: list[tuple[Kind, dict[str, str]]] = [
    ("sentry", {"sentry-hook-signature": signed(BODY)}),
    ("sentry", basic(SECRET)),
    ("glitchtip", basic(SECRET, "")),
    ("alertmanager", {"authorization": f"Bearer {SECRET}"}),
    ("alertmanager", basic(SECRET)),
    ("grafana", {"x-grafana-alerting-signature": signed(BODY)}),
    ("grafana", {"x-grafana-alert-signature": signed(BODY)}),
    (
        "grafana",
        {
            "x-grafana-alerting-signature": signed(AT.encode() + b":" + BODY),
            "x-grafana-alerting-signature-timestamp": AT,
        },
    ),
    ("grafana", {"authorization": f"Bearer {SECRET}"}),
    (
        "generic",
        {
            "x-patchwright-signature": "sha256=" + signed(AT.encode() + b"." + BODY),
            "x-patchwright-timestamp": AT,
        },
    ),
]


@pytest.mark.parametrize(("kind", "headers"), GOOD)
def test_each_services_own_proof(kind: Kind, headers: dict[str, str]) -> None:
    assert verify(kind, SECRET, headers, BODY, NOW) == ""
    assert verify(kind, "another", headers, BODY, NOW)
    assert verify(kind, "", headers, BODY, NOW)
    is_signed = any("signature" in name for name in headers)
    assert bool(verify(kind, SECRET, headers, BODY + b" ", NOW)) == is_signed


def test_an_empty_secret_believes_nobody() -> None:
    assert verify("sentry", "", {"sentry-hook-signature": signed(BODY, "")}, BODY, NOW)
    assert verify("alertmanager", "", basic(""), BODY, NOW)


@pytest.mark.parametrize("kind", ["sentry", "glitchtip", "alertmanager", "grafana", "generic"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Basic"},
        {"authorization": "Basic !!"},
        {"authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
        {"authorization": f"Digest {SECRET}"},
        {"sentry-hook-signature": "", "x-patchwright-signature": ""},
        {"sentry-hook-signature": "ü"},
    ],
)
def test_what_proves_nothing(kind: Kind, headers: dict[str, str]) -> None:
    assert verify(kind, SECRET, headers, BODY, NOW)


@pytest.mark.parametrize("late_s", [-301, 301])
def test_an_old_signed_time(late_s: int) -> None:
    at = str(int(NOW) + late_s)
    generic = {
        "x-patchwright-signature": "sha256=" + signed(at.encode() + b"." + BODY),
        "x-patchwright-timestamp": at,
    }
    grafana = {
        "x-grafana-alerting-signature": signed(at.encode() + b":" + BODY),
        "x-grafana-alerting-timestamp": at,
    }
    assert "time" in verify("generic", SECRET, generic, BODY, NOW)
    assert "time" in verify("grafana", SECRET, grafana, BODY, NOW)


def test_another_services_proof_is_none() -> None:
    assert verify("glitchtip", SECRET, {"sentry-hook-signature": signed(BODY)}, BODY, NOW)
    assert verify("generic", SECRET, {"authorization": f"Bearer {SECRET}"}, BODY, NOW)
