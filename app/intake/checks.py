"""Checks that were asked for in a comment: the report is found once, and told once."""

from __future__ import annotations

from agent.errors import AgentError
from app.check.comment import report_comment
from app.check.report import CheckReport
from app.check.service import check_on_forge
from app.github.forge import Forge
from app.github.webhook_events import CheckAsked
from app.repo_config.effective import EffectiveConfig
from app.runs.services import Services
from app.sandboxes.environment import SetupRepairer
from app.sanitize.markdown import inline
from app.spending.account import Payer
from app.storage import controls
from app.telemetry import logs

_log = logs.get(__name__)


class CheckKillsWorkers(AgentError):
    """Workers died of a check so often that it is over."""


async def answer_check(
    services: Services, check_id: str, forge: Forge, config: EffectiveConfig, event: CheckAsked
) -> str:
    """Check the repository and post the report where it was asked for. Idempotent."""
    payer = Payer(check_id, event.repository_id, event.installation_id, event.repository)
    report = await found_report(services, check_id, forge, config, payer=payer)
    await forge.put_comment(event.issue_number, _marker(event), report_comment(report))
    return "ready" if report.ready else f"not ready: {report.degraded}"


async def tell_failure(forge: Forge, event: CheckAsked, why: str) -> None:
    """Say that there is no report, and why. Idempotent."""
    said = f"The repository could not be checked: {inline(why, 2000)}"
    await forge.put_comment(event.issue_number, _marker(event), said)


def _marker(event: CheckAsked) -> str:
    return f"<!-- patchwright:check-report to={event.comment_id} -->"


async def found_report(
    services: Services,
    check_id: str,
    forge: Forge,
    config: EffectiveConfig,
    *,
    payer: Payer | None = None,
) -> CheckReport:
    """The report of this check: the one that an earlier process found, or else found now.

    `payer`: who pays when the settings' model, if there is one, repairs a set-up that fails; None:
    it does not. Raises `CheckKillsWorkers` where workers die of it again and again, and what
    `check_on_forge` raises.
    """
    inbox = services.inbox
    if kept := inbox.found_for(check_id):
        return CheckReport.model_validate_json(kept)
    if inbox.take_in_hand(check_id):
        _count_death(services, check_id)
    try:
        repairer = _repairer(services, payer, config) if payer else None
        report = await check_on_forge(services, forge, config, check_id, repairer=repairer)
        inbox.keep_found(check_id, report.model_dump_json())
    finally:
        inbox.hand_back(check_id)
    return report


def _count_death(services: Services, check_id: str) -> None:
    """Count a worker that died with this check in hand. Raises `CheckKillsWorkers` at the last."""
    blame = controls.count_death(services.store.database, check_id, "", 0)
    _log.warning("a worker died with this check in hand", check=check_id, blame=blame)
    if blame >= controls.BLAME:
        raise CheckKillsWorkers(
            f"The worker died {controls.DEATHS} times while it checked the repository, so it is "
            "not tried again. The usual cause is a worker that runs out of memory or disk; the "
            f"operator's log says more under {check_id}."
        )


def _repairer(services: Services, payer: Payer, config: EffectiveConfig) -> SetupRepairer | None:
    settings = services.settings
    if settings.profile == "offline" or not settings.setup_tries:
        return None

    async def waiting(_reason: str, _seconds: float) -> None:
        """Nobody is told: the report comes when the model does."""

    return SetupRepairer(
        model=lambda: services.model(payer, 0, waiting, looking=True),
        tries=settings.setup_tries,
        test_command=config.test_command,
        test_timeout_s=config.budget.test_timeout_s,
    )
