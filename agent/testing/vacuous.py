"""Runs in which no test ran: they end badly or well, and show nothing of the code."""

from __future__ import annotations

import re

from agent.testing.runners import Kind, kind_of

_OF_MANY_WORDS: tuple[Kind, ...] = (
    *("ctest", "meson", "phpunit", "rspec", "minitest", "dotnet", "pest", "catch2", "exunit"),
    "swift",
)
"""Runners whose words are looked for in all of their outputs."""

_SAYS: tuple[tuple[frozenset[Kind], str], ...] = (
    (
        frozenset({"pytest", "tox"}),
        r"^=* ?no tests (?:ran|collected)|^ERROR: (?:not found: |file or directory not found|"
        r"found no collectors for)|^ERROR: Wrong expression passed to '-k'|no match in any of \["
        r"|error: unrecognized arguments|^=* ?\d+ deselected(?:, \d+ warnings?)? in",
    ),
    (
        frozenset({"unittest", "django", "nose2"}),
        r"^NO TESTS RAN|^Ran 0 tests in|"
        r"^AttributeError: (?:module|type object) '[^'\n]+' has no attribute '[^'\n]+'$",
    ),
    (
        frozenset({"jest"}),
        r"^No tests found|^Tests:\s+(?:\d+ skipped, )?0 total|^Test Suites: 0 of|"
        r"^Tests:\s+(\d+) skipped, \1 total",
    ),
    (
        frozenset({"vitest"}),
        r"No test files found|No test suite found|No test found in suite|^[^\S\n]*Tests\s+no tests"
        r"|^[^\S\n]*Tests\s+(\d+) skipped \(\1\)",
    ),
    (frozenset({"mocha"}), r"No test files found|^[^\S\n]*0 passing"),
    (
        frozenset({"node"}),
        r"^[#ℹ] tests 0$|Could not find '|^[#ℹ] pass 0$",
    ),
    (
        frozenset({"tap", "tape", "ava"}),
        r"^1\.\.0(?:\s|$)|no tests specified|^# tests 0$|^- \S+/tape/bin/tape$"
        r"|ENOENT: no such file or directory, stat '"
        r"|Couldn[’']t find any (?:files to test|matching tests)",
    ),
    (
        frozenset({"jasmine", "uvu", "bun", "deno", "playwright"}),
        r"^No specs found|did not match any test files|^error: regex .{1,1000} matched 0 tests"
        r"|^error: No test modules found|\| 0 passed(?: \(\d+ steps?\))? \| 0 failed"
        r"|^Error: No tests found|^0 specs, 0 failures|No tests found!$|^  Total:     0\b",
    ),
    (
        frozenset({"go"}),
        r"no test files\]?$|no tests to run|matched no packages|directory not found|"
        r"\[setup failed\]|go\.mod file not found",
    ),
    (
        frozenset({"cargo", "nextest"}),
        r"no test target named|^running 0 tests$|could not find `Cargo.toml`|"
        r"^error: no tests to run",
    ),
    (
        frozenset({"maven", "gradle", "sbt"}),
        r"No tests were executed|No tests found for given includes|No tests matching pattern|"
        r"No tests to run",
    ),
    (
        frozenset({"other", *_OF_MANY_WORDS}),
        r"^No tests executed!|^No tests found|^Test file \"[^\"]*\" not found|^Cannot open file \"|"
        r"^No examples found|^0 examples, 0 failures|An error occurred while loading|"
        r"^LoadError:|cannot load such file|^Could not find test|No test files? found|"
        r"^no tests? (?:ran|found|defined)|^No tests were found!!!|^Total tests: 0|"
        r"No test is available in|INFO\s+No tests found|"
        r"^\[==========\] 0 tests from 0 test (?:suites|cases) ran|^No tests ran|"
        r"^The --only option was given to \"mix test\" but no test was executed|"
        r"^Paths given to \"?mix test\"? did not match|^There are no tests to run|"
        r"No matching test cases were run|"
        r"^1\.\.0(?:\s|$)",
    ),
)
"""What runners print when nothing ran: pytest, unittest, Jest, Vitest, Mocha, Node, node-tap,
tape, AVA, Jasmine, uvu, Bun, Deno, Playwright, Go, Cargo, nextest, Maven, Gradle, sbt; PHPUnit,
RSpec, Minitest, .NET, CTest, Pest, GoogleTest, Catch2, ExUnit, Swift and TAP at the end."""

_LATER: dict[str, tuple[str, str, bool]] = {
    **dict.fromkeys(("unittest", "django"), ("AttributeError", r"^Ran 1 test in", True)),
    "mocha": ("0 passing", r"^[^\S\n]*[1-9]\d* failing", False),
    "node": ("pass 0", r"^[#ℹ] fail 0$", True),
    "cargo": ("running 0", r"^running [1-9]", False),
}
"""By kind: which of these words count only if a line does, or does not, follow somewhere."""

_SOME_RAN: dict[str, str] = {
    "pytest": r"^.*\b\d+ (?:passed|failed)\b",
    **dict.fromkeys(
        ("unittest", "django"),
        r"^FAIL: |\A(?>[\s\S]*?^Ran [1-9]\d* tests?)[\s\S]*failures=",
    ),
    "go": r"^[^\S\n]*--- FAIL|^panic: |^FAIL\s+\S+\s+(?:[\d.]+s|\[build failed\])",
    "jest": r"^Tests:.*\b\d+ (?:passed|failed)\b",
    "vitest": r"^[^\S\n]*Tests\s.*\b\d+ (?:passed|failed)\b",
    "mocha": r"^[^\S\n]*[1-9]\d* (?:passing|failing)",
    "node": r"^[#ℹ] (?:pass|fail) [1-9]",
    "tape": r"^(?:not )?ok 1\b",
    "uvu": r"^  Total:     [1-9]",
    "ava": r"^(?:not )?ok 1\b",
    "cargo": r"^test \S+ \.\.\. (?:ok|FAILED)",
    "nextest": r"^\s+(?:PASS|FAIL) \[",
    "other": r"^\[==========\] Running [1-9]",
}
"""What shows that tests ran nonetheless; a word of theirs may be in what a test prints."""

_PYTEST_STATUS = {4: "the tests that it names cannot be found or started", 5: "it finds no test"}


def why_vacuous(command: str, exit_code: int | None, output: str) -> str:
    """Why a run of tests shows nothing: none was collected, or the named one is not there.

    Empty where tests ran, or where the command is no run of tests and prints nothing of the kind.
    """
    kind = kind_of(command)
    if kind == "pytest" and exit_code in _PYTEST_STATUS:
        return _PYTEST_STATUS[exit_code]
    some = _SOME_RAN.get(kind)
    if some is not None and re.search(some, output, re.M):
        return ""
    if kind == "unittest" and (missing := _no_module(command, output)):
        return f"no test ran ({missing})"
    for kinds, pattern in _SAYS:
        if kind not in kinds:
            continue
        word, later, wanted = _LATER.get(kind, ("", "", True))
        # Once for all: a search from each match on would take the square of a hostile output.
        last = max((f.start() for f in re.finditer(later, output, re.M)), default=-1) if word else 0
        for found in re.finditer(pattern, output, re.M):
            if word and word in found[0] and (last > found.start()) is not wanted:
                continue
            line = output[output.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0]
            return f"no test ran ({line.strip()[:160]})"
    return ""


def _no_module(command: str, output: str) -> str:
    """What says that the module named in a unittest command does not exist."""
    for found in re.finditer(r"^ModuleNotFoundError: No module named '([^']+)'$", output, re.M):
        if re.search(rf"(?<![\w.]){re.escape(found[1])}(?![\w])", command):
            return found[0]
    return ""
