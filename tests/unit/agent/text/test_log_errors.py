"""Where logs of many tools first speak of a failure."""

from __future__ import annotations

import pytest

from agent.text.log_errors import bare, first_error

QUIET = [
    "collected 12 items",
    "tests/test_a.py ............ [100%]",
    "12 passed, 0 errors in 0.1 s",
    "Downloading https://example.org/error-pages.tgz",
    "checking for errors: no errors found",
    "ok  \texample.com/shop\t0.012s",
    "test a::ok ... ok",
    "[INFO] Tests run: 3, Failures: 0, Errors: 0",
    "added 12 packages in 2s",
    "",
]


def test_a_log_without_errors_has_no_first_error() -> None:
    assert first_error(QUIET) is None


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "E   assert 1 == 2",
        "FAILED tests/test_a.py::test_b - assert 1 == 2",
        "FAIL: test_two (test_calc.DoubleTest)",
        "panic: runtime error: index out of range [3]",
        "--- FAIL: TestTotal (0.00s)",
        "thread 'main' panicked at src/basket.rs:12:9:",
        "error[E0308]: mismatched types",
        "test basket::total ... FAILED",
        'Exception in thread "main" java.lang.NullPointerException: price',
        "\tat com.acme.shop.Basket.total(Basket.java:31)",
        "[ERROR] Tests run: 1, Failures: 1",
        "TypeError: Cannot read properties of undefined (reading 'price')",
        "    at total (/srv/web/lib/basket.js:10:15)",
        "  ● basket › adds up",
        "not ok 3 - adds up",
        "npm ERR! code ELIFECYCLE",
        "src/basket.c:12:5: error: expected ';'",
        "lib/basket.ts(3,5): error TS2322: Type 'string' is not assignable",
        "make: *** [Makefile:3: test] Error 1",
        "fatal: not a git repository",
        "##[error]Process completed with exit code 1.",
        "Segmentation fault (core dumped)",
        "bash: pytest: command not found",
    ],
)
def test_each_sign_is_seen_plain_stamped_and_coloured(line: str) -> None:
    stamp = "2026-05-04T10:11:12.3456789Z "
    for written in (
        line,
        stamp + line,
        f"\x1b[31m{line}\x1b[0m",
        f"{stamp}\x1b[1;31m{line}\x1b[m\r",
    ):
        assert bare(written) == line
        assert first_error([*QUIET, written, "the end"]) == len(QUIET), written
