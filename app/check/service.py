"""The check of a repository on GitHub: its default branch, in the service's sandboxes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from app.check.measure import measure
from app.check.report import CheckReport
from app.github.forge import Forge
from app.publishing import publish
from app.repo_config.effective import EffectiveConfig
from app.runs.services import Services
from app.runs.trees import write_tree_of
from app.sandboxes.environment import SetupRepairer, TestedEnvironment, environment_request
from app.sandboxes.trial import Trial, try_suite
from app.telemetry import logs
from sandbox.environment.choose import BARE
from sandbox.environment.records import Environment
from sandbox.errors import EngineUnavailable, SandboxError, SandboxGone
from sandbox.setup.records import PreparedEnvironment

_log = logs.get(__name__)


async def check_on_forge(
    services: Services,
    forge: Forge,
    config: EffectiveConfig,
    check_id: str,
    *,
    repairer: SetupRepairer | None = None,
) -> CheckReport:
    """Find the repository's environment, run its suite in it, and report.

    A set-up that fails is a finding and no error. `check_id` names the sandboxes; it must be one
    that the sweep of sandboxes knows. Raises `ForgeError`, `GitError` and, where the engine or a
    sandbox is away, `SandboxError`.
    """
    repository = await forge.repository()
    mirror = services.mirror(repository.clone_url, repository.id)
    fetched = await publish.fetch(forge, mirror)
    folder = services.settings.state_dir / "trees"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    tree = folder / f"{check_id}-{fetched.base_commit}.tar"
    place = mirror, fetched.base_commit, repository.clone_url
    # With the id: a later repository of the same name must get nothing of this one.
    scope = f"{repository.full_name} [{repository.id}]"
    request = replace(environment_request(scope, config), always_try=True)
    try:
        await write_tree_of(services, forge, config, *place, tree)
        prepared = None
        if services.prepare is not None:
            prepared = await services.prepare(check_id, tree, request, repairer)
        opened = partial(services.sandboxes.open, check_id, "check", tree)
        if not isinstance(prepared, TestedEnvironment):
            trial = await try_suite(opened, config.test_command, config.budget.test_timeout_s)
            prepared = _tested(prepared, trial)
        return await measure(
            repository.full_name,
            fetched.base_commit,
            tree,
            prepared,
            config,
            opened,
            lambda line: _log.info("check", check=check_id, now=line),
        )
    except (EngineUnavailable, SandboxGone):
        raise
    except SandboxError as error:
        return not_prepared(repository.full_name, fetched.base_commit, str(error))
    finally:
        await asyncio.to_thread(tree.unlink, missing_ok=True)


def _tested(prepared: PreparedEnvironment | None, trial: Trial | None) -> TestedEnvironment:
    """An environment that was taken without a run of the suite: the plain one, or a named image."""
    faults = trial.readiness.faults if trial else ()
    return TestedEnvironment(
        image=prepared.image if prepared else "",
        environment=prepared.environment if prepared else Environment(BARE),
        cached=True,
        duration_s=0.0,
        degraded=" ".join(faults),
        trial=trial,
    )


def not_prepared(repository: str, commit: str, why: str) -> CheckReport:
    """The report on a repository whose environment cannot be made."""
    return CheckReport(
        repository=repository,
        commit=commit,
        ready=False,
        environment="none",
        image="",
        cached=False,
        setup_s=0.0,
        test_command="",
        suite_s=0.0,
        tests={},
        runs=0,
        degraded=why.splitlines()[0][:500],
        failed=(why[:2000],),
    )
