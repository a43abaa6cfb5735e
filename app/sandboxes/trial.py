"""One run of the suite in a prepared environment, on the unchanged tree, and what it says.

What a run said is kept in the state folder under all that decides it: image, tree, repository,
command. So an environment is tried once, and the attempts of a run begin with its results.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from agent.model import Record
from agent.testing.detect import python_tests
from agent.testing.junit import cut
from agent.testing.readiness import Readiness, judge_suite, own_modules
from agent.testing.report import SuiteRun
from agent.testing.suite import NoTests, find_test_command, list_files, run_suite
from app.storage.atomic_file import write_atomically
from sandbox.protocol import WORKDIR, Sandbox

FOLDER = "trials"
"""Of the state folder."""
_FORMAT = 1
"""Goes up whenever a run is judged in another way."""
_MOST_BYTES = 64 * 1024**2
_SHOWN_CHARS = 20_000


class Trial(Record):
    """What one run of the suite gave."""

    command: str
    run: SuiteRun
    readiness: Readiness


async def try_suite(
    open_sandbox: Callable[[], Awaitable[Sandbox]], test_command: str, timeout_s: float
) -> Trial | None:
    """Run the suite in a fresh sandbox; None where the repository has no tests that can be found.

    An empty `test_command` is found out. Raises `SandboxError`.
    """
    sandbox = await open_sandbox()
    try:
        files = await list_files(sandbox)
        command = test_command or await find_test_command(sandbox)
        functions = await _test_functions(sandbox, python_tests(files))
        run = await run_suite(sandbox, command, "", timeout_s)
    except NoTests:
        return None
    finally:
        await sandbox.close()
    return Trial(
        command=command, run=run, readiness=judge_suite(run, functions, own_modules(files))
    )


async def _test_functions(sandbox: Sandbox, tests: Sequence[str]) -> int:
    """How many test functions these files define."""
    listed = "\n".join(tests)
    found = await sandbox.run(
        f"cd {WORKDIR} && printf %s {shlex.quote(listed)} | tr '\\n' '\\0' | "
        "xargs -0 -r grep -hcE '^[[:space:]]*(async[[:space:]]+)?def test' --"
    )
    return sum(int(line) for line in found.text.split() if line.isdecimal() and len(line) < 7)


class KeptTrials:
    """What trials gave, as files in a folder."""

    def __init__(self, folder: Path, *decided_by: str) -> None:
        """`decided_by`: what decides the results besides image and command: tree, repository."""
        self._folder = folder
        self._decided_by = decided_by

    def load(self, image: str, command: str) -> Trial | None:
        """What was kept for an image (its content's id); None where there is nothing to trust."""
        path = self._path(image, command)
        try:
            if path.stat().st_size > _MOST_BYTES:
                return None
            return Trial.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None

    def keep(self, image: str, command: str, trial: Trial) -> None:
        """Keep it, unless it reached its time limit, which another day may not."""
        if trial.run.timed_out:
            return
        results = tuple(
            result.model_copy(update={"message": cut(result.message)})
            for result in trial.run.results
        )
        run = trial.run.model_copy(
            update={"results": results, "output": cut(trial.run.output, _SHOWN_CHARS), "parts": ()}
        )
        whole = trial if trial.run.parts else trial.model_copy(update={"run": run})
        path = self._path(image, command)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, whole.model_dump_json())

    def _path(self, image: str, command: str) -> Path:
        parts = json.dumps([_FORMAT, image, command, *self._decided_by])
        return self._folder / f"{hashlib.sha256(parts.encode()).hexdigest()[:32]}.json"
