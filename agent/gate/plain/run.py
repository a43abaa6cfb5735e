"""A plain run: the reproduction and the tests of touched modules, as programs of their own.

Each runs without a test runner in the process, with other arguments, environment and user name, and
with its output in a file. What fails with a patch is run without it in the same way, as a control:
only a difference that the patch makes is held against it, so that tests which need their runner say
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from agent.gate.plain.go import run_go
from agent.gate.plain.java import run_java
from agent.gate.plain.javascript import run_javascript
from agent.gate.plain.python import run_python
from agent.gate.plain.records import PlainOutcome, PlainTests
from agent.gate.plain.rust import run_rust
from agent.gate.scope import Touched
from sandbox.protocol import Sandbox


def nearby_tests(touched: Sequence[Touched]) -> tuple[str, ...]:
    """Tests that speak for what a patch touches: those of its modules, then those of its packages.

    Of a package are, where nothing imports a single file (Go, Java), tests in a folder of the same
    name, and in Rust those beside the crate's sources.
    """
    found = [test for one in touched for test in (*one.named, *one.importing)]
    for one in touched:
        package = PurePosixPath(one.path).parent.parts[-2:]
        for test in one.of_project:
            folder = PurePosixPath(test).parent
            same = one.path.endswith((".go", ".java")) and folder.parts[-2:] == package
            if same or (one.path.endswith(".rs") and folder.name == "tests"):
                found.append(test)
    return tuple(dict.fromkeys(found))


async def run_plain(sandbox: Sandbox, tests: PlainTests) -> dict[str, PlainOutcome]:
    """The outcome of each test by its name, in every language that has a program for it."""
    found: dict[str, PlainOutcome] = {}
    for run in (run_python, run_javascript, run_go, run_rust, run_java):
        found |= await run(sandbox, tests)
    return found
