"""A set-up that fails, repaired by the model: commands are tried until the tests run.

What works is kept in the state folder, for the repository's next runs as long as its manifests are
the same, and proposed for `.github/patchwright.yml`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agent.errors import ModelError
from agent.journal.events import SetupTried
from agent.model import Model
from agent.setup_repair import FailedSetup, TryResult, propose_setup
from agent.testing.suite import NoTests, cannot_start, find_test_command, run_suite
from app.storage.atomic_file import write_atomically
from app.telemetry import logs
from sandbox.environment.choose import EnvironmentSettings, candidates
from sandbox.environment.records import Environment
from sandbox.protocol import Sandbox
from sandbox.setup.records import PreparedEnvironment, SetupFailed

SOURCE = "commands that the model found"

_log = logs.get(__name__)


def is_found_by_model(source: str) -> bool:
    """Whether a model chose an environment's commands, by its source."""
    return source.startswith(SOURCE)


@dataclass(frozen=True, slots=True)
class SetupRepairer:
    """The model that repairs a set-up, and how often it may try."""

    model: Callable[[], Model]
    tries: int
    note: Callable[[SetupTried], None] = lambda _: None
    test_command: str = ""
    """Empty: found out from the repository."""
    test_timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class RepairContext:
    """A repository's tree, and how set-ups are tried on it."""

    files: tuple[str, ...]
    texts: Mapping[str, str]
    prepare: Callable[[Environment], Awaitable[PreparedEnvironment]]
    """Raises `SetupFailed`."""
    open: Callable[[str], Awaitable[Sandbox]]
    """A sandbox with the tree, from an image."""


def environment_of(context: RepairContext, commands: tuple[str, ...]) -> Environment:
    """The commands as an environment, made just as if they stood in the repository's settings."""
    requested = candidates(context.files, context.texts, EnvironmentSettings(setup=commands))[0]
    return replace(requested, source=SOURCE)


async def repair_setup(
    repairer: SetupRepairer, context: RepairContext, failed: tuple[SetupFailed, ...]
) -> PreparedEnvironment | None:
    """An environment in which the tests run; None when the model found none."""

    async def attempt(commands: tuple[str, ...]) -> TryResult:
        try:
            prepared = await context.prepare(environment_of(context, commands))
        except SetupFailed as failure:
            return TryResult(False, f"{failure.log}\n{failure}")
        return await _tests_run(repairer, context, prepared)

    broken = FailedSetup(
        failures=tuple(f"{failure.log}\n{failure}" for failure in failed),
        files=context.files,
        texts=tuple(context.texts.items()),
    )
    model = repairer.model()
    try:
        commands = await propose_setup(
            model, broken, attempt, tries=repairer.tries, note=repairer.note
        )
    except ModelError as problem:
        _log.warning("a set-up was not fixed", why=str(problem))
        return None
    finally:
        await model.close()
    if commands is None:
        return None
    found = replace(environment_of(context, commands), explicit=False)
    return replace(await context.prepare(found), failed=failed, cached=False)


async def _tests_run(
    repairer: SetupRepairer, context: RepairContext, prepared: PreparedEnvironment
) -> TryResult:
    box = await context.open(prepared.image)
    try:
        command = repairer.test_command or await find_test_command(box)
        run = await run_suite(box, command, "", repairer.test_timeout_s)
    except NoTests as none:
        return TryResult(False, f"Set-up succeeded, but: {none}")
    finally:
        await box.close()
    if cannot_start(run):
        return TryResult(False, f"Set-up succeeded, but `{command}` does not run:\n{run.output}")
    return TryResult(True, f"It works: `{command}` ran {len(run.results)} tests.")


def save_recipe(
    folder: Path, repository: str, texts: Mapping[str, str], commands: Environment
) -> None:
    """Keep a recipe for the repository's next runs."""
    path = _path(folder, repository)
    steps = [step.command for step in commands.steps if step.root]
    write_atomically(path, json.dumps({"manifests": _digest(texts), "commands": steps}))


def saved_recipe(folder: Path, repository: str, texts: Mapping[str, str]) -> tuple[str, ...]:
    """The commands kept for a repository whose manifests are the same; none else."""
    try:
        kept = json.loads(_path(folder, repository).read_text("utf-8"))
        if kept["manifests"] == _digest(texts):
            return tuple(str(command) for command in kept["commands"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return ()


def _path(folder: Path, repository: str) -> Path:
    return folder / "recipes" / f"{hashlib.sha256(repository.encode()).hexdigest()[:32]}.json"


def _digest(texts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(texts.items())).encode()).hexdigest()
