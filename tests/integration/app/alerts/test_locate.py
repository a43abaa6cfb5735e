"""Deliveries as each service sends them, each to the right repository, file, line and release."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from app.alerts.config import AlertsFile
from app.alerts.locate import Findings, locate
from app.alerts.records import Alert, Kind
from app.alerts.sources.read import read
from tests.support.alerts import payloads as p
from tests.support.alerts.repository import Released, released

FILE = AlertsFile.model_validate(
    {
        "source": [
            {"name": kind, "kind": kind, "secret_file": "s"}
            for kind in ("sentry", "glitchtip", "alertmanager", "grafana", "generic")
        ],
        "route": [
            {
                "repository": "acme/front",
                "match": {"project": "shop-web"},
                "paths": {"/srv": "web"},
            },
            {"repository": "acme/shop", "match": {"project": "shop-*"}},
            {"repository": "acme/blue", "match": {"label:team": "blue"}},
        ],
    }
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Released:
    return released(tmp_path_factory.mktemp("released"))


@dataclass(frozen=True)
class Case:
    """A delivery, and where it must end."""

    kind: Kind
    payload: dict[str, Any]
    file: str
    """The innermost of the repository, empty where none can be named."""
    line: int
    release: str
    """The tag; empty: the default branch."""
    resource: str = ""
    repository: str = "acme/shop"


JAVA = p.sentry_frame("Shop.java", 5, "total", module="com.acme.Shop", abs_path="Shop.java")
SCRIPT = p.sentry_frame("app:///src/checkout.ts", 2, "pay", colno=21)
MAPPED = p.sentry_frame("/srv/src/checkout.ts", 2, "pay", colno=21)
MINIFIED = p.sentry_frame(
    "https://shop.example/js/runner-4.1.7.min.js",
    1,
    None,
    colno=10866,
    filename="/js/runner.min.js",
)
GO = p.sentry_frame("main.go", 4, "total", abs_path="/go/src/acme/shop/cmd/total/main.go")
PYTHON = p.PYTHON_FRAMES

CASES = {
    "sentry event_alert, package@version": Case(
        "sentry",
        p.event_alert(p.sentry_event("11", PYTHON, release="shop@1.4.2")),
        "shop/cart.py",
        4,
        "v1.4.2",
        "event_alert",
    ),
    "sentry event_alert, a script of the browser with its source map": Case(
        "sentry",
        p.event_alert(p.sentry_event("12", [SCRIPT], release="web@1.4.1+7", project="shop-web")),
        "web/src/checkout.ts",
        2,
        "v1.4.1",
        "event_alert",
        "acme/front",
    ),
    "sentry event_alert, in a container": Case(
        "sentry",
        p.event_alert(p.sentry_event("13", [MAPPED], release="1.4.1", project="shop-web")),
        "web/src/checkout.ts",
        2,
        "v1.4.1",
        "event_alert",
        "acme/front",
    ),
    "sentry event_alert, minified without a source map": Case(
        "sentry",
        p.event_alert(p.sentry_event("14", [MINIFIED], release=None)),
        "",
        0,
        "",
        "event_alert",
    ),
    "sentry error created, Java": Case(
        "sentry",
        p.error_created(p.sentry_event("15", [JAVA], release="com.acme.shop@1.4.2+310")),
        "server/src/main/java/com/acme/Shop.java",
        5,
        "v1.4.2",
        "error",
    ),
    "sentry issue created": Case(
        "sentry", p.issue("created", "16"), "shop/cart.py", 0, "", "issue"
    ),
    "sentry issue unresolved": Case(
        "sentry", p.issue("unresolved", "16"), "shop/cart.py", 0, "", "issue"
    ),
    "sentry metric_alert": Case("sentry", p.metric_alert("critical"), "", 0, "", "metric_alert"),
    "sentry's older plugin, Go": Case(
        "sentry",
        p.plugin("17", p.sentry_event("17", [GO], release="1.4.1")),
        "cmd/total/main.go",
        4,
        "v1.4.1",
    ),
    "glitchtip": Case("glitchtip", p.glitchtip(21, "1.4.2"), "", 0, "v1.4.2"),
    "glitchtip in 2021": Case("glitchtip", p.glitchtip(21, old=True), "", 0, ""),
    "alertmanager with a traceback": Case(
        "alertmanager",
        p.alertmanager(
            p.prometheus_alert(
                {"service": "shop-api", "version": "1.4.2"}, {"description": p.TRACEBACK}
            )
        ),
        "shop/cart.py",
        4,
        "v1.4.2",
    ),
    "alertmanager as it is documented": Case(
        "alertmanager",
        p.alertmanager(p.prometheus_alert({"job": "shop-api"}, {"summary": "Down"})),
        "",
        0,
        "",
    ),
    "grafana with a traceback": Case(
        "grafana",
        p.grafana(
            p.prometheus_alert(
                {"team": "blue", "release": "v1.4.2"}, {"traceback": p.TRACEBACK, "summary": "Up"}
            )
        ),
        "shop/cart.py",
        4,
        "v1.4.2",
        repository="acme/blue",
    ),
    "grafana as it is documented": Case(
        "grafana",
        p.grafana(p.prometheus_alert({"team": "blue"}, {"summary": "High memory usage"})),
        "",
        0,
        "",
        repository="acme/blue",
    ),
    "generic": Case("generic", p.generic(), "shop/cart.py", 4, "v1.4.2"),
}


def found_in(repository: Released, case: Case) -> tuple[Alert, str, Findings]:
    [alert] = read(case.kind, case.resource, json.dumps(case.payload).encode())
    route = FILE.route_of(case.kind, alert)
    assert route is not None
    where = repository.mirror, alert, repository.tip, "main", route.paths, route.tags
    return alert, route.repository, locate(*where)


@pytest.mark.parametrize("name", CASES)
def test_each_service_to_repository_file_line_and_release(repository: Released, name: str) -> None:
    case = CASES[name]
    _, where, found = found_in(repository, case)
    assert where == case.repository
    inner = next((f for f in reversed(found.frames) if f.path), None)
    assert (inner.path if inner else "", inner.line if inner else 0) == (case.file, case.line)
    assert (found.name if found.is_release else "") == case.release
    wanted = repository.commits[case.release] if case.release else repository.tip
    assert found.commit == wanted
    minified = [f for f in found.frames if f.is_minified]
    assert len(minified) == ("minified" in name)


def test_the_suspect_came_with_the_release(repository: Released) -> None:
    _, _, found = found_in(repository, CASES["sentry event_alert, package@version"])
    suspect = found.suspect
    assert suspect is not None
    assert (suspect.commit, suspect.in_range) == (repository.commits["Add in place"], True)
    assert (suspect.subject, suspect.author) == ("Add in place", "Dev3")
    assert (suspect.path, suspect.line) == ("shop/cart.py", 4)
    assert (found.previous, found.commits_since) == ("v1.4.1", 2)
    assert found.frames[-1].fit == "same line"


def test_without_a_release_the_last_change_of_the_line_is_told_as_such(
    repository: Released,
) -> None:
    payload = p.event_alert(p.sentry_event("31", PYTHON, release="9.9.9"))
    _, _, found = found_in(repository, Case("sentry", payload, "", 0, "", "event_alert"))
    assert not found.is_release
    inner = found.frames[-1]
    # The tip has two lines more above it.
    assert (inner.path, inner.line, inner.fit) == ("shop/cart.py", 6, "moved line")
    assert found.suspect is not None
    assert not found.suspect.in_range
    assert found.suspect.commit == repository.commits["Add in place"]


def test_a_line_that_reads_otherwise_suspects_nobody_by_it(repository: Released) -> None:
    frame = p.sentry_frame("shop/cart.py", 2, "total", context_line="    t = surprising()")
    payload = p.event_alert(p.sentry_event("32", [frame], release="1.4.2"))
    _, _, found = found_in(repository, Case("sentry", payload, "", 0, "", "event_alert"))
    assert found.frames[-1].fit == "other text"
    # But the file was changed in the release.
    assert found.suspect is not None
    assert (found.suspect.line, found.suspect.in_range) == (0, True)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("util.py", ""),  # two files are called so
        ("/app/other/util.py", "other/util.py"),
        ("C:\\srv\\other\\util.py", "other/util.py"),
        ("/usr/lib/python3/site-packages/shop/cart.py", ""),
        ("node_modules/checkout.ts", ""),
        ("webpack:///./src/checkout.ts", "web/src/checkout.ts"),
        ("../../../etc/passwd", ""),
        ("<anonymous>", ""),
    ],
)
def test_paths_of_programs(repository: Released, path: str, expected: str) -> None:
    payload = p.event_alert(p.sentry_event("33", [p.sentry_frame(path, 1, "f")], release="1.4.2"))
    _, _, found = found_in(repository, Case("sentry", payload, "", 0, "", "event_alert"))
    assert found.frames[0].path == expected
