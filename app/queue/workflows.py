"""How runs and events are put into the engine's queues: by workers and by services alike."""

from __future__ import annotations

from dbos import EnqueueOptions

from app.github.webhook_events import ProofDue, StartedBy, WebhookEvent, is_check, source_of
from app.storage.records import Run

APPLICATION = "patchwright"
WORKFLOW = "run"
QUEUE = "runs"
ROUND_WORKFLOW = "round"
EVENT_WORKFLOW = "ask"
EVENT_QUEUE = "asks"
CHECK_QUEUE = "checks"
PROOF_QUEUE = "proofs"
VERSION = "1"
"""Of the order of steps in `app.runs.workflow`. The engine leaves runs of another version alone, so
it changes only together with a way for the unfinished ones."""
UNASKED: tuple[StartedBy, ...] = ("failed_check", "alert", "schedule")
"""What starts a run without a person who waits for it."""
PEOPLE, AUTOMATIC = 1, 10
"""Priorities; the lower goes first. Within one, the older; between repositories, by lot."""


def for_run(run: Run) -> tuple[EnqueueOptions, tuple[str | int, ...]]:
    """Options and arguments for the current round of a run. Its repository is its partition."""
    first = run.round == 1
    options: EnqueueOptions = {
        "workflow_name": WORKFLOW if first else ROUND_WORKFLOW,
        "queue_name": QUEUE,
        "workflow_id": run.id if first else f"{run.id}-{run.round}",
        "app_version": VERSION,
        "queue_partition_key": str(run.repository_id),
        "priority": AUTOMATIC if run.trigger.by in UNASKED else PEOPLE,
    }
    return options, ((run.id,) if first else (run.id, run.round))


RESUMABLE = ("PENDING", "CANCELLED")
"""States in which the engine has a requeued run: started, and not ended."""


def must_be_resumed(status: str | None) -> bool:
    """Whether the engine must resume an outbox entry instead of enqueueing it."""
    return status in RESUMABLE


UNDER_WAY = ("PENDING", "ENQUEUED", "DELAYED")


def is_over(status: str | None) -> bool:
    """Whether the engine will do nothing more by itself: ended, cancelled, given up, or unknown."""
    return status not in UNDER_WAY


def must_be_deleted(status: str | None) -> bool:
    """Whether the engine considers a run to be over, and so would never start it again."""
    return status is not None and status not in (*UNDER_WAY, *RESUMABLE)


def workflow_of_event(event_id: str) -> str:
    """The workflow that handles an event."""
    return f"ask-{event_id}"


def event_of(workflow_id: str) -> str:
    """The event that a workflow handles; empty when it is a run's."""
    return workflow_id.removeprefix("ask-") if workflow_id.startswith("ask-") else ""


def run_of(workflow_id: str) -> str:
    """The run that a workflow executes a round of; its id has no hyphen."""
    return workflow_id.partition("-")[0]


def for_event(event_id: str, event: WebhookEvent) -> tuple[EnqueueOptions, tuple[str, ...]]:
    """Options and arguments for handling an event; only one per issue is handled at a time.

    Proofs are each their own, and their repository is their partition.
    """
    options: EnqueueOptions = {
        "workflow_name": EVENT_WORKFLOW,
        "queue_name": EVENT_QUEUE,
        "workflow_id": workflow_of_event(event_id),
        "app_version": VERSION,
        "queue_partition_key": source_of(event),
    }
    if is_check(event):
        options["queue_name"] = CHECK_QUEUE
    if isinstance(event, ProofDue):
        options["queue_name"] = PROOF_QUEUE
        options["queue_partition_key"] = str(event.repository_id)
    return options, (event_id,)
