"""A plain run: the reproduction and the tests of touched modules, as programs of their own.

Each runs without a test runner in the process, with other arguments, environment and user name, and
with its output in a file. What fails with a patch is run without it in the same way, as a control:
only a difference that the patch makes is held against it, so that tests which need their runner say
nothing.
"""

from __future__ import annotations

from agent.gate.plain.go import run_go
from agent.gate.plain.java import run_java
from agent.gate.plain.javascript import run_javascript
from agent.gate.plain.python import run_python
from agent.gate.plain.records import PlainOutcome, PlainTests
from agent.gate.plain.rust import run_rust
from sandbox.protocol import Sandbox


async def run_plain(sandbox: Sandbox, tests: PlainTests) -> dict[str, PlainOutcome]:
    """The outcome of each test by its name, in every language that has a program for it."""
    found: dict[str, PlainOutcome] = {}
    for run in (run_python, run_javascript, run_go, run_rust, run_java):
        found |= await run(sandbox, tests)
    return found
