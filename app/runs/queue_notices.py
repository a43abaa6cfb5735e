"""Tells people on their issues that runs are waiting, and at which place in the queue.

Work itself tells of a run from its beginning on. Before that nobody has it in hand, so somebody has
to look: every worker does, and a hold in the database sees to it that one of them writes, and none
while the run begins.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from agent.journal.events import now
from agent.journal.state import AttemptState
from app.admission.limits import QueuedRun, queue_place
from app.admission.rows import hold_start, read_queued_runs, release_start, unannounced_waiting_runs
from app.background import repeated
from app.github.errors import ForgeError
from app.publishing import publish
from app.publishing.facts import facts_of, preferences_of
from app.runs.admission_step import denial_reason
from app.runs.services import Services
from app.storage.records import Run
from app.telemetry import logs

EVERY_S = 15.0


_log = logs.get(__name__)


def queue_notices_running(services: Services) -> AbstractContextManager[None]:
    """Update the status of waiting runs in the background until the end of the block."""
    announced: dict[str, int] = {}
    act = partial(update_waiting_comments, services, announced)
    return repeated("queue notices", EVERY_S, act, "waiting runs could not be announced")


async def update_waiting_comments(services: Services, announced: dict[str, int]) -> None:
    """Bring the status comments of waiting runs up to date; `announced` is what was told before."""
    database, moment = services.store.database, now()
    with database.execution_options(read_only=True).connect() as connection:
        queued_runs = read_queued_runs(connection, moment)
        waiting: list[str] = list(connection.execute(unannounced_waiting_runs(moment)).scalars())
    for run in map(services.store.get_run, waiting):
        if run.trigger.by == "schedule":  # nobody asked, so nobody is told
            continue
        place = queue_place(
            QueuedRun(run.id, run.repository, run.created_at, live=True), queued_runs
        )
        if announced.get(run.id) != place:
            try:
                await _update_comment(services, run, place, first=run.id not in announced)
            except ForgeError as error:
                _log.warning("a waiting run could not be announced", run=run.id, why=str(error))
            announced[run.id] = place
    for gone in announced.keys() - set(waiting):
        del announced[gone]


async def _update_comment(services: Services, run: Run, place: int, *, first: bool) -> None:
    forge = services.forge(run.installation_id, run.repository, run.repository_id)
    try:
        config = await services.config(forge)
        denied, thread = await denial_reason(forge, run, config, await forge.repository())
        if denied or config.off or not hold_start(services.store.database, run.id, now()):
            return
        try:
            if first:
                await forge.react(run.issue_number, "eyes")
            facts = facts_of(services.settings, run, preferences_of(config, thread))
            facts = replace(facts, queue_place=place)
            await publish.update_status_comment(forge, facts, "queued", AttemptState())
        finally:
            release_start(services.store.database, run.id)
    finally:
        await forge.close()
