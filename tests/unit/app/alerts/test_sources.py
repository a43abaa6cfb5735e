"""Reading deliveries that are not as they should be, and what they say besides places."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.alerts.records import BadAlert, Kind
from app.alerts.sources.read import read
from tests.support.alerts import payloads as p

KINDS: tuple[Kind, ...] = ("sentry", "glitchtip", "alertmanager", "grafana", "generic")
RESOURCES = ("event_alert", "error", "issue", "metric_alert", "")


def encoded(payload: Any) -> bytes:
    return json.dumps(payload).encode()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[1]",
        b"null",
        b"{}",
        b'{"a":' * 100_000,
        b"\xff",
        b'{"data": [], "alerts": 1}',
    ],
)
def test_no_alert_in_it(kind: Kind, body: bytes) -> None:
    with pytest.raises(BadAlert):
        read(kind, "event_alert", body)


@pytest.mark.parametrize(
    "payload",
    [
        {"data": {"event": {}}},
        {"data": {"event": {"issue_id": "../../x"}}},
        {"data": {"event": {"issue_id": ["1"]}}},
    ],
)
def test_an_event_without_an_issue(payload: Any) -> None:
    with pytest.raises(BadAlert):
        read("sentry", "event_alert", encoded(payload))


@pytest.mark.parametrize("resource", ["comment", "installation"])
def test_deliveries_that_tell_of_no_error(resource: str) -> None:
    payload = {"action": "created", "data": {}, "installation": p.INSTALLATION}
    assert read("sentry", resource, encoded(payload)) == ()


@pytest.mark.parametrize("action", ["assigned", "archived"])
def test_changes_of_an_issue_that_are_none_of_the_error(action: str) -> None:
    assert read("sentry", "issue", encoded(p.issue(action, "1"))) == ()


def test_an_unknown_resource() -> None:
    with pytest.raises(BadAlert, match="seer"):
        read("sentry", "seer", encoded({"data": {}}))


def test_what_sentry_says_of_an_issue() -> None:
    [alert] = read("sentry", "issue", encoded(p.issue("created", "16")))
    assert (alert.fingerprint, alert.source_issue, alert.organisation) == ("issue 16", "16", "acme")
    assert (alert.count, alert.project, alert.level) == (17, "shop-api", "error")
    assert alert.first_seen is not None and alert.first_seen.day == 18
    assert not alert.is_over
    [over] = read("sentry", "issue", encoded(p.issue("resolved", "16")))
    assert (over.is_over, over.fingerprint) == (True, "issue 16")
    [again] = read("sentry", "issue", encoded(p.issue("unresolved", "16")))
    assert again.is_regression


def test_all_that_sentry_says_of_an_issue_is_one_alert() -> None:
    event = p.sentry_event("16", p.PYTHON_FRAMES, release="1.4.2")
    found = {
        read("sentry", resource, encoded(payload))[0].fingerprint
        for resource, payload in (
            ("issue", p.issue("created", "16")),
            ("event_alert", p.event_alert(event)),
            ("error", p.error_created(event)),
            ("", p.plugin("16", event)),
        )
    }
    assert found == {"issue 16"}


def test_a_metric_that_is_over() -> None:
    [begun] = read("sentry", "metric_alert", encoded(p.metric_alert("critical")))
    [over] = read("sentry", "metric_alert", encoded(p.metric_alert("resolved")))
    assert begun.fingerprint == over.fingerprint
    assert (begun.is_over, over.is_over) == (False, True)
    assert begun.message == "1000 events in the last 10 minutes\nFilter: level:error"


def test_alertmanagers_alerts_each() -> None:
    firing = p.prometheus_alert({"service": "a"}, {})
    over = p.prometheus_alert({"service": "b"}, {}, status="resolved") | {"fingerprint": ""}
    found = read("alertmanager", "", encoded(p.alertmanager(firing, over)))
    assert [each.is_over for each in found] == [False, True]
    assert found[0].fingerprint == "1a30ba71cca2921f"
    assert "service=b" in found[1].fingerprint
    assert found[1].last_seen is not None
    with pytest.raises(BadAlert):
        read("alertmanager", "", encoded({"alerts": [{}]}))


def test_glitchtips_monitors_are_no_errors() -> None:
    page = "https://glitchtip.example/acme/uptime-monitors/4"
    payload = {
        "text": "GlitchTip Uptime Alert",
        "attachments": [{"title": "x", "title_link": page}],
    }
    assert read("glitchtip", "", encoded(payload)) == ()


def test_glitchtips_issues_each() -> None:
    payload = p.glitchtip(21)
    payload["attachments"] += p.glitchtip(22)["attachments"]
    found = read("glitchtip", "", encoded(payload))
    assert [each.source_issue for each in found] == ["21", "22"]
    assert {each.organisation for each in found} == {"acme"}


def test_the_generic_form() -> None:
    frames = [{"path": "shop/cart.py", "line": 4, "function": "total", "code": "t += x"}]
    [alert] = read("generic", "", encoded(p.generic(frames=frames, status="regressed")))
    assert alert.is_regression
    assert (alert.frames[0].path, alert.frames[0].line) == ("shop/cart.py", 4)
    for wrong in ({"status": "up"}, {"fingerprint": ""}, {"title": 3 * [1]}):
        with pytest.raises(BadAlert):
            read("generic", "", encoded(p.generic(**wrong)))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
VALID: list[tuple[Kind, str, dict[str, Any]]] = [
    ("sentry", "event_alert", p.event_alert(p.sentry_event("1", p.PYTHON_FRAMES, release="1"))),
    ("sentry", "issue", p.issue("created", "1")),
    ("sentry", "metric_alert", p.metric_alert("critical")),
    ("sentry", "", p.plugin("1", p.sentry_event("1", p.PYTHON_FRAMES, release="1"))),
    ("glitchtip", "", p.glitchtip(1, "1")),
    ("grafana", "", p.grafana(p.prometheus_alert({}, {"description": p.TRACEBACK}))),
    ("generic", "", p.generic()),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key, each in inner:
            found += places(each, (*path, key)) if isinstance(each, dict | list) else [(*path, key)]
    return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_stands_anywhere_it_is_read_or_refused(data: st.DataObject) -> None:
    kind, resource, payload = data.draw(st.sampled_from(VALID))
    payload = json.loads(json.dumps(payload))
    *outer, last = data.draw(st.sampled_from(places(payload)))
    at: Any = payload
    for key in outer:
        at = at[key]
    at[last] = data.draw(values)
    try:
        found = read(kind, resource, encoded(payload))
    except BadAlert:
        return
    for alert in found:
        assert alert.fingerprint
        alert.model_dump_json().encode()
