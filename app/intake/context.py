"""An event with what its handler needs."""

from __future__ import annotations

from dataclasses import dataclass

from app.github.forge import Forge
from app.github.records import Role
from app.github.webhook_events import WebhookEvent
from app.repo_config.effective import EffectiveConfig
from app.runs.services import Services


@dataclass(frozen=True, slots=True)
class EventContext:
    """An event, with everything that its handler needs."""

    services: Services
    id: str
    forge: Forge
    config: EffectiveConfig


async def is_permitted(context: EventContext, event: WebhookEvent, minimum: Role) -> bool:
    """Whether the sender has at least this role in the repository, as GitHub says now."""
    permission = await context.forge.permission(event.sender, user_id=event.sender_id)
    return permission.at_least(minimum)
