"""The environment of a run in the service: made, repaired if need be, and told in its journal."""

from __future__ import annotations

from pathlib import Path

from agent.journal.events import EnvironmentPrepared, SetupTried
from app.publishing.facts import RECIPE_LOG
from app.repo_config.effective import EffectiveConfig
from app.runs.services import Services
from app.sandboxes.environment import Prepared, SetupRepairer, asked_by, proposal
from app.sandboxes.setup_repair import SOURCE as FOUND
from app.storage.records import Run
from app.storage.store import SqlStore

_LONGEST = 2_000


async def prepare_environment(
    services: Services, store: SqlStore, run: Run, terms: EffectiveConfig, tree: Path, about: str
) -> None:
    """Have the image that the tree's sandboxes start from. Raises `SandboxError`."""
    if services.prepare is None:
        return

    def note(tried: SetupTried) -> None:
        store.append(run.id, [tried])

    async def waiting(reason: str, seconds: float) -> None:
        """The model tells of it when it goes on."""

    settings = services.settings
    repairer = SetupRepairer(
        model=lambda: services.model(run.id, 0, waiting),
        tries=settings.setup_tries if settings.profile != "offline" else 0,
        note=note,
        test_command=terms.test_command,
        test_timeout_s=terms.budget.test_timeout_s,
    )
    asked = asked_by(run.repository, terms, about)
    prepared = await services.prepare(run.id, tree, asked, repairer if repairer.tries else None)
    if prepared is not None:
        event = told(prepared)
        if event.recipe and event.source == FOUND:
            store.put_log(run.id, RECIPE_LOG, event.recipe.encode())
        store.append(run.id, [event])


def told(prepared: Prepared) -> EnvironmentPrepared:
    """What the journal keeps of an environment."""
    return EnvironmentPrepared(
        attempt=0,
        source=prepared.environment.source,
        image=prepared.image,
        cached=prepared.cached,
        duration_ms=round(prepared.duration_s * 1000),
        failed=tuple(str(failure)[:_LONGEST] for failure in prepared.failed),
        recipe=proposal(prepared.environment),
    )
