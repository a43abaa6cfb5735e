"""Which model a run gets, from the settings."""

from __future__ import annotations

from functools import cache

from pydantic import SecretStr

from agent.model import Model
from agent.models.doctor import Endpoint
from agent.models.endpoints import Endpoints
from agent.models.offline import OfflineModel
from agent.models.openai_compat import OnProgress, OnWaiting, OpenAICompatModel
from agent.models.profiles import BadProfile, Profile, profile_named
from agent.models.request_body import PictureBytes, no_pictures
from agent.models.retry import Patience
from app.settings.base import SettingsError
from app.settings.schema import Settings


def profile_of(settings: Settings, *, looking: bool = False) -> Profile:
    """The profile in effect, with the settings' overrides. Raises `SettingsError`.

    `looking`: for a conversation that fixes nothing, which may need less thinking.
    """
    name, profiles = settings.profile, dict(settings.model_profiles)
    try:
        known = profile_named(name, profiles)
        changes = dict(settings.model_overrides)
        # Of a ladder's models, some have levels of thinking and others have not.
        if known.reasoning_efforts:
            usual = known.reasoning_effort or settings.model_effort
            effort = (settings.model_effort_looking if looking else "") or usual
            changes |= {"reasoning_effort": effort} if effort else {}
        if not changes:
            return known
        profiles[name] = {**profiles.get(name, {"base": name}), **changes}
        return profile_named(name, profiles)
    except BadProfile as problem:
        raise SettingsError(f"PATCHWRIGHT_MODEL: {problem}") from None


def endpoint(settings: Settings) -> Endpoint:
    """What `doctor` examines: the servers in effect and what is expected of them."""
    server = settings.server_of(settings.profile)
    return Endpoint(
        profile=profile_of(settings),
        base_urls=server.url,
        model=server.name,
        api_key=_key(settings),
    )


def make_model(
    settings: Settings,
    *,
    run_id: str,
    seed: int = 0,
    looking: bool = False,
    on_waiting: OnWaiting | None = None,
    on_progress: OnProgress | None = None,
    picture: PictureBytes = no_pictures,
) -> Model:
    """The model for one attempt of a run; its server keeps the attempt by its key.

    `looking`: it is to fix nothing, see `profile_of`. `picture`: the bytes of the run's images by
    their ids.

    All models of this process share what is known of the servers' health and load.
    """
    if settings.profile == "offline":
        return OfflineModel(seed=seed)
    profile = profile_of(settings, looking=looking)
    server = settings.server_of(settings.profile)
    return OpenAICompatModel(
        profile,
        server.url,
        server.name,
        _key(settings),
        routing_key=routing_key(run_id, seed),
        seed=seed or None,
        patience=Patience(away_s=settings.model_patience_s),
        endpoints=_shared_endpoints(server.url),
        on_waiting=on_waiting,
        on_progress=on_progress,
        picture=picture,
    )


def _key(settings: Settings) -> SecretStr | None:
    key = settings.model_key(settings.profile)
    return SecretStr(key) if key else None


def routing_key(run_id: str, seed: int) -> str:
    """What holds an attempt to its server. Attempts share no long prefix: each has its own."""
    return f"{run_id}.{seed}" if seed else run_id


@cache
def _shared_endpoints(urls: tuple[str, ...]) -> Endpoints:
    """The one record of these servers in this process."""
    return Endpoints(urls)
