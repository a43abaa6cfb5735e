"""Receives deliveries: parses, filters, stores and enqueues them.

The same for a delivery that came by HTTP and for one that was missed and fetched later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from app.admission import authorization
from app.github import webhooks
from app.github.webhook_events import (
    Commented,
    Ignored,
    Installed,
    Labeled,
    Trigger,
    WebhookEvent,
)
from app.intake import answers
from app.settings.schema import Settings
from app.storage import audit
from app.storage.inbox import Inbox
from app.storage.onboarding import Onboardings, is_held_back
from app.storage.records import Accepted
from app.storage.store import SqlStore
from app.telemetry import logs, tracing

_DELIVERY_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_EVENT = re.compile(r"[a-z0-9_]{1,64}")

_log = logs.get(__name__)


def _leave_to_outbox(_id: str) -> None:
    """Do nothing: workers look into the outbox within seconds."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Where deliveries go."""

    settings: Settings
    store: SqlStore
    enqueue: Callable[[str], None]
    """Tells the durable engine of a run and notes it; may raise, for the outbox has the run."""
    enqueue_event: Callable[[str], None] = _leave_to_outbox
    """The same for an event."""


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The outcome of a delivery."""

    result: str
    """new, attached, duplicate, noted or ignored."""
    reason: str = ""
    run_id: str = ""


def accept_delivery(intake: Intake, event_name: str, delivery: str, body: bytes) -> DeliveryResult:
    """Process one delivery; on return everything that it requests is durable. Blocks.

    Raises `BadPayload` when it is not as GitHub sends it.
    """
    parsed = webhooks.parse(event_name, body)
    if not _EVENT.fullmatch(event_name) or not _DELIVERY_ID.fullmatch(delivery):
        raise webhooks.BadPayload("X-GitHub-Event or X-GitHub-Delivery is missing or malformed")
    if isinstance(parsed, Trigger):
        if reason := authorization.refused_at_delivery(parsed):
            return DeliveryResult("ignored", reason)
        is_ours = authorization.is_label(parsed.label, intake.settings.label)
        if is_ours and not _needs_a_word(intake, parsed):
            return _accept_trigger(intake, event_name, delivery, parsed)
        parsed = Labeled(
            **parsed.model_dump(include=set(Labeled.model_fields) - {"kind", "trigger"}),
            trigger=parsed,
        )
    if isinstance(parsed, Ignored):
        return DeliveryResult("ignored", parsed.reason)
    if isinstance(parsed, Installed):
        return _accept_installation(intake, event_name, delivery, parsed)
    return _accept_event(intake, event_name, delivery, parsed)


def _accept_trigger(
    intake: Intake, event_name: str, delivery: str, trigger: Trigger
) -> DeliveryResult:
    store, place = intake.store, f"{trigger.repository}#{trigger.issue_number}"

    def write(connection: sa.Connection) -> Accepted:
        accepted = store.accept_in(
            connection, delivery, event_name, trigger, model=intake.settings.profile
        )
        if accepted.how != "duplicate":
            detail = f"{place}, delivery {delivery}, {accepted.how}"
            action = f"asked by {trigger.by}"
            audit.record_in(connection, trigger.sender, action, accepted.run_id, detail)
        return accepted

    accepted = store.in_shared_transaction(write)
    if accepted.how == "new":
        with tracing.delivery(accepted.run_id, delivery, event_name):
            try:
                intake.enqueue(accepted.run_id)
            except Exception:  # noqa: BLE001  whatever the engine's trouble: the outbox has it
                _log.warning(
                    "the run could not be enqueued yet", run=accepted.run_id, exc_info=True
                )
    return DeliveryResult(accepted.how, run_id=accepted.run_id)


def _needs_a_word(intake: Intake, trigger: Trigger) -> bool:
    """Whether something may have to be said on GitHub instead of starting a run."""
    inbox = Inbox(intake.store.database)
    return _may_be_held_back(intake, trigger.repository_id) or bool(
        inbox.searching_run(trigger.repository_id, trigger.issue_number)
    )


def _may_be_held_back(intake: Intake, repository_id: int) -> bool:
    """Whether it takes a look at GitHub to know if anything is to be done in a repository."""
    settings = intake.settings
    found = Onboardings(intake.store.database, settings.onboarding_at_once).get(repository_id)
    return found is not None and is_held_back(found, on=settings.onboarding)


def _accept_installation(
    intake: Intake, event_name: str, delivery: str, event: Installed
) -> DeliveryResult:
    settings = intake.settings
    if not settings.onboarding:
        return DeliveryResult("ignored", "onboarding is turned off")
    known = Onboardings(intake.store.database, settings.onboarding_at_once)
    due = known.installed(delivery, event_name, event)
    if due is None:
        return DeliveryResult("duplicate")
    for event_id in due:
        _enqueue_event(intake, event_id)
    return DeliveryResult("noted")


def _accept_event(
    intake: Intake, event_name: str, delivery: str, event: WebhookEvent
) -> DeliveryResult:
    settings = intake.settings
    if reason := authorization.event_ignored_because(
        event,
        name=settings.github_app_slug,
        app_id=settings.github_app_id,
        machine_user=settings.machine_user,
        answers=isinstance(event, Commented) and answers.is_plain_answer(intake.store, event),
    ):
        return DeliveryResult("ignored", reason)
    inbox = Inbox(intake.store.database)
    if not inbox.is_relevant(event):
        return DeliveryResult("ignored", "not about a pull request or a question of ours")
    if not inbox.keep(delivery, event_name, event):
        return DeliveryResult("duplicate")
    audit.record(
        intake.store.database, event.sender, f"asked by {event.kind}", event.repository, delivery
    )
    _enqueue_event(intake, delivery)
    return DeliveryResult("noted")


def _enqueue_event(intake: Intake, event_id: str) -> None:
    try:
        intake.enqueue_event(event_id)
    except Exception:  # noqa: BLE001  whatever the engine's trouble: the outbox has the event
        _log.warning("the event could not be enqueued yet", delivery=event_id, exc_info=True)
