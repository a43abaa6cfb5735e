"""Results per test of CTest, Meson, PHPUnit, .NET, RSpec, Minitest and test-unit.

The texts are what CTest 3.25, Meson 1.0, PHPUnit 9.6, RSpec 3.12, Minitest 5.17 and test-unit 3.5
printed; .NET's is after the schema of TRX.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from agent.testing.detect import detect
from agent.testing.report import TestResult
from agent.testing.ruby_reports import parse_minitest, parse_rspec
from agent.testing.runners import invocation, kind_of
from agent.testing.vacuous import why_vacuous
from agent.testing.xml_reports import parse_ctest, parse_meson, parse_phpunit, parse_trx


def outcomes(results: Sequence[TestResult]) -> dict[str, str]:
    return {result.name: result.outcome for result in results}


def message_of(results: Sequence[TestResult], name: str) -> str:
    return next(result.message for result in results if result.name == name)


CTEST = b"""<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="(empty)" tests="5" failures="1" disabled="1" skipped="2">
 <testcase name="good" classname="good" time="0.0102683" status="run">
  <system-out></system-out></testcase>
 <testcase name="bad.one" classname="bad.one" time="0.00233688" status="fail">
  <failure message=""/><system-out>said
</system-out></testcase>
 <testcase name="skip" classname="skip" time="0.00222379" status="notrun">
  <skipped message="SKIP_RETURN_CODE=77"/><system-out></system-out></testcase>
 <testcase name="off" classname="off" time="0" status="disabled">
  <system-out>Disabled</system-out></testcase>
 <testcase name="gone" classname="gone" time="0" status="notrun">
  <skipped message="Unable to find executable"/>
  <system-out>Unable to find executable: /no/such</system-out></testcase>
</testsuite>"""


def test_ctests_report_tells_what_was_not_built_from_what_is_skipped() -> None:
    results = parse_ctest(CTEST)
    assert outcomes(results) == {
        "good": "passed",
        "bad.one": "failed",
        "skip": "skipped",
        "off": "skipped",
        "gone": "error",
    }
    assert message_of(results, "bad.one") == "said"


def test_mesons_report() -> None:
    report = b"""<?xml version='1.0' encoding='utf-8'?>
<testsuites tests="3" errors="0" failures="1"><testsuite name="x" tests="3">
<testcase name="x / good" classname="x" time="0.31" />
<testcase name="x / bad.one" classname="x" time="0.57"><failure /></testcase>
<testcase name="x:slow / skips" classname="x" time="0.39"><skipped /></testcase>
</testsuite></testsuites>"""
    assert outcomes(parse_meson(report)) == {
        "x / good": "passed",
        "x / bad.one": "failed",
        "x:slow / skips": "skipped",
    }


def test_phpunits_report() -> None:
    report = rb"""<?xml version="1.0" encoding="UTF-8"?><testsuites>
<testsuite name="Acme\ATest" file="/w/test/ATest.php" tests="3">
<testcase name="testGood" class="Acme\ATest" classname="Acme.ATest" file="/w/ATest.php" time="1"/>
<testcase name="testErr" class="Acme\ATest" classname="Acme.ATest" file="/w/ATest.php" time="0">
<error type="Exception">Acme\ATest::testErr
Exception: boom</error></testcase>
<testsuite name="Acme\ATest::testData" tests="2">
<testcase name="testData with data set &quot;a one&quot;" class="Acme\ATest" time="0"/>
<testcase name="testData with data set #0" class="Acme\ATest" time="0">
<failure type="X">Failed asserting that 2 is identical to 1.</failure></testcase>
</testsuite></testsuite></testsuites>"""
    results = parse_phpunit(report)
    assert outcomes(results) == {
        r"Acme\ATest::testGood": "passed",
        r"Acme\ATest::testErr": "error",
        r'Acme\ATest::testData with data set "a one"': "passed",
        r"Acme\ATest::testData with data set #0": "failed",
    }
    assert "boom" in message_of(results, r"Acme\ATest::testErr")


def test_dotnets_report() -> None:
    report = b"""<?xml version="1.0"?>
<TestRun xmlns="http://microsoft.com/schemas/VisualStudio/TeamTest/2010"><Results>
<UnitTestResult testName="A.B.Good" outcome="Passed" duration="00:00:01.5000000" />
<UnitTestResult testName="A.B.Bad" outcome="Failed"><Output><ErrorInfo>
<Message>Expected 1</Message><StackTrace>at A.B.Bad()</StackTrace></ErrorInfo></Output>
</UnitTestResult>
<UnitTestResult testName="A.B.Later" outcome="NotExecuted" />
</Results></TestRun>"""
    results = parse_trx(report)
    assert outcomes(results) == {"A.B.Good": "passed", "A.B.Bad": "failed", "A.B.Later": "skipped"}
    assert results[0].duration_s == 1.5
    assert results[1].message == "Expected 1\nat A.B.Bad()"


def test_rspecs_report() -> None:
    example = {"file_path": "./spec/c_spec.rb", "run_time": 0.5}
    told = {"class": "ArgumentError", "message": "boom", "backtrace": ["./spec/c_spec.rb:4"]}
    report = {
        "messages": ["\nAn error occurred while loading ./spec/d_spec.rb.\nFailure/Error: raise"],
        "examples": [
            {**example, "full_description": "Sum adds", "status": "passed"},
            {**example, "full_description": "Sum raises", "status": "failed", "exception": told},
            {**example, "full_description": "Sum later", "status": "pending"},
        ],
        "summary": {"errors_outside_of_examples_count": 1},
    }
    results, complete = parse_rspec(json.dumps(report).encode())
    assert not complete
    assert outcomes(results) == {
        "spec/c_spec.rb::Sum adds": "passed",
        "spec/c_spec.rb::Sum raises": "failed",
        "spec/c_spec.rb::Sum later": "skipped",
        "spec/d_spec.rb": "error",
    }
    assert results[1].message == "ArgumentError: boom\n./spec/c_spec.rb:4"


@pytest.mark.parametrize("text", ["", "[]", '{"examples": [1, {"status": []}]}', "{" * 9])
def test_what_is_no_report_gives_no_results(text: str) -> None:
    data = text.encode()
    assert parse_rspec(data)[0] == ()
    for parse in (parse_ctest, parse_meson, parse_phpunit, parse_trx):
        assert parse(data) == ()


MINITEST = """\
Run options: -v --seed 7

# Running:

Deep::ATest#test_good = 0.00 s = .
Deep::ATest#test_err = 0.00 s = E
Deep::ATest#test_bad = 0.25 s = F
Deep::ATest#test_skip = 0.00 s = S
a spec#test_0001_adds = things = 0.00 s = .
a spec#test_0002_prints = said
0.00 s = .

Finished in 0.098622s, 50.6987 runs/s, 30.4192 assertions/s.

  1) Error:
Deep::ATest#test_err:
RuntimeError: boom
    /w/test/a_test.rb:6:in `test_err'

  2) Failure:
Deep::ATest#test_bad [/w/test/a_test.rb:5]:
sum.
Expected: 1
  Actual: 2

6 runs, 3 assertions, 1 failures, 1 errors, 1 skips
"""


def test_minitests_lines_with_what_tests_print_between_them() -> None:
    results = parse_minitest(MINITEST)
    assert outcomes(results) == {
        "Deep::ATest#test_good": "passed",
        "Deep::ATest#test_err": "error",
        "Deep::ATest#test_bad": "failed",
        "Deep::ATest#test_skip": "skipped",
        "a spec#test_0001_adds = things": "passed",
        "a spec#test_0002_prints": "passed",
    }
    assert "Expected: 1\n  Actual: 2" in message_of(results, "Deep::ATest#test_bad")
    assert "boom" in message_of(results, "Deep::ATest#test_err")
    assert results[2].duration_s == 0.25


RULE = "=" * 79
TEST_UNIT = f"""\
Loaded suite rake_test_loader
Started
Deep::TC_B:\x20
  test: with words: and colon:\t\t\t\t.: (0.000496)
  test_bad:\t\t\t\t\t\tF
{RULE}
Failure: test_bad(Deep::TC_B)
<1> expected but was
<2>
{RULE}
: (0.051425)
  test_note:\t\t\t\t\t\tN
{RULE}
Notification: n [test_note(Deep::TC_B)]
{RULE}
.: (0.009657)
  test_omit:\t\t\t\t\t\tO
{RULE}
Omission: later [test_omit(Deep::TC_B)]
{RULE}
: (0.272631)
Deep::TC_B::Inner:\x20
  test_in:\t\t\t\t\t\t.: (0.011450)
TC_Z:\x20
  test_data[one]:\t\t\t\t\t.: (0.000167)

Finished in 0.361718841 seconds.
"""


def test_test_units_lines() -> None:
    results = parse_minitest(TEST_UNIT)
    assert outcomes(results) == {
        "Deep::TC_B#test: with words: and colon": "passed",
        "Deep::TC_B#test_bad": "failed",
        "Deep::TC_B#test_note": "passed",
        "Deep::TC_B#test_omit": "skipped",
        "Deep::TC_B::Inner#test_in": "passed",
        "TC_Z#test_data[one]": "passed",
    }
    assert "<1> expected but was\n<2>" in message_of(results, "Deep::TC_B#test_bad")


@pytest.mark.parametrize(
    ("command", "kind", "selection", "words"),
    [
        ("ctest --test-dir build", "ctest", "a.b\nc", "ctest --output-junit /t/report -R "
         "'^(a\\.b|c)$' --test-dir build"),
        ("meson test -C build", "meson", "x:slow / skips", "meson test -C build skips"),
        ("vendor/bin/phpunit", "phpunit", r"A\B::c",
         r"phpunit --log-junit /t/report --filter '/^(A\\B::c)$/'"),
        ("bundle exec rspec", "rspec", "spec/a_spec.rb::Sum adds",
         "--out /t/report spec/a_spec.rb -e 'Sum adds'"),
        ("bundle exec rake test", "minitest", "A::B#test_c[1]",
         """export TESTOPTS='-v '"'"'--name=/^(test_c\\[1\\])$/'"'"''\nbundle exec rake test"""),
        ("dotnet test", "dotnet", "A.B.C", "--logger trx --filter FullyQualifiedName=A.B.C"),
        ("python manage.py test shop -v 2", "django", "shop.tests.T.test_a\nshop/tests.py::U",
         "python /t/unittest_report.py /t/report --program manage.py test -v 2 shop.tests.T.test_a"
         " shop.tests.U"),
        ("django-admin test", "django", "", "python3 /t/unittest_report.py /t/report --program "
         "-m django test"),
        ("python3 -m nose2 -v", "nose2", "t.test_a.T.test_b:1", "nose2 --plugin "
         "nose2.plugins.junitxml --junit-xml --junit-xml-path /t/report -v t.test_a.T.test_b:1"),
        ("npx --no-install jasmine", "jasmine", "spec/a.js::Sum (adds)\nspec/b.js",
         "jasmine --reporter=/t/jasmine_report.cjs spec/a.js spec/b.js "
         "--filter='^(?:Sum \\(adds\\))$'"),
        ("npx --no-install uvu -r esm test", "uvu", "test/a.js::Sum > it's",
         """/t/uvu_report.cjs${NODE_OPTIONS:+ $NODE_OPTIONS}" PATCHWRIGHT_CHOSEN_TESTS="""
         """'["test/a.js::Sum > it'"'"'s"]'\nnpx --no-install uvu -r esm test"""),
        ("bun test", "bun", "a.test.ts::Sum adds", "bun test --reporter=junit "
         "--reporter-outfile=/t/report ./a.test.ts -t '^(?:Sum adds)$'"),
        ("deno test -A", "deno", "a_test.ts::outer > two", "deno test --junit-path=/t/report -A "
         "--filter '/^(?:outer|outer > two)$/' a_test.ts"),
        ("npx playwright test -c ct.js", "playwright", "src/a.spec.tsx::Hello greets",
         r"-c ct.js 'src/a\.spec\.tsx' -g '(?:^|\s)(?:Hello greets)(?:\s@\S+)*$'"),
        ("cargo nextest run --workspace", "nextest", "nx tests::works\nnx::it outside",
         "-E '(binary_id(=nx) & test(=tests::works)) | (binary_id(=nx::it) & test(=outside))'"),
        ("sbt test", "sbt", "a.SumSpec#adds 1.5\na.SumSpec#later", "sbt 'testOnly a.SumSpec'"),
        ("sbt -Dx=1 'testOnly a.*'", "sbt", "a.B#c", "sbt -Dx=1 'testOnly a.B'"),
        ("vendor/bin/pest", "pest", r"Tests\SumTest::it adds",
         r"pest --log-junit /t/report --filter '/^(Tests\\SumTest::it adds)$/'"),
        ("php artisan test", "phpunit", "", "php artisan test --log-junit /t/report"),
        ("make && ./tests -r junit -o x.xml", "catch2", "adds, two\nwrong/one",
         r"./tests --reporter junit --out /t/report 'adds\, two,wrong/one,wrong'"),
        ("make check", "other", "g::Sum.Adds\ng::All/P.Goes/0",
         "export GTEST_OUTPUT=xml:/t/googletest/ GTEST_FILTER=Sum.Adds:All/P.Goes/0\n"),
        ("ctest -j2", "ctest", "g::Sum.Adds", "ctest --output-junit /t/report -j2"),
        ("mix test", "exunit", "test/a_test.exs::test adds", "elixir -r /t/exunit_report.exs -S "
         "mix test --formatter PatchwrightReport --formatter ExUnit.CLIFormatter test/a_test.exs "
         "--only 'test:test adds'"),
        ("swift test", "swift", "SumTests.SumTests/testAdds", "swift test --parallel "
         r"--xunit-output /t/report.xml --filter '^SumTests\.SumTests/testAdds(?:$|/)'"),
    ],
)  # fmt: skip
def test_every_runner_is_asked_for_its_own_report_and_for_single_tests(
    command: str, kind: str, selection: str, words: str
) -> None:
    assert kind_of(command) == kind
    assert words in invocation(command, selection, "/t").command


CMAKE = (
    "cmake -S . -B {0} && cmake --build {0} --parallel 2 && "
    "ctest --test-dir {0} --output-on-failure"
)


@pytest.mark.parametrize(
    ("contents", "command"),
    [
        ({"CMakeLists.txt": "project(x)\ninclude(CTest)\n"}, CMAKE.format("build")),
        ({"CMakeLists.txt": "enable_testing()", "build/x.sln": ""}, CMAKE.format("_build")),
        ({"CMakeLists.txt": "project(x)\n"}, None),
        ({"meson.build": "project('x', 'c')"}, None),
        ({"meson.build": "", "tests/meson.build": ""}, "meson setup build && meson test -C build"),
        ({"Gemfile": "", "spec/a_spec.rb": ""}, "bundle exec rspec"),
        ({"Rakefile": "Rake::TestTask.new", "test/a_test.rb": ""}, "rake test"),
        ({"composer.json": '{"require-dev": {"phpunit/phpunit": "^9"}}'}, "vendor/bin/phpunit"),
        ({"CMakeLists.txt": "enable_testing()", "go.mod": ""}, "go test ./..."),
    ],
)
def test_their_projects_are_recognised(contents: dict[str, str], command: str | None) -> None:
    assert detect(sorted(contents), contents) == command


def test_a_run_of_no_test_of_ctest_shows_nothing() -> None:
    assert why_vacuous("ctest --test-dir build", 0, "No tests were found!!!\n")
