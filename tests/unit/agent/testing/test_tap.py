"""Results per test out of what node-tap and tape print."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.testing.runners import invocation, kind_of
from agent.testing.tap import parse_ava, parse_tap

NODE_TAP = """\
TAP version 13
# Subtest: test/range.js
    ok 1 - loads
    # Subtest: parsing
        # Subtest: 1.x > 0
            ok 1 - expect truthy value
            1..1
        ok 1 - 1.x > 0 # time=0.3ms

        # Subtest: a \\# b
            not ok 1 - same
              ---
              found: 1
              source: |
                ok 9 - a line of the test's own text
              ...

            1..1
            # failed 1 test
        not ok 2 - a \\# b # time=2ms

        1..2
    not ok 2 - parsing # time=7ms

    # Subtest: promised
        ok 1 - one
        1..2
        # failed 1 of 2 tests
    not ok 3 - promised # time=1ms

    ok 4 - later # SKIP why
    ok 5 - some day # TODO
    1..5
not ok 1 - test/range.js # time=133ms
  ---
  exitCode: 1
  ...

ok 2 - test/quick.js # time=20ms {
    # Subtest: quick
        ok 1 - x
        1..1
    ok 1 - quick # time=1ms

    1..1
}

not ok 3 - test/broken.js # time=10ms
1..3
"""
TAPE = """\
TAP version 13
# parse()
ok 1 should be equal
not ok 2 should be deeply equivalent
  ---
    operator: deepEqual
    stack: |-
      Error: no
  ...
# outer
# inner
ok 3 should be truthy
ok 4 no way # SKIP
not ok 5 some day # TODO

1..5
# tests 5
# pass  4
# fail  1
"""


def outcomes(text: str) -> dict[str, str]:
    results, _ = parse_tap(text.encode())
    return {result.name: result.outcome for result in results}


def test_node_taps_subtests_are_tests_of_their_file() -> None:
    assert outcomes(NODE_TAP) == {
        "test/range.js::loads": "passed",
        "test/range.js::parsing > 1.x > 0": "passed",
        "test/range.js::parsing > a # b": "failed",
        "test/range.js::promised": "failed",
        "test/quick.js::quick": "passed",
    }
    results, complete = parse_tap(NODE_TAP.encode())
    assert complete and "found: 1" in next(r.message for r in results if "a # b" in r.name)


def test_a_file_that_fails_beside_its_tests_is_an_error() -> None:
    text = NODE_TAP.replace("not ok 3 - promised", "ok 3 - promised")
    assert "test/range.js" not in outcomes(text)
    passing = text.replace("not ok 1 - same", "ok 1 - same").replace("not ok 2 -", "ok 2 -")
    assert outcomes(passing)["test/range.js"] == "error"


def test_tapes_titles_are_tests() -> None:
    assert outcomes(TAPE) == {"parse()": "failed", "inner": "passed"}


def test_output_that_breaks_off_is_not_complete() -> None:
    assert not parse_tap(TAPE.split("\n\n")[0].encode())[1]
    cut = NODE_TAP.partition("        # Subtest: a ")[0]
    assert not parse_tap(cut.encode())[1]
    assert outcomes(cut)["test/range.js::parsing"] == "failed"


@given(st.lists(st.sampled_from(NODE_TAP.splitlines() + TAPE.splitlines()), max_size=40))
def test_no_output_makes_the_parser_crash(lines: list[str]) -> None:
    parse_tap("\n".join(lines).encode())


def test_how_the_runners_are_asked() -> None:
    assert (kind_of("nyc tape 'test/**/*.js'"), kind_of("npx --no-install tap")) == ("tape", "tap")
    assert kind_of("node --test --test-reporter tap") == "node"
    one = "test/a.js::outer > inner\ntest/a.js::other"
    assert invocation("tap -j2", one, "/t").command == "tap --output-file=/t/report -j2 test/a.js"
    piped = invocation("tape test/*.js | tap-spec", "", "/t").command
    assert piped == "set -o pipefail; { tape test/*.js\n} | tee /t/report"


AVA = """\
TAP version 13
ok 1 - b › adds numbers
#   hello
ok 2 - a › later # SKIP
not ok 3 - a › think of it # TODO
not ok 4 - a › is wrong
  ---
    name: AssertionError
    message: sum
    values:
      'Difference (- actual, + expected):': |-
        - 2
        + 3
  ...
ok 5 - a › with a › and - in it # really
not ok 6 - Error: broken module
  ---
    message: broken module
  ...
not ok 7 - test/c.js exited with a non-zero exit code: 1
"""
"""As AVA 5.3 prints it."""


def test_avas_points_are_tests_and_a_file_that_breaks_is_an_error() -> None:
    results, complete = parse_ava(f"{AVA}\n1..5\n# tests 5\n".encode())
    assert complete
    assert {r.name: r.outcome for r in results} == {
        "b › adds numbers": "passed",
        "a › later": "skipped",
        "a › think of it": "skipped",
        "a › is wrong": "failed",
        "a › with a › and - in it # really": "passed",
        "Error: broken module": "failed",
        "test/c.js": "error",
    }
    assert "message: sum" in next(r.message for r in results if r.name == "a › is wrong")
    assert not parse_ava(AVA.encode())[1]


def test_ava_is_asked_for_files_and_titles() -> None:
    call = invocation("c8 npx --no-install ava", "test/c.js\na › is *wrong*", "/tmp/tests-1")
    assert kind_of("c8 npx --no-install ava") == "ava"
    assert "ava --tap test/c.js --match='is *wrong*'\n}" in call.command
    assert call.format == "ava"
