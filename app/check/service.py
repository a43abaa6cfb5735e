"""The check of a repository on GitHub: its default branch, in the service's sandboxes."""

from __future__ import annotations

from dataclasses import replace

from app.check.measure import measure
from app.check.report import CheckReport
from app.github.forge import Forge
from app.publishing import publish
from app.repo_config.effective import EffectiveConfig
from app.runs.commits.sandboxes import commit_sandboxes, scope_of
from app.runs.services import Services
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
    request = replace(environment_request(scope_of(repository), config), always_try=True)
    try:
        async with commit_sandboxes(
            services,
            forge,
            config,
            mirror,
            fetched.base_commit,
            request,
            work_id=check_id,
            purpose="check",
            repairer=repairer,
        ) as found:
            prepared = found.prepared
            if not isinstance(prepared, TestedEnvironment):
                timeout_s = config.budget.test_timeout_s
                trial = await try_suite(found.open, config.test_command, timeout_s)
                prepared = _tested(prepared, trial)
            return await measure(
                repository.full_name,
                fetched.base_commit,
                found.tree,
                prepared,
                config,
                found.open,
                lambda line: _log.info("check", check=check_id, now=line),
            )
    except (EngineUnavailable, SandboxGone):
        raise
    except SandboxError as error:
        return not_prepared(repository.full_name, fetched.base_commit, str(error))


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
