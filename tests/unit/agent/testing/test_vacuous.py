"""Runs in which no test ran, told from those in which one failed."""

from __future__ import annotations

import time

import pytest

from agent.testing.vacuous import why_vacuous


@pytest.mark.parametrize(
    ("command", "exit_code", "output"),
    [
        ("python3 -m pytest a.py::test_b", 4, "ERROR: not found: /w/a.py::test_b\n"),
        ("python3 -m pytest -k test_b", 5, "2 deselected in 0.01s\n"),
        ("sh -c 'pytest a.py | cat; exit 1'", 1, "no tests ran in 0.01s\n"),
        ("python3 -m unittest t.gone", 1, "ModuleNotFoundError: No module named 't.gone'\n"),
        (
            "python3 -m unittest t.A.test_b",
            1,
            "AttributeError: type object 'A' has no attribute 'test_b'\n\nRan 1 test in 0.0s\n",
        ),
        ("python3 -m unittest discover", 5, "Ran 0 tests in 0.000s\n\nNO TESTS RAN\n"),
        ("npx jest -t test_b", 1, "No tests found, exiting with code 1\n"),
        ("npx jest a -t b", 1, "Tests:       3 skipped, 3 total\n"),
        ("npx vitest run x", 1, "No test files found, exiting with code 1\n"),
        ("npx mocha spec/x.js", 1, 'Error: No test files found: "spec/x.js"\n'),
        ("npx mocha -g b; exit 1", 1, "\n  0 passing (1ms)\n"),
        ("node --test x.js", 1, "Could not find '/w/x.js'\n"),
        ("npx tap", 1, "not ok 1 - no tests specified\n"),
        ("npx tape x/*.js; false", 1, "TAP version 13\n\n1..0\n# tests 0\n"),
        ("go test ./... && exit 1", 1, "?   \tx/y\t[no test files]\n"),
        ("go test -run TestB ./x; false", 1, "ok  \tx\t0.01s [no tests to run]\n"),
        ("cargo test gone; false", 1, "running 0 tests\n\ntest result: ok. 0 passed\n"),
        ("cargo test --test gone", 101, "error: no test target named `gone`\n"),
        ("vendor/bin/phpunit --filter gone", 1, "No tests executed!\n"),
        ("bundle exec rspec spec/gone_spec.rb", 1, "An error occurred while loading ./spec/gone\n"),
        ("mvn -Dtest=Gone test", 1, "[ERROR] No tests were executed!\n"),
    ],
)
def test_a_run_without_a_test_shows_nothing(command: str, exit_code: int, output: str) -> None:
    assert why_vacuous(command, exit_code, output), output


@pytest.mark.parametrize(
    ("command", "exit_code", "output"),
    [
        ("python3 -m pytest a.py", 1, "E  assert 1 == 2\n1 failed in 0.01s\n"),
        ("python3 -m pytest a.py", 1, "no tests ran in our lab\n1 failed, 2 deselected in 0.1s\n"),
        ("python3 -m pytest a.py", 2, "E   ImportError: cannot import name 'x'\n1 error in 0.1s\n"),
        ("python3 -m unittest t", 1, "FAIL: test_a (t.A)\nRan 1 test in 0s\nFAILED (failures=1)\n"),
        ("python3 -m unittest t", 1, "ERROR: test_a (t.A)\nAttributeError: 'A' object has no x\n"),
        ("npx jest", 1, "Tests:       1 failed, 2 skipped, 3 total\n"),
        ("npx mocha", 1, "  0 passing (1ms)\n  1 failing\n"),
        ("go test ./...", 1, "?  \ta\t[no test files]\n--- FAIL: TestB (0.00s)\nFAIL\tx\t0.01s\n"),
        ("cargo test", 101, "running 0 tests\n\nrunning 1 test\ntest a ... FAILED\n"),
        ("python3 /tmp/show.py", 1, "AssertionError: 449\n"),
        ("./run.sh", 1, "expected 3 results, found none\n"),
    ],
)
def test_a_run_with_a_failed_test_is_not_vacuous(command: str, exit_code: int, output: str) -> None:
    assert why_vacuous(command, exit_code, output) == "", output


@pytest.mark.parametrize(
    ("command", "piece"),
    [
        ("pytest", "="),
        ("python -m unittest", "Ran 1 test\n"),
        ("python -m unittest", "AttributeError: module 'a' has no attribute 'b'\n"),
        ("node --test", "# pass 0\n"),
        ("npx mocha", "0 passing\n"),
        ("cargo test", "running 0 tests\n"),
        ("go test ./...", "\n"),
    ],
)
def test_a_long_hostile_output_takes_no_time(command: str, piece: str) -> None:
    output = piece * (500_000 // len(piece))
    begun = time.process_time()
    why_vacuous(command, 1, output)
    assert time.process_time() - begun < 2
