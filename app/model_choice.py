"""Which model a run gets, from the settings."""

from __future__ import annotations

from pydantic import SecretStr

from agent.model import Model
from agent.models.doctor import Endpoint
from agent.models.offline import OfflineModel
from agent.models.openai_compat import OnWaiting, OpenAICompatModel
from agent.models.profiles import BadProfile, Profile, profile_named
from app.settings import Settings, SettingsError


def profile_of(settings: Settings) -> Profile:
    """The profile in effect, with the settings' overrides. Raises `SettingsError`."""
    changed = {settings.profile: {"base": settings.profile, **settings.model_overrides}}
    try:
        return profile_named(settings.profile, changed if settings.model_overrides else None)
    except BadProfile as problem:
        raise SettingsError(f"PATCHWRIGHT_MODEL: {problem}") from None


def endpoint(settings: Settings) -> Endpoint:
    """What `doctor` examines: the servers in effect and what is expected of them."""
    key = settings.secret("model_api_key")
    return Endpoint(
        profile=profile_of(settings),
        base_urls=settings.model_url,
        model=settings.model_name,
        api_key=SecretStr(key) if key else None,
    )


def make_model(
    settings: Settings, *, run_id: str, seed: int = 0, on_waiting: OnWaiting | None = None
) -> Model:
    """The model for one attempt of a run; its server keeps the run by its id."""
    if settings.profile == "offline":
        return OfflineModel(seed=seed)
    profile = profile_of(settings)
    key = settings.secret("model_api_key")
    return OpenAICompatModel(
        profile,
        settings.model_url,
        settings.model_name,
        SecretStr(key) if key else None,
        routing_key=run_id,
        seed=seed or None,
        on_waiting=on_waiting,
    )
