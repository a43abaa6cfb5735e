"""Checks that were asked for in a comment: the report is found once, and told once."""

from __future__ import annotations

from app.check.comment import report_comment
from app.check.report import CheckReport
from app.check.service import check_on_forge
from app.github.forge import Forge
from app.github.webhook_events import CheckAsked
from app.repo_config.effective import EffectiveConfig
from app.runs.services import Services
from app.sandboxes.environment import SetupRepairer
from app.sanitize.markdown import inline


async def answer_check(
    services: Services, check_id: str, forge: Forge, config: EffectiveConfig, event: CheckAsked
) -> str:
    """Check the repository and post the report where it was asked for. Idempotent."""
    report = await found_report(services, check_id, forge, config, repair=True)
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
    repair: bool = False,
) -> CheckReport:
    """The report of this check: the one that an earlier process found, or else found now.

    `repair`: whether the settings' model, if there is one, may repair a set-up that fails.
    """
    if kept := services.inbox.found_for(check_id):
        return CheckReport.model_validate_json(kept)
    repairer = _repairer(services, check_id, config) if repair else None
    report = await check_on_forge(services, forge, config, check_id, repairer=repairer)
    services.inbox.keep_found(check_id, report.model_dump_json())
    return report


def _repairer(services: Services, check_id: str, config: EffectiveConfig) -> SetupRepairer | None:
    settings = services.settings
    if settings.profile == "offline" or not settings.setup_tries:
        return None

    async def waiting(_reason: str, _seconds: float) -> None:
        """Nobody is told: the report comes when the model does."""

    return SetupRepairer(
        model=lambda: services.model(check_id, 0, waiting),
        tries=settings.setup_tries,
        test_command=config.test_command,
        test_timeout_s=config.budget.test_timeout_s,
    )
