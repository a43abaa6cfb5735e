"""The environment of a repository in a folder of this machine, for `fix` and `eval`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from agent.journal.events import SetupTried
from agent.task import GatePolicy
from app.llm.factory import make_model
from app.repo_config.effective import EffectiveConfig, effective_config
from app.repo_config.parser import read_repo_config
from app.repo_config.schema import PATH
from app.sandboxes.docker_environments import DockerEnvironments
from app.sandboxes.environment import environment_request, image_for
from app.sandboxes.setup_repair import SetupRepairer, is_found_by_model
from app.sandboxes.trial import Trial
from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.environment.tree import read_tree
from sandbox.setup.records import proposal


def local_repairer(
    settings: Settings, run_id: str, note: Callable[[SetupTried], None]
) -> SetupRepairer | None:
    """The model of the settings to repair set-ups with; None without a model that could."""
    if settings.profile == "offline" or settings.setup_tries == 0:
        return None
    return SetupRepairer(
        model=lambda: make_model(settings, run_id=run_id, looking=True),
        tries=settings.setup_tries,
        note=note,
        test_timeout_s=settings.test_timeout_s,
    )


def describe_attempt(tried: SetupTried) -> str:
    """A try, for a terminal."""
    outcome = "it works" if tried.ok else "it does not work"
    lines = [f"Set-up, try {tried.number}: {tried.why}", *(f"  {c}" for c in tried.commands)]
    return "\n".join([*lines, f"  {outcome}"])


@dataclass(frozen=True, slots=True)
class LocalEnvironment:
    """What a tree's own files say about how it is tried."""

    image: str = ""
    """Empty: the plain one."""
    test_command: str = ""
    """Of its `.github/patchwright.yml`; empty: found out from the repository."""
    recipe: str = ""
    """What to put into that file to keep this environment; empty: nothing."""
    policy: GatePolicy = GatePolicy()  # noqa: RUF009 - frozen
    """What a patch may be, by the same file."""
    degraded: str = ""
    """Why the environment is less than the tree needs, in sentences; empty: it is not."""
    speaks_in_part: bool = False
    """Whether its tests, though degraded, speak for what they reach."""
    made_by_model: bool = False
    """Whether a model chose the commands of its set-up."""
    trial: Trial | None = None
    """What the suite did in it; None: it was not run."""
    network_away: bool = False
    """The network failed a set-up that might have worked: this is not the tree's environment."""


def config_of_tree(
    settings: Settings, tree: Path, say: Callable[[str], None], test_command: str = ""
) -> EffectiveConfig:
    """What a tree's own `.github/patchwright.yml` asks for, and `test_command` before it.

    `say` is told what is wrong in the file.
    """
    text = read_tree(tree, lambda _: (PATH,)).texts.get(PATH)
    found = read_repo_config(text.encode() if text else None, None)
    for problem in found.problems:
        say(f"{PATH}, line {problem.line}: {problem.reason}")
    config = effective_config(settings, found.config)
    return replace(config, test_command=test_command) if test_command else config


async def prepare_local_environment(
    engine: DockerEngine,
    settings: Settings,
    tree: Path,
    repository: str,
    about: str,
    *,
    run_id: str,
    installation: str,
    say: Callable[[str], None],
    repairer: SetupRepairer | None = None,
    test_command: str = "",
) -> LocalEnvironment:
    """The environment of a tree that no forge is asked about.

    What the tree's `.github/patchwright.yml` asks for counts, and `test_command` before it. `say`
    is told what is done and what failed. Errors as `image_for`.
    """
    config = await asyncio.to_thread(config_of_tree, settings, tree, say, test_command)
    prepared = await image_for(
        DockerEnvironments(engine, settings),
        settings,
        tree,
        environment_request(repository, config, about),
        run_id=run_id,
        installation=installation,
        progress=say,
        repairer=repairer,
    )
    if prepared is None:
        return LocalEnvironment(test_command=config.test_command, policy=config.policy)
    recipe = proposal(prepared.environment)
    away = any(failed.is_network_fault for failed in prepared.failed)
    return LocalEnvironment(
        image=prepared.image,
        test_command=config.test_command,
        recipe=recipe or "",
        policy=config.policy,
        degraded=prepared.degraded,
        speaks_in_part=prepared.speaks_in_part,
        trial=prepared.trial,
        made_by_model=is_found_by_model(prepared.environment.source),
        network_away=away,
    )


async def with_environment(
    engine: DockerEngine,
    settings: Settings,
    tree: Path,
    *,
    run_id: str,
    repository: str,
    about: str,
    console: Console,
    test_command: str = "",
) -> tuple[Settings, LocalEnvironment]:
    """For `patchwright fix`: the settings with the image of the tree's own environment.

    Beside them what else the tree's files say. Says on the console what is done and what failed.
    Errors as `image_for`.
    """

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    try:
        environment = await prepare_local_environment(
            engine,
            settings,
            tree,
            repository,
            about,
            run_id=run_id,
            installation=run_id,
            say=say,
            repairer=local_repairer(settings, run_id, lambda tried: say(describe_attempt(tried))),
            test_command=test_command,
        )
    finally:
        await engine.sweep((), installation=run_id)
    if environment.trial is not None:
        say(f"The tests in this environment: {environment.trial.readiness.summary}.")
    if environment.degraded:
        say(f"The environment is degraded: {environment.degraded}")
    if environment.recipe:
        say(f"To keep this environment, add this to {PATH}:\n{environment.recipe}")
    if environment.image:
        settings = settings.model_copy(update={"sandbox_image": environment.image})
    return settings, environment
