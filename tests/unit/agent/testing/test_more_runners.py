"""Results per test of Django, nose2, Jasmine, Bun, Deno, Playwright, nextest, sbt, Pest,
GoogleTest, Catch2, ExUnit and Swift.

The reports are what Django 5.2, nose2 0.16, Jasmine 7.0, Bun 1.4, Deno 2.9, Playwright 1.62,
cargo-nextest 0.9, GoogleTest 1.12, Catch2 2.13 and ExUnit 1.14 wrote, shortened; those of sbt, Pest
and Swift are after the code that writes them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.testing import suite
from agent.testing.detect import detect
from agent.testing.javascript_reports import parse_bun, parse_deno, parse_playwright
from agent.testing.report import TestResult
from agent.testing.reports import parse_pytest
from agent.testing.suite import run_suite
from agent.testing.vacuous import why_vacuous
from agent.testing.xml_reports import (
    parse_catch2,
    parse_googletest,
    parse_nextest,
    parse_nose2,
    parse_phpunit,
    parse_sbt,
    parse_swift,
)
from tests.doubles.local_sandbox import LocalSandbox


def outcomes(results: Sequence[TestResult]) -> dict[str, str]:
    return {result.name: result.outcome for result in results}


def test_nose2s_report() -> None:
    report = b"""<testsuite name="nose2-junit" errors="1" failures="2" skipped="1" tests="5">
<testcase time="0.1" classname="nose2.loader.ModuleImportFailure.tests" name="test_b">
<error message="test failure">ImportError: no</error><system-out /></testcase>
<testcase time="0.1" classname="tests.test_a" name="test_fp:1">
<failure message="test failure">AssertionError</failure></testcase>
<testcase time="0.1" classname="tests.test_a.T" name="test_good"><system-out /></testcase>
<testcase time="0.1" classname="tests.test_a.T" name="test_skip">
<skipped message="test skipped: later">later</skipped></testcase>
<testcase time="0.1" classname="tests.test_a.T" name="test_sub (i=1)">
<failure message="test failure">AssertionError: 1 == 1</failure></testcase></testsuite>"""
    assert outcomes(parse_nose2(report)) == {
        "tests.test_b": "error",
        "tests.test_a.test_fp:1": "failed",
        "tests.test_a.T.test_good": "passed",
        "tests.test_a.T.test_skip": "skipped",
        "tests.test_a.T.test_sub": "failed",
    }


BUN = b"""<?xml version="1.0" encoding="UTF-8"?><testsuites name="bun test" tests="4">
<testsuite name="a.test.ts" file="a.test.ts"><testsuite name="Sum" file="a.test.ts" line="2">
<testcase name="is &gt; wrong" classname="Sum" time="0.25" file="a.test.ts" line="4">
<failure type="AssertionError" message="m">AssertionError: Expected: 3</failure></testcase>
<testcase name="some day" classname="Sum" time="0" file="a.test.ts"><skipped message="TODO" />
</testcase><testsuite name="inner" file="a.test.ts">
<testcase name="goes 1" classname="inner &gt; Sum" time="0.1" file="a.test.ts" line="8" />
</testsuite></testsuite><testcase name="top" classname="" time="0" file="a.test.ts" line="10" />
</testsuite></testsuites>"""
BUN_SAYS = """
a.test.ts:
\x1b[32m(pass)\x1b[0m top [0.01ms]

sub/b.test.ts:

# Unhandled error between tests
-------------------------------
error: cannot load
"""


def test_buns_report_and_a_file_that_only_its_output_tells_of() -> None:
    results = parse_bun(BUN, BUN_SAYS)
    assert outcomes(results) == {
        "a.test.ts::Sum is > wrong": "failed",
        "a.test.ts::Sum some day": "skipped",
        "a.test.ts::Sum inner goes 1": "passed",
        "a.test.ts::top": "passed",
        "sub/b.test.ts": "error",
    }
    assert results[0].duration_s == 0.25 and "Expected: 3" in results[0].message


def test_denos_report_with_steps_and_tests_of_node() -> None:
    report = b"""<testsuites name="deno test"><testsuite name="./a_test.ts">
<testcase name="outer" classname="./a_test.ts" time="0.003">
<failure message="1 test step failed">1 test step failed.</failure></testcase>
<testcase name="outer &gt; one" classname="./a_test.ts" time="0.000"></testcase>
<testcase name="outer &gt; two" classname="./a_test.ts"><failure message="x">Error: x</failure>
</testcase><testcase name="later" classname="./a_test.ts" time="0.000"><skipped/></testcase>
</testsuite><testsuite name="./sub/c_test.ts">
<testcase name="D" classname="./sub/c_test.ts" time="0.002"></testcase></testsuite>
<testsuite name="ext:deno_node/testing.ts">
<testcase name="D &gt; says" classname="ext:deno_node/testing.ts" time="0"></testcase>
</testsuite></testsuites>"""
    said = "Uncaught error from ./sub/b_test.ts \x1b[31mFAILED\x1b[0m\n"
    assert outcomes(parse_deno(report, said)) == {
        "a_test.ts::outer": "failed",
        "a_test.ts::outer > one": "passed",
        "a_test.ts::outer > two": "failed",
        "a_test.ts::later": "skipped",
        "sub/c_test.ts::D": "passed",
        "sub/c_test.ts::D > says": "passed",
        "sub/b_test.ts": "error",
    }


def spec(title: str, status: str, expected: str = "passed", project: str = "chromium") -> object:
    error = {"message": "\x1b[31mexpected\x1b[0m 1"}
    run = {"status": "x", "duration": 1500, "errors": [error] if status == "unexpected" else []}
    test = {"expectedStatus": expected, "projectName": project, "results": [run], "status": status}
    return {"title": title, "file": "Hello.spec.jsx", "tests": [test]}


def test_playwrights_report_of_several_browsers() -> None:
    specs = [
        spec("greets", "expected"),
        spec("greets", "unexpected", project="firefox"),
        spec("is quick", "skipped"),
        spec("is quick", "flaky", project="firefox"),
        spec("known", "expected", expected="failed"),
    ]
    inner = {"title": "Hello", "file": "Hello.spec.jsx", "specs": specs}
    report = {
        "config": {"rootDir": "/w/web/src"},
        "suites": [{"title": "Hello.spec.jsx", "specs": [], "suites": [inner]}],
        "errors": [{"message": "cannot load", "location": {"file": "/w/web/src/B.spec.jsx"}}, {}],
    }
    results = parse_playwright(json.dumps(report).encode(), "/w")
    assert outcomes(results) == {
        "web/src/Hello.spec.jsx::Hello greets": "failed",
        "web/src/Hello.spec.jsx::Hello is quick": "passed",
        "web/src/Hello.spec.jsx::Hello known": "skipped",
        "web/src/B.spec.jsx": "error",
    }
    assert results[0].message == "expected 1" and results[0].duration_s == 1.5


def test_nextests_report() -> None:
    report = b"""<testsuites name="nextest-run"><testsuite name="nx">
<testcase name="tests::works" classname="nx" time="0.030"/>
<testcase name="tests::bad" classname="nx" time="0.3"><failure message="m" type="t">panicked
</failure><system-out>said</system-out></testcase></testsuite>
<testsuite name="nx::it"><testcase name="outside" classname="nx::it" time="0.029"/></testsuite>
</testsuites>"""
    assert outcomes(parse_nextest(report)) == {
        "nx tests::works": "passed",
        "nx tests::bad": "failed",
        "nx::it outside": "passed",
    }


def test_the_reports_of_sbt_pest_and_swift() -> None:
    sbt = b"""<testsuite hostname="h" name="a.SumSpec" tests="2"><properties/>
<testcase classname="a.SumSpec" name="Sum should add 1.5" time="0.01"></testcase>
<testcase classname="a.SumSpec" name="later" time="0.0"><skipped/></testcase></testsuite>"""
    assert outcomes(parse_sbt(sbt)) == {
        "a.SumSpec#Sum should add 1.5": "passed",
        "a.SumSpec#later": "skipped",
    }
    pest = rb"""<testsuites><testsuite name="Tests\Unit\SumTest" file="tests/Unit/SumTest.php">
<testcase name="it adds" file="tests/Unit/SumTest.php::it adds" class="Tests\Unit\SumTest"
classname="Tests.Unit.SumTest" assertions="1" time="0.1"><failure type="X">no</failure></testcase>
</testsuite></testsuites>"""
    assert outcomes(parse_phpunit(pest)) == {r"Tests\Unit\SumTest::it adds": "failed"}
    swift = b"""<testsuites>
<testsuite name="TestResults" errors="0" tests="2" failures="1" time="0.1">
<testcase classname="SumTests.SumTests" name="testAdds" time="0.1">
</testcase>
<testcase classname="SumTests.SumTests" name="testBad" time="0.0">
<failure message="failure"></failure>
</testcase></testsuite></testsuites>"""
    assert outcomes(parse_swift(swift)) == {
        "SumTests.SumTests/testAdds": "passed",
        "SumTests.SumTests/testBad": "failed",
    }


GOOGLETEST = """<?xml version="1.0" encoding="UTF-8"?><testsuites tests="3"><testsuite name="Sum">
<testcase name="Adds" file="g.cpp" line="3" status="run" result="completed" classname="Sum" />
<testcase name="Wrong" status="run" result="completed" time="0" classname="Sum">
<failure message="m" type=""><![CDATA[g.cpp:4: 2 is not 3 <&>]]></failure></testcase>
<testcase name="DISABLED_Off" status="notrun" result="suppressed" classname="Sum" />
</testsuite></testsuites>"""
LISTED = """<testsuites tests="1" name="AllTests"><testsuite name="Sum" tests="1">
<testcase name="Adds" file="g.cpp" line="3" /></testsuite></testsuites>"""


def test_googletests_report_and_a_list_of_cases_that_did_not_run() -> None:
    assert outcomes(parse_googletest(GOOGLETEST.encode(), "g")) == {
        "g::Sum.Adds": "passed",
        "g::Sum.Wrong": "failed",
        "g::Sum.DISABLED_Off": "skipped",
    }
    assert parse_googletest(LISTED.encode(), "g") == ()


def test_catch2s_report_of_sections_and_of_a_test_that_may_fail() -> None:
    report = b"""<testsuites><testsuite name="c2" errors="1" failures="1" tests="4">
<testcase classname="c2.global" name="adds, two" time="0.000" status="run"/>
<testcase classname="c2.global" name="wrong/one" status="run">
<failure message="1 == 2" type="CHECK">FAILED</failure></testcase>
<testcase classname="c2.global" name="throws" status="run"><error type="TEST_CASE">boom</error>
</testcase><testcase classname="c2.global" name="may" time="0.000" status="run">
<skipped message="TEST_CASE tagged with !mayfail"/><failure message="1 == 2">FAILED</failure>
</testcase></testsuite></testsuites>"""
    assert outcomes(parse_catch2(report)) == {
        "adds, two": "passed",
        "wrong/one": "failed",
        "throws": "error",
        "may": "skipped",
    }


PROGRAM = f"""\
#!/bin/sh
# Does with GTEST_OUTPUT and GTEST_FILTER what a program of GoogleTest does.
folder=${{GTEST_OUTPUT#xml:}}
mkdir -p "$folder"
echo "filter ${{GTEST_FILTER:-none}}"
cat >"$folder/g.xml" <<'END'
{GOOGLETEST}
END
exit 1
"""


async def test_the_cases_of_a_program_in_a_command_that_is_one_test_otherwise() -> None:
    box = LocalSandbox({"checks/g.sh": PROGRAM})
    try:
        run = await run_suite(box, "echo building && sh checks/g.sh", timeout_s=30)
        one = await run_suite(box, "echo building && sh checks/g.sh", "g::Sum.Adds", 30)
    finally:
        await box.close()
    assert run.outcomes == {
        "echo building && sh checks/g.sh": "failed",
        "g::Sum.Adds": "passed",
        "g::Sum.Wrong": "failed",
        "g::Sum.DISABLED_Off": "skipped",
    }
    assert "filter none" in run.output and "filter Sum.Adds" in one.output


DJANGOS = """\
import os, sys, unittest

class T(unittest.TestCase):
    def test_good(self):
        assert sys.argv[1:] == ["test", "--keepdb"], sys.argv
    def test_bad(self):
        self.assertEqual(os.path.basename(sys.path[0]), "site")

if __name__ == "__main__":
    # As django.test.runner.DiscoverRunner does.
    runner = unittest.TextTestRunner(verbosity=1, resultclass=None)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromTestCase(T))
    sys.exit(not result.wasSuccessful())
"""


async def test_a_manage_py_runs_as_ever_and_each_of_its_tests_is_told() -> None:
    box = LocalSandbox({"site/manage.py": DJANGOS})
    try:
        run = await run_suite(box, "./site/manage.py test --keepdb", timeout_s=30)
    finally:
        await box.close()
    assert run.outcomes == {"__main__.T.test_bad": "passed", "__main__.T.test_good": "passed"}, (
        run.output
    )


JASMINES_CALLS = """
const Report = require(process.argv[1]);
const report = new Report();
const bad = [{ message: "Expected 2 to be 3.", stack: "    at a.spec.js:3" }];
report.jasmineStarted({});
const filename = "/w/a.spec.js";
const spec = (fullName, status, failedExpectations) =>
  report.specDone({ fullName, status, failedExpectations, duration: 250, filename });
spec("Sum adds", "passed", []);
spec("Sum is wrong", "failed", bad);
spec("Sum later", "pending", []);
spec("Sum other", "excluded", []);
report.suiteDone({ fullName: "Sum", failedExpectations: bad, filename });
report.jasmineDone({ overallStatus: "failed", failedExpectations: [] });
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_what_jasmine_says_to_a_reporter(tmp_path: Path) -> None:
    reporter = Path(suite.__file__).with_name("reporters") / "jasmine_report.cjs"
    report = tmp_path / "report"
    said = subprocess.run(
        ["node", "-e", JASMINES_CALLS, str(reporter)],
        env={"PATH": "/usr/bin:/usr/local/bin:/bin", "PATCHWRIGHT_TEST_REPORT": str(report)},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    results, complete = parse_pytest(report.read_bytes())
    assert complete
    assert outcomes(results) == {
        "/w/a.spec.js::Sum adds": "passed",
        "/w/a.spec.js::Sum is wrong": "failed",
        "/w/a.spec.js::Sum later": "skipped",
        "/w/a.spec.js::Sum": "error",
    }
    assert "Sum is wrong: FAILED\nExpected 2 to be 3." in said
    assert "3 specs, 2 failures, 1 pending specs" in said


SUITES_AS_UVU_QUEUES_THEM = """
globalThis.UVU_QUEUE = globalThis.UVU_QUEUE || [];
async function runner(context, name) {
  try {
    for (const hook of context.before) await hook();
    for (const test of context.only.length ? context.only : context.tests) {
      try {
        for (const hook of context.bEach) await hook();
        await test.handler(context.state);
        for (const hook of context.aEach) await hook();
      } catch (error) {
        for (const hook of context.aEach) await hook();
      }
    }
  } finally {
    return name;
  }
}
const thrower = (text) => () => { throw new Error(text); };
const test = (name, handler = async () => {}) => ({ name, handler });
const once = (text) => { let calls = 0; return () => { if (!calls++) throw new Error(text); }; };
const suite = (name, tests, more) => {
  const lists = { tests, only: [], before: [], after: [], bEach: [], aEach: [] };
  UVU_QUEUE[1].push(runner.bind(0, { ...lists, state: {}, ...more }, name));
};
UVU_QUEUE.push([null], ["a.js"]);
globalThis.UVU_INDEX = 1;
suite("", [test("adds"), test("is wrong", thrower("not 3"))]);
suite("Sum", [test("left out")], { only: [test("chosen")] });
suite("Before", [test("never")], { before: [thrower("early")] });
suite("Each", [test("one")], { bEach: [thrower("each")] });
suite("After", [test("first"), test("second")], { aEach: [once("after")] });
(async () => {
  for (const run of UVU_QUEUE[1].slice(1)) {
    await run();
    if (process.env.LEAVE_EARLY) process.exit(0);
  }
})();
"""
ALL_OF_UVU = {
    "a.js::adds": "passed",
    "a.js::is wrong": "failed",
    "a.js::Sum > chosen": "passed",
    "a.js::Sum > left out": "skipped",
    "a.js::Before > never": "error",
    "a.js::Each > one": "failed",
    "a.js::After > first": "failed",
    "a.js::After > second": "passed",
}


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.parametrize("program", [(), ("/w/node_modules/.bin/uvu",)])
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([], ALL_OF_UVU),
        (["tests/a.js"], {k: v for k, v in ALL_OF_UVU.items() if "left out" not in k}),
        (["tests/a.js::adds", "Sum > chosen", "b.js"],
         {"a.js::adds": "passed", "a.js::Sum > chosen": "passed"}),
        (["tests/a.js::Sum > left out", "tests/a.js::Each > one"], {"a.js::Each > one": "failed"}),
    ],
)  # fmt: skip
def test_tests_of_uvu_are_watched_and_chosen(
    tmp_path: Path, chosen: list[str], expected: dict[str, str], program: tuple[str, ...]
) -> None:
    reporter = Path(suite.__file__).with_name("reporters") / "uvu_report.cjs"
    report, file = tmp_path / "report", tmp_path / "tests" / "a.js"
    file.parent.mkdir()
    shared = "globalThis.UVU_QUEUE = globalThis.UVU_QUEUE || [];"
    # Before 0.5 its queue is its own.
    queue = "const UVU_QUEUE = [];" if program else shared
    file.write_text(SUITES_AS_UVU_QUEUES_THEM.replace(shared, queue))
    variables = {
        "PATH": "/usr/bin:/usr/local/bin:/bin",
        "PATCHWRIGHT_TEST_REPORT": str(report),
        "PATCHWRIGHT_CHOSEN_TESTS": json.dumps(chosen),
    }
    call = ["node", "--require", str(reporter), str(file), *program]
    subprocess.run(call, env=variables, check=True)
    results, complete = parse_pytest(report.read_bytes())
    found = {name.removeprefix(f"{tmp_path}/tests/"): o for name, o in outcomes(results).items()}
    assert complete and found == expected
    assert all("not 3" in r.message for r in results if r.name.endswith("is wrong"))
    report.unlink()
    subprocess.run(call, env=variables | {"LEAVE_EARLY": "1"}, check=True)
    assert not parse_pytest(report.read_bytes())[1], "it was left after the first suite"


EXUNIT = {
    "mix.exs": """\
defmodule X do
  use Mix.Project
  def project, do: [app: :x, version: "1.0.0"]
end
""",
    "test/test_helper.exs": "ExUnit.start()",
    "test/x_test.exs": """\
defmodule XTest do
  use ExUnit.Case
  test "adds: \\"two\\"", do: assert(1 + 1 == 2)
  test "is wrong", do: assert(1 + 1 == 3)
  @tag :skip
  test "later", do: :ok
end
""",
}


@pytest.mark.skipif(shutil.which("mix") is None, reason="needs Elixir")
async def test_exunit_by_a_formatter_of_ours() -> None:
    box = LocalSandbox(EXUNIT)
    try:
        run = await run_suite(box, "mix test", timeout_s=60)
    finally:
        await box.close()
    told = {name.rpartition("/")[2]: outcome for name, outcome in run.outcomes.items()}
    assert told == {
        'x_test.exs::test adds: "two"': "passed",
        "x_test.exs::test is wrong": "failed",
        "x_test.exs::test later": "skipped",
    }
    assert run.complete and "2 tests" not in run.output and "3 tests, 1 failure" in run.output


MANAGE = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')"


@pytest.mark.parametrize(
    ("contents", "command"),
    [
        ({"manage.py": MANAGE, "shop/tests.py": "class T(TestCase): pass"},
         "python3 manage.py test"),
        ({"manage.py": MANAGE, "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE=x",
          "shop/test_a.py": "def test_a(): pass"}, "python3 -m pytest -q"),
        ({"web/package.json": '{"scripts": {"test": "jasmine"}}', "api/manage.py": MANAGE,
          "api/shop/tests.py": "class T(TestCase): pass"},
         "(cd api && python3 manage.py test) && (cd web && npx --no-install jasmine)"),
        ({"nose2.cfg": "", "test_a.py": "def test_a(): pass"}, "python3 -m nose2"),
        ({"package.json": '{"devDependencies": {"jasmine": "5"}}'}, "npx --no-install jasmine"),
        ({"package.json": '{"scripts": {"build": "node bundle", "test": "uvu -r esm test"}}'},
         "npx --no-install uvu -r esm test"),
        ({"package.json": '{"scripts": {"test": "bun run lint && bun test --coverage"}}'},
         "bun test --coverage"),
        ({"package.json": "{}", "bun.lock": "", "src/a.test.ts": ""}, "bun test"),
        ({"package.json": "{}", "bun.lock": ""}, None),
        ({"deno.jsonc": '{\n// tests\n"tasks": {"test": "deno test -R"}}', "a_test.ts": ""},
         "deno test -R"),
        ({"deno.json": '{"tasks": {"test": "deno task lint && deno test"}}', "a_test.ts": ""},
         "deno test -A"),
        ({"deno.json": "{}", "mod.ts": ""}, None),
        ({"package.json": '{"scripts": {"test": "playwright test -c playwright-ct.config.ts"}}'},
         "npx --no-install playwright test -c playwright-ct.config.ts"),
        ({"package.json": '{"devDependencies": {"@playwright/experimental-ct-vue": "1"}}',
          "playwright-ct.config.ts": ""},
         "npx --no-install playwright test -c playwright-ct.config.ts"),
        ({"build.sbt": "", "modules/a/build.sbt": ""}, "sbt test"),
        ({"composer.json": '{"require-dev": {"pestphp/pest": "3", "phpunit/phpunit": "*"}}'},
         "vendor/bin/pest"),
        ({"mix.exs": "", "apps/a/mix.exs": "", "apps/a/test/a_test.exs": ""}, "mix test"),
        ({"mix.exs": ""}, None),
        ({"core/Package.swift": "", "core/Tests/CoreTests/A.swift": ""},
         "(cd core && swift test)"),
    ],
)  # fmt: skip
def test_their_projects_are_recognised(contents: dict[str, str], command: str | None) -> None:
    assert detect(sorted(contents), contents) == command


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("python3 manage.py test -k zz", "Found 0 test(s).\nRan 0 tests in 0.000s\n\nOK"),
        ("npx jasmine", "No specs found\n0 specs, 0 failures, 0 pending specs"),
        ("uvu -r esm test", "\n  Total:     0\x1b[32m\n  Passed:    0\x1b[39m\n"),
        ("bun test -t zz", 'error: regex "zz" matched 0 tests. Searched 1 file (skipping 8 tests)'),
        ("bun test x", "The following filters did not match any test files:\n x"),
        ("deno test", "ok | 0 passed | 0 failed | 4 filtered out (62ms)"),
        ("playwright test zz", "Error: No tests found.\nMake sure that arguments are"),
        ("cargo nextest run", "     Summary [ 0.000s] 0 tests run\nerror: no tests to run"),
        ("./tests -r junit", "No tests ran\n"),
        ("make check", "[==========] 0 tests from 0 test suites ran. (0 ms total)"),
        ("mix test --only x", 'The --only option was given to "mix test" but no test was executed'),
        ("swift test --filter x", "warning: No matching test cases were run"),
    ],
)
def test_runs_of_no_test_show_nothing(command: str, output: str) -> None:
    assert why_vacuous(command, 1, output)


def test_one_program_without_tests_among_others_takes_nothing_away() -> None:
    some = "[==========] Running 3 tests from 1 test suite.\n"
    none = "[==========] 0 tests from 0 test suites ran. (0 ms total)\n"
    assert why_vacuous("make check", 0, none) and not why_vacuous("make check", 0, some + none)
    passes = "        PASS [   0.030s] (1/3) nx tests::works\nerror: no tests to run"
    assert not why_vacuous("cargo nextest run", 0, passes)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"suites": [{"specs": [1, {"tests": [2]}]}]}', b"<a>"]
)
def test_what_is_no_report_gives_no_results(data: bytes) -> None:
    assert parse_playwright(data, "/w") == parse_bun(data, "") == ()
    assert parse_deno(data, "") == parse_googletest(data, "g") == ()
    for parse in (parse_nose2, parse_nextest, parse_sbt, parse_swift, parse_catch2):
        assert parse(data) == ()
