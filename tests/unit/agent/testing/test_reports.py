"""Parsers of test reports: honest ones and hostile ones."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.testing.junit import MAX_BYTES, parse_junit, parse_surefire
from agent.testing.report import TestResult
from agent.testing.reports import (
    parse_cargo,
    parse_entered,
    parse_go,
    parse_jest,
    parse_mocha,
    parse_pytest,
)

JUNIT = b"""<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.test_a.TestB.TestC" file="tests/test_a.py" name="test_d[1]" time="0.5"/>
<testcase classname="tests.test_a" file="tests/test_a.py" name="test_e">
  <failure message="short">long text</failure></testcase>
<testcase classname="tests.test_a" file="tests/test_a.py" name="test_f"/>
<testcase classname="tests.test_a" file="tests/test_a.py" name="test_f">
  <error>down</error></testcase>
<testcase classname="" file="tests/test_g.py" name="tests.test_g"><error>import</error></testcase>
<testcase classname="tests.test_a" file="tests/test_a.py" name="test_h"><skipped/></testcase>
</testsuite></testsuites>"""


def test_pytest_names_and_outcomes() -> None:
    results = parse_junit(JUNIT)
    assert {r.name: r.outcome for r in results} == {
        "tests/test_a.py::TestB::TestC::test_d[1]": "passed",
        "tests/test_a.py::test_e": "failed",
        "tests/test_a.py::test_f": "error",
        "tests/test_g.py": "error",
        "tests/test_a.py::test_h": "skipped",
    }
    assert results[0].duration_s == 0.5
    assert results[1].message == "long text"


def test_surefire_names() -> None:
    report = b'<testsuite><testcase classname="a.b.C" name="d" time="1,000.5"/></testsuite>'
    (result,) = parse_surefire(report)
    assert (result.name, result.duration_s) == ("a.b.C#d", 1000.5)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"<testsuite><testcase",
        b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><testsuite>&c;</testsuite>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testcase name="&a;"/>',
        b"<testsuite>" + b" " * MAX_BYTES + b"</testsuite>",
        b'<?xml version="1.0" encoding="nonsense"?><testsuite/>',
    ],
)
def test_hostile_reports_give_nothing(hostile: bytes) -> None:
    assert parse_junit(hostile) == ()


def test_long_messages_are_cut_and_odd_times_read_as_zero() -> None:
    text = "x" * 100_000
    report = f'<testcase name="a" time="nan?"><failure>{text}</failure></testcase>'
    (result,) = parse_junit(f"<s>{report}</s>".encode())
    assert len(result.message) < 5000 and "left out" in result.message
    assert result.duration_s == 0.0


def test_jest_and_mocha() -> None:
    jest = {
        "testResults": [
            {
                "name": "/w/a.test.js",
                "assertionResults": [
                    {"fullName": "sum adds", "status": "passed", "duration": 5},
                    {"fullName": "sum fails", "status": "failed", "failureMessages": ["no"]},
                    {"fullName": "sum later", "status": "todo"},
                ],
            },
            {"name": "/w/b.test.js", "status": "failed", "message": "SyntaxError"},
        ]
    }
    assert {r.name: r.outcome for r in parse_jest(json.dumps(jest).encode(), "/w")} == {
        "a.test.js::sum adds": "passed",
        "a.test.js::sum fails": "failed",
        "a.test.js::sum later": "skipped",
        "b.test.js": "error",
    }
    mocha = {
        "passes": [{"fullTitle": "a b", "file": "/w/t.js"}],
        "failures": [{"fullTitle": "a c", "file": "/w/t.js", "err": {"stack": "Error: no"}}],
    }
    results = parse_mocha(json.dumps(mocha).encode(), "/w")
    assert [(r.name, r.outcome) for r in results] == [
        ("t.js::a b", "passed"),
        ("t.js::a c", "failed"),
    ]


def test_an_old_mocha_prints_its_report_among_what_tests_print() -> None:
    first = {"stats": {"tests": 1}, "passes": [{"fullTitle": "Sum is wrong"}]}
    err = {"stack": "AssertionError: 1 == 2"}
    last = {"stats": {"tests": 2}, "passes": [{"fullTitle": "Sum adds 1.5", "err": {}}],
            "failures": [{"fullTitle": "Sum is wrong", "err": err}]}  # fmt: skip
    said = f'hello {{\n{json.dumps(first)}\n{{"stats": \n{json.dumps(last, indent=2)}\nbye'
    results = parse_mocha(b"", "/w", said)
    assert {r.name: r.outcome for r in results} == {
        "Sum adds 1.5": "passed",
        "Sum is wrong": "failed",
    }
    assert parse_mocha(b"", "/w", "{" * 100_000) == ()


def test_go() -> None:
    lines = [
        {"Action": "output", "Package": "x", "Test": "TestA", "Output": "boom\n"},
        {"Action": "fail", "Package": "x", "Test": "TestA", "Elapsed": 0.1},
        {"Action": "pass", "Package": "x", "Test": "TestB"},
        {"Action": "fail", "Package": "x"},
        {"Action": "output", "Package": "y", "Output": "y.go:1: syntax error\n"},
        {"Action": "fail", "Package": "y"},
    ]
    results, text = parse_go("noise\n" + "\n".join(map(json.dumps, lines)))
    assert {r.name: r.outcome for r in results} == {
        "x::TestA": "failed",
        "x::TestB": "passed",
        "y": "error",
    }
    assert results[0].message == "boom\n"
    assert text == "noise\nboom\ny.go:1: syntax error\n"


def test_cargo() -> None:
    output = """running 3 tests
test a::ok ... ok
test a::bad ... FAILED
test a::later ... ignored

failures:

---- a::bad stdout ----
panicked at 'left == right'

failures:
    a::bad
"""
    results = parse_cargo(output)
    assert {r.name: r.outcome for r in results} == {
        "a::ok": "passed",
        "a::bad": "failed",
        "a::later": "skipped",
    }
    assert "left == right" in results[1].message


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["testResults", "assertionResults", "passes", "name", "Test", "Action"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(json_values)
def test_no_json_makes_a_parser_crash(value: object) -> None:
    data = json.dumps(value).encode()
    parse_jest(data, "/w")
    parse_mocha(data, "/w")
    parse_go(data.decode())


@pytest.mark.parametrize("seconds", ["1e999", "NaN", "1" + "0" * 400, "-1", '"x"', "[]"])
def test_a_time_that_is_none_can_be_kept(seconds: str) -> None:
    line = f'{{"name": "a", "outcome": "passed", "seconds": {seconds}}}\n'
    (result,), _ = parse_pytest(line.encode())
    assert result.duration_s == 0
    assert type(result).model_validate_json(result.model_dump_json()) == result
    (result,) = parse_junit(f"<r><testcase name='a' time='{seconds.strip(chr(34))}'/></r>".encode())
    assert result.duration_s == 0


def test_times_that_were_kept_as_none_are_read() -> None:
    kept = '{"name": "a", "outcome": "passed", "duration_s": null}'
    assert TestResult.model_validate_json(kept).duration_s == 0


@pytest.mark.parametrize(
    "report",
    [
        b"<a>" * 100_000,
        b"<r>" + b"<x/>" * 10_001 + b"</r>",
        b"<r><testcase " + b" ".join(b'a%d="1"' % n for n in range(1000)) + b"/></r>",
    ],
    ids=["deep", "many", "names"],
)
def test_reports_that_fill_memory_are_none(report: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.testing.junit.MOST_ELEMENTS", 10_000)
    assert parse_junit(report) == ()


def test_a_long_name_is_read_in_linear_time() -> None:
    begun = time.process_time()
    (result,) = parse_junit(b"<r><testcase name='" + b"a" * 4_000_000 + b"'/></r>")
    parse_pytest(b"\n" * 100_000_000)
    parse_entered(b'{"entered": [["a", 1], ["a", 2]]}\n' * 20_000)
    assert len(result.name) == 4_000_000
    assert time.process_time() - begun < 3
