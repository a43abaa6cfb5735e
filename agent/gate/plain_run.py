"""Whether code behaves as in its tests where nothing says that it is tested.

With the patch, the reproduction and the tests of touched modules run once more as a plain program:
without a test runner in the process, with another argument vector and environment, into a file.
What fails there is run without the patch in the same way, as a control: only a difference that the
patch makes is held against it, so that tests which need their runner say nothing.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from typing import Literal

from agent.gate.sandboxed.plain_tests import ELSEWHERE
from agent.journal.events import Check
from agent.model import Record
from agent.testing.paths import is_test
from sandbox.protocol import WORKDIR, Sandbox

PLAIN = "plain run"
"""Name of the check."""
TOTAL_S = 20.0
"""For all tests of one such run; what is not reached by then says nothing."""
LIMIT_S = 10.0
"""Of processor time for one file."""
MOST_FILES = 12
_SCRIPT = re.compile(r"\s*(?:\S*/)?python[\d.]*\s+(?:-[BEIsu]+\s+)*(\S+\.py)\s*")
_ENDINGS = (".py",)
_OF_FILES = frozenset({"FileNotFoundError", "NotADirectoryError", "OSError"})
"""What a test raises in another folder if it names its files from its own."""


class PlainOutcome(Record):
    """What a test did as a plain program."""

    outcome: Literal["passed", "failed", "left out"]
    raised: str = ""
    """Name of the exception's class."""
    line: int = 0
    """The inmost line of the test's own file in the traceback; 0: none."""


class PlainJob(Record):
    """What is run: test files of the tree, and a reproduction that is a script."""

    files: tuple[str, ...]
    scripts: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    """Those of them that run once more in another folder: the reproduction's own."""


def plain_job(command: str, declared: Collection[str], tests: Sequence[str]) -> PlainJob | None:
    """The job for a reproduction (its command and its files) and further test files.

    None where there is nothing to run so: another language, no test in Python.
    """
    script = _SCRIPT.fullmatch(command)
    scripts = [script[1]] if script is not None and script[1] in declared else []
    own = [p for p in declared if p.endswith(_ENDINGS) and is_test(p) and p not in scripts]
    others = [p for p in tests if p.endswith(_ENDINGS) and p not in own]
    files = tuple([*own, *others][:MOST_FILES])
    if not files and not scripts:
        return None
    return PlainJob(files=files, scripts=tuple(scripts), elsewhere=(*scripts, *own))


async def run_plainly(sandbox: Sandbox, job: PlainJob) -> dict[str, PlainOutcome]:
    """The outcome of each test by its name; what could not be run so is missing."""
    mark = secrets.token_hex(16)
    folder = f"/tmp/{secrets.token_hex(6)}"  # noqa: S108 - inside the sandbox
    text = resources.files("agent.gate.sandboxed").joinpath("plain_tests.py").read_bytes()
    said = {
        "mark": mark,
        "total_s": TOTAL_S,
        "limit_s": LIMIT_S,
        "files": [_whole(path) for path in job.files],
        "scripts": [_whole(path) for path in job.scripts],
        "elsewhere": [_whole(path) for path in job.elsewhere],
    }
    await sandbox.write(f"{folder}/plain.py", text)
    start = (
        f"import json, sys; sys.path.insert(0, {folder!r}); import plain; "
        f"sys.path.remove({folder!r}); plain.main(json.load(sys.stdin))"
    )
    ran = await sandbox.run(
        f"cd {WORKDIR} && printf %s {shlex.quote(json.dumps(said))} | "
        f'env -i PATH="$PATH" HOME={folder} USER=visitor LOGNAME=visitor LANG=C.UTF-8 '
        f'PYTHONPATH="$PYTHONPATH" PYTHONPYCACHEPREFIX={folder}/cache PYTHONHASHSEED=0 '
        f"python3 -c {shlex.quote(start)}",
        timeout_s=TOTAL_S + 30,
    )
    return read_outcomes(ran.text, mark)


def _whole(path: str) -> str:
    return path if path.startswith("/") else f"{WORKDIR}/{path}"


def read_outcomes(text: str, mark: str) -> dict[str, PlainOutcome]:
    """The lines that carry the mark of this run."""
    found = {}
    for line in text.split("\n"):
        head, _, rest = line.partition(" ")
        if head != mark:
            continue
        try:
            name, outcome, raised, number = json.loads(rest)
            seen = PlainOutcome(outcome=outcome, raised=raised, line=number)
        except ValueError:
            continue
        found[str(name).removeprefix(f"{WORKDIR}/")] = seen
    return found


def failing(outcomes: Mapping[str, PlainOutcome]) -> tuple[str, ...]:
    """The tests that failed."""
    return tuple(name for name, seen in outcomes.items() if seen.outcome == "failed")


def plain_check(
    declared: Collection[str],
    base: Mapping[str, PlainOutcome],
    patched: Mapping[str, PlainOutcome],
    base_output: str,
) -> Check:
    """What the outcomes as a plain program say, without and with the patch.

    `declared`: the reproduction's files, which passes with the patch where its runner runs it;
    `base_output`: what it printed there without the patch. It counts only if it failed as a plain
    program at the same line, so that the bug is what was seen, and it still fails there.
    """
    broken, still = [], []
    for name in failing(patched):
        before, after = base.get(name), patched[name]
        if before is None or (name.endswith(ELSEWHERE) and before.raised in _OF_FILES):
            continue
        path = name.partition("::")[0]
        if before.outcome == "passed":
            broken.append(name)
        elif path in declared and before.outcome == "failed" and before.line == after.line:
            place = re.compile(rf"{re.escape(path)}(?:\"?, line |:){before.line}\b")
            if before.line and before.raised in base_output and place.search(base_output):
                still.append(name)
    said = []
    if still:
        said.append(
            f"As a plain program, without a test runner, {_list(still)} still fails with the "
            "patch: the code does something else when it is tested."
        )
    if broken:
        said.append(
            f"As a plain program, without a test runner, {_list(broken)} passes without the patch "
            "and fails with it."
        )
    count = sum(seen.outcome == "passed" for seen in patched.values())
    return Check(
        name=PLAIN,
        ok=not said,
        detail=" ".join(said) or f"{count} tests pass as a plain program as well.",
    )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
