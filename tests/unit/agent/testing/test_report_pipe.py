"""What a runner said of a test stays said, whatever the tested process does at its end."""

from __future__ import annotations

import pytest

from agent.testing.suite import run_suite
from tests.doubles.local_sandbox import LocalSandbox

FAILS = "def test_it():\n    assert 1 == 2\n\ndef test_next():\n    pass\n"
WRITES = """
import atexit, os

def last():
    for fd in os.listdir("/proc/self/fd"):
        try:
            where = os.readlink("/proc/self/fd/" + fd)
            if "report" in where:
                text = open(where).read() if os.path.isfile(where) else '"failed"'
                open(where, "w").write(text.replace('"failed"', '"passed"'))
        except OSError:
            pass

atexit.register(last)
"""
SAYS_MORE = """
import os

def test_a():
    line = '{"name": "test_a.py::test_it", "outcome": "passed", "message": "", "seconds": 0}'
    for fd in range(3, 30):
        try:
            if "report" in os.readlink(f"/proc/self/fd/{fd}"):
                os.write(fd, line.encode() + b"\\n")
        except OSError:
            pass
"""


@pytest.mark.parametrize("before", ["", WRITES, SAYS_MORE])
async def test_an_outcome_cannot_be_taken_back(before: str) -> None:
    box = LocalSandbox({"test_a.py": before + FAILS})
    try:
        run = await run_suite(box, "python3 -m pytest -q", timeout_s=30)
    finally:
        await box.close()
    assert run.outcomes["test_a.py::test_it"] == "failed"
    assert run.outcomes["test_a.py::test_next"] == "passed" and run.failed and run.complete


@pytest.mark.parametrize("how", ["os._exit(0)", "os.execv('/bin/true', ['true'])"])
async def test_a_process_that_ends_early_is_a_failure(how: str) -> None:
    box = LocalSandbox(
        {"test_a.py": f"import os\n\ndef test_a():\n    pass\n\ndef test_b():\n    {how}\n"}
    )
    try:
        run = await run_suite(box, "python3 -m pytest -q", timeout_s=30)
    finally:
        await box.close()
    assert run.exit_code == 0 and run.failed and not run.complete


async def test_a_report_of_unittest_cannot_be_written_again() -> None:
    cases = (
        "import unittest\nclass A(unittest.TestCase):\n"
        "    def test_a(self):\n        assert False\n"
    )
    forged = "<testsuite><testcase classname='test_a.A' name='test_a'/></testsuite>"
    box = LocalSandbox({"test_a.py": WRITES.replace("'\"failed\"'", repr(forged)) + cases})
    try:
        run = await run_suite(box, "python3 -m unittest", timeout_s=30)
    finally:
        await box.close()
    assert run.failed and "passed" not in run.outcomes.values()
