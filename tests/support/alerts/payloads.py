"""What each service sends, in the forms of its own documentation and source; the values are ours.

- Sentry: docs.sentry.io/organization/integrations/integration-platform/webhooks/ (`issue-alerts`,
  `issues`, `errors`, `metric-alerts`, `installation`), the plugin by
  getsentry/sentry `src/sentry/plugins/sentry_webhooks/plugin.py`, and an event of the web API by
  docs.sentry.io/api/events/retrieve-an-issue-event/.
- GlitchTip: glitchtip-backend `apps/alerts/webhooks.py`, now and (with `alias`) in 2021.
- Alertmanager: prometheus.io/docs/alerting/latest/configuration/#webhook_config.
- Grafana: grafana.com/docs/grafana/latest/alerting/, "Webhook notifier".
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
SENTRY = {"id": "sentry", "name": "Sentry", "type": "application"}
INSTALLATION = {"uuid": "a8e5d37a-696c-4c54-adb5-b3f28d64c7de"}


def sentry_frame(path: str, line: int | None, function: str | None, **more: Any) -> Json:
    """A frame as webhooks have it: nearly all of it is there, and null."""
    return {
        "abs_path": path,
        "colno": None,
        "context_line": None,
        "data": {"orig_in_app": 1},
        "errors": None,
        "filename": path,
        "function": function,
        "image_addr": None,
        "in_app": True,
        "instruction_addr": None,
        "lineno": line,
        "module": None,
        "package": None,
        "platform": None,
        "post_context": None,
        "pre_context": None,
        "vars": None,
    } | more


def sentry_event(
    issue: str, frames: list[Json], *, release: str | None, project: str = "shop-api", **more: Any
) -> Json:
    """An event as `event_alert` and `error` have it."""
    event = "e4874d664c3540c1a32eab185f12c5ab"
    return {
        "_ref": 1,
        "_ref_version": 2,
        "contexts": {"runtime": {"name": "CPython", "version": "3.12.1"}},
        "culprit": "shop.cart in total",
        "datetime": "2026-11-20T21:06:17.677000Z",
        "dist": None,
        "event_id": event,
        "exception": {
            "values": [
                {
                    "mechanism": {"handled": False, "type": "generic"},
                    "stacktrace": {"frames": frames},
                    "type": "TypeError",
                    "value": "unsupported operand type(s) for +=: 'int' and 'NoneType'",
                }
            ]
        },
        "fingerprint": ["{{ default }}"],
        "hashes": ["29f7ffc4903a8a990408b80a3b4c95a2"],
        "issue_url": f"https://sentry.example/api/0/issues/{issue}/",
        "issue_id": issue,
        "key_id": "667532",
        "level": "error",
        "location": "shop/cart.py",
        "logger": "",
        "message": "",
        "metadata": {"type": "TypeError", "value": "unsupported operand"},
        "platform": "python",
        "project": 1,
        "received": 1795209977.677,
        "release": release,
        "tags": [["environment", "production"], ["user", "ip:203.0.113.9"], ["level", "error"]],
        "time_spent": None,
        "timestamp": 1795209977.677,
        "title": "TypeError: unsupported operand type(s) for +=: 'int' and 'NoneType'",
        "type": "error",
        "url": f"https://sentry.example/api/0/projects/acme/{project}/events/{event}/",
        "user": {"ip_address": "203.0.113.9"},
        "version": "7",
        "web_url": f"https://sentry.example/organizations/acme/issues/{issue}/events/{event}/",
    } | more


PYTHON_FRAMES = [
    sentry_frame(
        "/usr/local/lib/python3.12/site-packages/flask/app.py",
        1478,
        "wsgi_app",
        filename="flask/app.py",
        module="flask.app",
        in_app=False,
    ),
    sentry_frame("/app/shop/cart.py", 4, "total", filename="shop/cart.py", module="shop.cart",
                 context_line="        t += x"),
]  # fmt: skip


def event_alert(event: Json) -> Json:
    """Resource `event_alert`: a rule for issues was triggered."""
    rule = "Very important"
    return {
        "action": "triggered",
        "actor": SENTRY,
        "data": {
            "event": event,
            "triggered_rule": rule,
            "issue_alert": {"title": rule, "settings": []},
        },
        "installation": INSTALLATION,
    }


def error_created(event: Json) -> Json:
    """Resource `error`."""
    data = {"error": event}
    return {"action": "created", "actor": SENTRY, "data": data, "installation": INSTALLATION}


def issue(action: str, number: str, *, project: str = "shop-api", **more: Any) -> Json:
    """Resource `issue`: no stack trace, and no release."""
    found = {
        "annotations": [],
        "assignedTo": None,
        "count": "17",
        "culprit": "shop.cart in total",
        "firstSeen": "2026-11-18T20:58:37.391000Z",
        "hasSeen": False,
        "id": number,
        "isBookmarked": False,
        "isPublic": False,
        "isSubscribed": False,
        "lastSeen": "2026-11-20T21:06:17.677000Z",
        "level": "error",
        "logger": None,
        "metadata": {
            "filename": "shop/cart.py",
            "function": "total",
            "type": "TypeError",
            "value": "unsupported operand",
        },
        "numComments": 0,
        "permalink": None,
        "platform": "python",
        "project": {"id": "1", "name": project, "platform": "", "slug": project},
        "shareId": None,
        "shortId": "SHOP-API-9",
        "status": "unresolved",
        "statusDetails": {},
        "subscriptionDetails": None,
        "substatus": "regressed" if action == "unresolved" else "new",
        "title": "TypeError: unsupported operand type(s) for +=: 'int' and 'NoneType'",
        "type": "error",
        "url": f"https://sentry.example/api/0/organizations/acme/issues/{number}/",
        "userCount": 3,
        "web_url": f"https://sentry.example/organizations/acme/issues/{number}/",
    } | more
    data = {"issue": found}
    return {"action": action, "actor": SENTRY, "data": data, "installation": INSTALLATION}


def metric_alert(action: str) -> Json:
    """Resource `metric_alert`."""
    return {
        "action": action,
        "actor": SENTRY,
        "data": {
            "description_text": "1000 events in the last 10 minutes\\nFilter: level:error",
            "description_title": f"{action.title()}: Too many errors",
            "metric_alert": {
                "alert_rule": {
                    "aggregate": "count()",
                    "created_by": None,
                    "dataset": "events",
                    "environment": None,
                    "id": "7",
                    "include_all_projects": False,
                    "name": "Too many errors",
                    "organization_id": "5",
                    "projects": ["shop-api"],
                    "query": "level:error",
                    "resolution": 1,
                    "time_window": 10,
                    "triggers": [],
                },
                "date_closed": None,
                "date_created": "2026-11-20T12:26:40.000000Z",
                "date_detected": "2026-11-20T12:26:40.000000Z",
                "date_started": "2026-11-20T12:26:40.000000Z",
                "id": "4",
                "identifier": "1",
                "organization_id": "5",
                "projects": ["shop-api"],
                "status": 20,
                "title": "Sacred Marmot",
                "type": 2,
            },
            "web_url": "https://sentry.example/organizations/acme/alerts/1/",
        },
        "installation": INSTALLATION,
    }


def plugin(number: str, event: Json) -> Json:
    """The older WebHooks plugin, which signs nothing."""
    return {
        "id": number,
        "project": "shop-api",
        "project_name": "Shop API",
        "project_slug": "shop-api",
        "logger": None,
        "level": "error",
        "culprit": "shop.cart in total",
        "message": "unsupported operand",
        "url": f"https://sentry.example/organizations/acme/issues/{number}/?referrer=webhooks_plugin",
        "triggering_rules": ["Send all"],
        "event": event | {"id": event["event_id"]},
    }


def api_event(release: str | None, frames: list[Json]) -> Json:
    """An issue's latest event in Sentry's (and GlitchTip's) web API."""
    return {
        "id": "1",
        "groupID": "11",
        "eventID": "e4874d664c3540c1a32eab185f12c5ab",
        "projectID": "1",
        "title": "TypeError: unsupported operand",
        "message": "",
        "platform": "python",
        "dateCreated": "2026-11-20T21:06:17Z",
        "culprit": "shop.cart in total",
        "metadata": {"type": "TypeError", "value": "unsupported operand"},
        "tags": [
            {"key": "environment", "value": "production", "query": None},
            {"key": "release", "value": release},
        ],
        "release": {"version": release, "shortVersion": release} if release else None,
        "entries": [
            {
                "type": "exception",
                "data": {
                    "values": [
                        {
                            "type": "TypeError",
                            "value": "unsupported operand",
                            "stacktrace": {"frames": frames},
                        }
                    ]
                },
            }
        ],
    }


def api_frame(path: str, line: int, function: str, code: str) -> Json:
    """A frame there."""
    return {
        "filename": path,
        "absPath": f"/app/{path}",
        "module": path.removesuffix(".py").replace("/", "."),
        "function": function,
        "lineNo": line,
        "colNo": None,
        "inApp": True,
        "context": [[line - 1, "    for x in xs:"], [line, code]],
        "vars": None,
    }


def glitchtip(number: int, release: str = "", *, old: bool = False) -> Json:
    """GlitchTip's general webhook. In 2021 it told no release, and had a part for Teams."""
    fields = [{"title": "Project", "value": "shop-api", "short": True}]
    if release:
        fields.append({"title": "Release", "value": release, "short": False})
    attachment = {
        "title": "TypeError: unsupported operand",
        "title_link": f"https://glitchtip.example/acme/issues/{number}",
        "text": "shop.cart in total",
        "image_url": None,
        "color": "#e52b50",
        "fields": fields,
        "mrkdown_in": ["text"],
    }
    if not old:
        return {"text": "GlitchTip Alert", "attachments": [attachment]}
    title = f"[{attachment['title']}]({attachment['title_link']})"
    section = {"activityTitle": title, "activitySubtitle": "shop.cart in total"}
    named = {"alias": "GlitchTip", "text": "GlitchTip Alert"}
    return named | {"attachments": [attachment], "sections": [section]}


def alertmanager(*alerts: Json, status: str = "firing") -> Json:
    """Alertmanager's webhook, version 4."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="Tracebacks"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "patchwright",
        "groupLabels": {"alertname": "Tracebacks"},
        "commonLabels": {"alertname": "Tracebacks"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": list(alerts),
    }


def prometheus_alert(labels: Json, annotations: Json, *, status: str = "firing") -> Json:
    """One alert of it."""
    return {
        "status": status,
        "labels": {"alertname": "Tracebacks", "severity": "critical"} | labels,
        "annotations": annotations,
        "startsAt": "2026-11-20T21:06:17.677Z",
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-11-20T22:00:00Z",
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=up&g0.tab=1",
        "fingerprint": "1a30ba71cca2921f",
    }


def grafana(*alerts: Json, status: str = "firing") -> Json:
    """Grafana's webhook: Alertmanager's, and some more."""
    more = {
        "silenceURL": "https://grafana.example/alerting/silence/new",
        "dashboardURL": "",
        "panelURL": "",
        "values": {"B": 44.2, "C": 1},
    }
    return alertmanager(*(each | more for each in alerts), status=status) | {
        "orgId": 1,
        "version": "1",
        "title": "[FIRING:1]  (blue)",
        "state": "alerting",
        "message": "**Firing**",
    }


TRACEBACK = """\
Traceback (most recent call last):
  File "/app/shop/api.py", line 3, in order
    return total(xs)
  File "/app/shop/cart.py", line 4, in total
    t += x
TypeError: unsupported operand type(s) for +=: 'int' and 'NoneType'
"""


def generic(**more: Any) -> Json:
    """The form that `docs/alerts.md` describes."""
    return {
        "fingerprint": "cart-total",
        "title": "TypeError in total",
        "project": "shop-api",
        "release": "1.4.2",
        "stacktrace": TRACEBACK,
    } | more
