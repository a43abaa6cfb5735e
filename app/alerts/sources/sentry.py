"""What Sentry sends, by its integration platform and by its older WebHooks plugin.

Facts: docs.sentry.io/organization/integrations/integration-platform/webhooks/ (resources `issue`,
`event_alert`, `error`, `metric_alert`, `comment`, `installation`), and for the plugin
`src/sentry/plugins/sentry_webhooks/plugin.py` in getsentry/sentry. Frames of webhooks are spelt
`lineno`, those of the web API `lineNo`; in both the innermost is the last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.alerts.reading import items, labels, moment, number, parse, table, text
from app.alerts.records import Alert, AlertFrame, BadAlert

MOST_FRAMES = 100
_PROJECT = re.compile(r"/projects/([\w.-]{1,100})/([\w.-]{1,100})/")
_ORGANISATION = re.compile(r"/organizations/([\w.-]{1,100})/")
_ISSUE = re.compile(r"[\w-]{1,64}")
_UNWANTED = ("comment", "installation")
"""Resources that tell of no error."""


def read(resource: str, body: bytes) -> tuple[Alert, ...]:
    """The alerts of a delivery; none where it tells of no error.

    `resource` is the header `Sentry-Hook-Resource`; empty: the plugin, which sends none. Raises
    `BadAlert`.
    """
    payload = parse(body)
    data, action = table(payload.get("data")), text(payload.get("action"), 40)
    if resource in _UNWANTED:
        return ()
    match resource:
        case "event_alert":
            return (
                _of_event(table(data.get("event")), rule=text(data.get("triggered_rule"), 200)),
            )
        case "error":
            return (_of_event(table(data.get("error"))),)
        case "issue":
            return _of_issue(action, table(data.get("issue")))
        case "metric_alert":
            return (_of_metric(action, data),)
        case "" if "event" in payload:
            return (_of_plugin(payload),)
    raise BadAlert(f"the resource {resource[:40]!r} is not known")


def _of_event(event: Mapping[str, Any], *, rule: str = "") -> Alert:
    issue = text(event.get("issue_id"), 64) or _last_part(text(event.get("issue_url")))
    if not _ISSUE.fullmatch(issue):
        raise BadAlert("the event has no issue_id")
    found = of_event(event)
    place = _PROJECT.search(text(event.get("url")))
    return found.model_copy(
        update={
            "fingerprint": f"issue {issue}",
            "source_issue": issue,
            "organisation": place[1] if place else "",
            "project": place[2] if place else text(event.get("project"), 100),
            "url": text(event.get("web_url"), 1000),
            "labels": (*found.labels, *((("rule", rule),) if rule else ())),
        }
    )


def _of_issue(action: str, issue: Mapping[str, Any]) -> tuple[Alert, ...]:
    number_of = text(issue.get("id"), 64)
    if not _ISSUE.fullmatch(number_of):
        raise BadAlert("the issue has no id")
    if action in ("assigned", "archived", "ignored"):
        return ()
    metadata, project = table(issue.get("metadata")), table(issue.get("project"))
    url = text(issue.get("web_url"), 1000) or text(issue.get("permalink"), 1000)
    place = _ORGANISATION.search(text(issue.get("url"))) or _ORGANISATION.search(url)
    file = text(metadata.get("filename"), 400)
    return (
        Alert(
            fingerprint=f"issue {number_of}",
            source_issue=number_of,
            title=text(issue.get("title"), 300) or _title(metadata) or "An error",
            message=text(metadata.get("value")),
            level=text(issue.get("level"), 20),
            culprit=text(issue.get("culprit"), 300),
            project=text(project.get("slug"), 100),
            organisation=place[1] if place else "",
            count=number(issue.get("count")),
            first_seen=moment(issue.get("firstSeen")),
            last_seen=moment(issue.get("lastSeen")),
            url=url,
            is_over=action == "resolved",
            is_regression=action == "unresolved",
            frames=(AlertFrame(path=file, function=text(metadata.get("function"), 200)),)
            if file
            else (),
        ),
    )


def _of_metric(action: str, data: Mapping[str, Any]) -> Alert:
    metric = table(data.get("metric_alert"))
    rule = table(metric.get("alert_rule"))
    of_rule = text(rule.get("id"), 64)
    if not of_rule:
        raise BadAlert("the metric alert has no rule")
    projects = [text(each, 100) for each in items(metric.get("projects"), 20)]
    return Alert(
        fingerprint=f"metric {of_rule}",
        title=text(rule.get("name"), 200) or text(data.get("description_title"), 200) or "A metric",
        message=text(data.get("description_text")).replace("\\n", "\n"),
        level=action,
        project=projects[0] if projects else "",
        environment=text(rule.get("environment"), 100),
        first_seen=moment(metric.get("date_started")),
        last_seen=moment(metric.get("date_detected")),
        url=text(data.get("web_url"), 1000),
        is_over=action == "resolved",
        labels=tuple(
            (name, text(rule.get(name), 300))
            for name in ("aggregate", "query", "time_window")
            if text(rule.get(name))
        ),
    )


def _of_plugin(payload: Mapping[str, Any]) -> Alert:
    issue = text(payload.get("id"), 64)
    if not _ISSUE.fullmatch(issue):
        raise BadAlert("the issue has no id")
    found = of_event(table(payload.get("event")))
    return found.model_copy(
        update={
            "fingerprint": f"issue {issue}",
            "source_issue": issue,
            "title": found.title or text(payload.get("message"), 300) or "An error",
            "message": found.message or text(payload.get("message")),
            "level": text(payload.get("level"), 20) or found.level,
            "culprit": text(payload.get("culprit"), 300),
            "project": text(payload.get("project_slug"), 100) or text(payload.get("project"), 100),
            "url": text(payload.get("url"), 1000),
        }
    )


def of_event(event: Mapping[str, Any]) -> Alert:
    """What an event says by itself, whether it came by webhook or from the API; no fingerprint."""
    exceptions = _exceptions(event)
    last = exceptions[-1] if exceptions else {}
    error, value = text(last.get("type"), 200), text(last.get("value"))
    of_error = f"{error}: {value}" if value else error
    metadata = table(event.get("metadata"))
    tags = _tags(event.get("tags"))
    when = moment(event.get("datetime") or event.get("dateCreated") or event.get("timestamp"))
    message = event.get("message")
    said = text(table(event.get("logentry")).get("formatted")) or text(message)
    return Alert(
        fingerprint="",
        title=text(event.get("title"), 300) or of_error or _title(metadata) or said[:200],
        message=value or said,
        level=text(event.get("level"), 20) or tags.get("level", ""),
        culprit=text(event.get("culprit"), 300),
        release=_release(event.get("release")) or tags.get("release", ""),
        environment=text(event.get("environment"), 100) or tags.get("environment", ""),
        last_seen=when,
        frames=_frames(exceptions),
        labels=tuple(sorted(tags.items())),
    )


def _exceptions(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of an event, the one that was raised last at the end.

    Sentry's web API has them among `entries`; old clients under the name of an interface.
    """
    found: object = event.get("exception") or event.get("sentry.interfaces.Exception")
    for entry in items(event.get("entries"), 50):
        if table(entry).get("type") == "exception":
            found = table(entry).get("data")
    values = found if isinstance(found, list) else table(found).get("values")
    return [table(each) for each in items(values, 20)]


def _frames(exceptions: list[Mapping[str, Any]]) -> tuple[AlertFrame, ...]:
    """The frames of the exception that was raised last, of those that have some."""
    for exception in reversed(exceptions):
        trace = table(exception.get("stacktrace")) or table(exception.get("rawStacktrace"))
        listed = trace.get("frames")
        if isinstance(listed, list) and listed:
            return tuple(_frame(table(each)) for each in listed[-MOST_FRAMES:])
    return ()


def _frame(frame: Mapping[str, Any]) -> AlertFrame:
    line = number(frame.get("lineno") or frame.get("lineNo"))
    code = text(frame.get("context_line"), 1000)
    for each in items(frame.get("context"), 40):
        if isinstance(each, list) and len(each) == 2 and each[0] == line:
            code = text(each[1], 1000)
    own = frame.get("in_app", frame.get("inApp"))
    return AlertFrame(
        path=text(frame.get("filename"), 400),
        absolute=text(frame.get("abs_path") or frame.get("absPath"), 600),
        module=text(frame.get("module"), 300),
        function=text(frame.get("function"), 200),
        line=line,
        column=number(frame.get("colno") or frame.get("colNo")),
        code=code,
        in_app=own if isinstance(own, bool) else None,
    )


def _release(value: object) -> str:
    """A release's version; the web API has an object for it."""
    return text(value, 250) or text(table(value).get("version"), 250)


def _tags(value: object) -> dict[str, str]:
    """Tags, which webhooks have as pairs and the web API as objects."""
    found = {}
    for each in items(value, 100):
        if isinstance(each, list) and len(each) == 2:
            found[text(each[0], 200)] = text(each[1], 300)
        elif isinstance(each, Mapping):
            found[text(each.get("key"), 200)] = text(each.get("value"), 300)
    return labels(found)


def _title(metadata: Mapping[str, Any]) -> str:
    kind, value = text(metadata.get("type"), 200), text(metadata.get("value"), 200)
    return f"{kind}: {value}" if kind and value else kind or text(metadata.get("title"), 300)


def _last_part(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]
