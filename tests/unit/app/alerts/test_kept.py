"""What of an alert is kept: all of an ordinary one, and never more than so much."""

from __future__ import annotations

import json

import pytest

from app.alerts import kept as module
from app.alerts.kept import LONGEST_KEPT, LONGEST_WORDS, kept
from app.alerts.records import Alert, AlertFrame
from app.alerts.sources import generic, prometheus, sentry
from app.sanitize import secret_scan
from app.sanitize.secret_scan import mask
from tests.support.alerts import payloads as p

TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"


def large(bit: str) -> tuple[Alert, ...]:
    """Alerts that are as large as their readers let them be."""

    def text(size: int) -> str:
        return (bit * size)[:size]

    labels = {f"{number:03}{text(197)}": text(1000) for number in range(100)}
    frame = {name: text(1000) for name in ("path", "function", "code")}
    told = {
        name: f"T{text(8000)}"
        for name in ("title", "message", "level", "culprit", "project", "environment", "release")
    }
    frames = [frame | {"line": number} for number in range(1, 101)]
    other = {"fingerprint": "f", "url": text(1000), "labels": labels, "frames": frames} | told
    traced = {"fingerprint": "f", "title": "T", "stacktrace": trace(bit)}
    alert = p.prometheus_alert(labels | {"release": text(1000)}, labels | {"summary": text(1000)})
    return (
        *generic.read(json.dumps(other).encode()),
        *generic.read(json.dumps(traced).encode()),
        *prometheus.read(json.dumps(p.alertmanager(alert)).encode()),
    )


def trace(bit: str) -> str:
    name = (bit * 40)[:40].replace('"', "'").replace("\n", " ")
    return "Traceback (most recent call last):\n" + "".join(
        f'  File "/app/{name}.py", line {number}, in f\n    x\n' for number in range(1, 1000)
    )


@pytest.mark.parametrize("bit", ["a", "eyJ", '"', "\n", "\x1b", "\u2028", "\U0001f600", "//a:b@"])
def test_however_large_it_was_little_is_kept(bit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = 0

    def counted(text: str) -> str:
        nonlocal searched
        searched += len(text)
        return mask(text)

    monkeypatch.setattr(secret_scan, "mask", counted)
    monkeypatch.setattr(module, "mask", counted)
    for alert in large(bit):
        searched = 0
        found = kept(alert)
        assert len(found.model_dump_json().encode()) <= LONGEST_KEPT
        assert searched <= LONGEST_KEPT
        assert mask(found.title) == found.title
        if bit == "a" and alert.frames:
            assert found.frames[-1] == alert.frames[-1]  # where it happened
            assert len(found.frames) >= 5


def test_of_an_ordinary_one_all_is_kept_but_what_it_is_told_by() -> None:
    event = p.sentry_event("16", p.PYTHON_FRAMES, release="1.4.2")
    [alert] = sentry.read("event_alert", json.dumps(p.event_alert(event)).encode())
    assert alert.frames and alert.labels
    assert kept(alert) == alert.model_copy(update={"fingerprint": ""})


def test_no_secret_is_cut_in_two() -> None:
    for size in range(LONGEST_WORDS - 60, LONGEST_WORDS, 7):
        long = " x" * (size // 2) + f" {TOKEN} and more words" * 40
        alert = Alert(fingerprint="", title=long, message=long * 5, labels=(("a", long),))
        frame = AlertFrame(path="a.py", code=f"token = '{TOKEN}'")
        found = kept(alert.model_copy(update={"frames": (frame,)})).model_dump_json()
        assert "a1B2c3" not in found
        assert "a.py" in found


def test_the_shortest_labels_stay() -> None:
    many = tuple((f"long{number:02}", "x" * 300) for number in range(60))
    found = kept(Alert(fingerprint="", title="T", labels=(*many, ("team", "shop"))))
    assert ("team", "shop") in found.labels
    assert 5 < len(found.labels) < 20
