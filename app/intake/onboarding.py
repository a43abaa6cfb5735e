"""The onboarding pull request: one for each repository, and nothing else before it is merged.

Every act is found again after a crash: the report is kept with the event, the commit comes out the
same, a branch at its commit is left alone, and any pull request from the branch, open or not, is
the one that there may be.
"""

from __future__ import annotations

import asyncio

from app.check.proposal import TITLE, config_file, pull_text
from app.check.report import CheckReport
from app.git.mirror import BranchTaken, Mirror
from app.git.process import GitMissing
from app.github.forge import Forge
from app.github.records import Pull, Repository
from app.github.webhook_events import OnboardingDue, PullEnded, WebhookEvent
from app.intake.checks import found_report
from app.publishing import publish
from app.publishing.commits import (
    bot_identity,
    put_commit,
    signatures_required,
    signing_of,
)
from app.publishing.markers import possible_names
from app.repo_config.effective import EffectiveConfig
from app.repo_config.schema import PATH
from app.runs.services import Services
from app.storage.onboarding import Onboarding, Onboardings, is_held_back
from app.telemetry import logs

BRANCH = "patchwright/configure"

_log = logs.get(__name__)


def onboardings(services: Services) -> Onboardings:
    """The proposals in the database of these services."""
    return Onboardings(services.store.database, services.settings.onboarding_at_once)


def pull_ended(services: Services, event: PullEnded) -> str:
    """What the end of a pull request means, if it is a proposal; empty: it is none."""
    known = onboardings(services)
    found = known.of_pull(event.repository_id, event.pull_number)
    if found is None:
        return ""
    if event.merged:
        known.settle(event.repository_id, "enabled", "its pull request was merged")
        return "the onboarding pull request was merged"
    if found.state != "enabled":
        known.settle(event.repository_id, "closed")
    return "the onboarding pull request was closed"


def held_back(services: Services, event: WebhookEvent, config: EffectiveConfig) -> bool:
    """Whether nothing is to be done in a repository yet, or ever: it has not agreed.

    With settings of its own, it has.
    """
    known = onboardings(services)
    found = known.get(event.repository_id)
    if found is None or not is_held_back(found, on=services.settings.onboarding):
        return False
    if config.own_file:
        known.settle(event.repository_id, "enabled", f"it has {PATH}")
        return False
    return True


def gave_up(services: Services, event: OnboardingDue, why: str) -> None:
    """Nothing can be proposed to this repository: another's turn comes."""
    _log.warning("no onboarding pull request", repository=event.repository, why=why)
    onboardings(services).settle(event.repository_id, "skipped", why)


async def propose(services: Services, event_id: str, forge: Forge, event: OnboardingDue) -> str:
    """Open the repository's one onboarding pull request, if it is to have one. Idempotent.

    Raises `ForgeError`, `GitError` and `SandboxError`.
    """
    known = onboardings(services)
    found = known.get(event.repository_id)
    if found is None or found.state != "working":
        return f"is {found.state if found else 'not known'} already"
    if not services.settings.onboarding:  # turned off in the meantime
        known.settle(found.repository_id, "skipped", "onboarding is turned off")
        return "onboarding is turned off"
    repository = await forge.repository()
    if pull := await _earlier_pull(forge, found.repository_id):
        return _take_note(known, found, pull)
    if why := _unfit(repository):
        known.settle(found.repository_id, "skipped", why)
        return why
    config = await services.config(forge)
    if config.own_file:
        known.settle(found.repository_id, "enabled", f"it has {PATH}")
        return f"it has {PATH}"
    if not config.enabled:
        why = config.off or "its organisation's settings turn the App off"
        known.settle(found.repository_id, "skipped", why)
        return why
    if services.inbox.has_runs(found.repository_id):
        known.settle(found.repository_id, "enabled", "worked for before")
        return "worked for before"
    mirror = services.mirror(repository.clone_url, repository.id)
    try:
        await publish.fetch(forge, mirror)
    except GitMissing:
        known.settle(found.repository_id, "skipped", "it is empty")
        return "it is empty"
    report = await found_report(services, event_id, forge, config)
    branch = await _push(services, forge, mirror, found, report, repository.default_branch)
    # Opened and closed before a crash: people said no, and are not asked again.
    pull = await _earlier_pull(forge, found.repository_id) or await forge.open_pull(
        branch=branch,
        base=repository.default_branch,
        title=TITLE,
        body=pull_text(report, services.settings.github_app_slug),
        draft=False,
    )
    return _take_note(known, found, pull)


def _unfit(repository: Repository) -> str:
    if repository.archived:
        return "it is archived"
    return "it is a fork" if repository.fork else ""


def _take_note(known: Onboardings, found: Onboarding, pull: Pull) -> str:
    if pull.open:
        known.proposed(found.repository_id, pull.number)
        return f"pull request #{pull.number}"
    state = "merged" if pull.merged else "closed"
    if pull.merged:
        reason = "its pull request was merged"
        known.settle(found.repository_id, "enabled", reason, pull_number=pull.number)
    else:
        known.settle(found.repository_id, "closed", pull_number=pull.number)
    return f"pull request #{pull.number} was {state}"


def branch_names(repository_id: int) -> tuple[str, ...]:
    """The names that the branch may have, the best first: one may be somebody else's.

    The last ones are for a repository with a branch called like the first's folder.
    """
    flat = BRANCH.replace("/", "-")
    return BRANCH, f"{BRANCH}-{repository_id}", flat, f"{flat}-{repository_id}"


async def _earlier_pull(forge: Forge, repository_id: int) -> Pull | None:
    for name in branch_names(repository_id):
        for pull in await forge.pulls(name):
            return pull
    return None


async def _push(
    services: Services,
    forge: Forge,
    mirror: Mirror,
    found: Onboarding,
    report: CheckReport,
    default_branch: str,
) -> str:
    """Push the one commit; returns its branch. Raises `BranchTaken` when no name is free."""
    commit = await asyncio.to_thread(
        mirror.commit_new_file,
        report.commit,
        PATH,
        config_file(report, services.settings.label).encode(),
        message=f"{TITLE}\n\nWritten from what was found in this repository.",
        author=await bot_identity(forge),
        branch=f"onboarding-{found.repository_id}",
        when=found.created_at,
    )
    signing = signing_of(services.settings)
    required = await signatures_required(forge, signing, default_branch, BRANCH)
    existing = await asyncio.to_thread(mirror.branches)
    for name in possible_names(branch_names(found.repository_id), existing):
        try:
            await put_commit(forge, mirror, name, commit, signing, required=required)
        except BranchTaken:
            continue
        return name
    raise BranchTaken(f"The branch {BRANCH} already has other commits.")
