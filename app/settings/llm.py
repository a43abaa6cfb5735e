"""Settings about models: which to ask and where, what an attempt may use, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from agent.models.profiles import PROFILES
from agent.task import Budget
from app.settings.base import PREFIX
from app.settings.model_servers import ModelServer, check_model_urls, split_list


class ModelSettings(BaseSettings):
    """The part of `Settings` that says which model works, and what one attempt may use."""

    model: str = Field(
        "",
        description="Model profile: offline, k2-thinking, …; empty: offline until a model URL is "
        "set, then k2-thinking.",
    )
    model_url: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses of OpenAI-compatible servers (…/v1), separated by commas; a run "
        "stays with one of them.",
    )
    model_name: str = Field(
        "",
        description="Name of the model on the server, if not the profile's; of the profile MODEL "
        "only, not of others that repositories choose.",
    )
    model_api_key: SecretStr = Field(SecretStr(""), description="Key for the model server.")
    model_api_key_file: Path | None = Field(
        None, description="File with the key for the model server."
    )
    model_servers: dict[str, ModelServer] = Field(
        default_factory=dict,
        description="Servers of single profiles, with url (one or a list), name, api_key_file (or "
        'api_key) and warm_streams, e.g. {"k3": {"url": "http://big:30000/v1", "api_key_file": '
        '"/run/secrets/k3"}}. All other profiles use MODEL_URL with its key, which goes to no '
        "server of this list. Without a url, MODEL_URL under another model's name.",
    )
    model_overrides: dict[str, Any] = Field(
        default_factory=dict,
        description='Changes to the model profile as JSON, e.g. {"temperature": 0.6}.',
    )
    model_profiles: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description='Your own profiles, e.g. {"mine": {"base": "k2-thinking", "window": 128000}}.',
    )
    model_effort: str = Field(
        "",
        description="How much a model thinks that has levels of it (Kimi K3: low, high, max); "
        "empty: its profile's, else its own default.",
    )
    model_effort_looking: str = Field(
        "",
        description="The same for conversations that fix nothing: that write a reproduction, or "
        "repair a set-up; empty: as MODEL_EFFORT. Within a conversation the level stays, since a "
        "change would lose all that the server keeps of it.",
    )
    model_patience_s: float = Field(
        600.0, ge=0, description="Seconds to wait for a model server that is unavailable."
    )

    model_cache_aware: bool = Field(
        True,
        description="Let attempts that began later wait while the earlier ones' contexts fill the "
        "caches of SGLang's servers, whose size is asked at the model URL (/engine_metrics of the "
        "router, or /metrics).",
    )
    model_warm_streams: int = Field(
        0,
        ge=0,
        description="Attempts whose contexts the model servers' caches hold at once, all workers "
        "together; 0: by the servers' metrics, and no limit where they do not tell.",
    )

    budget_calls: int = Field(300, ge=1, description="Tool calls that one attempt may make.")
    budget_calls_per_hypothesis: int = Field(
        15, ge=1, description="Tool calls that one hypothesis may use."
    )
    budget_wall_minutes: float = Field(
        180.0, gt=0, description="Longest time of one attempt, in minutes."
    )
    budget_tokens: int = Field(
        40_000_000, ge=1, description="Tokens that one attempt may use, cached ones included."
    )
    budget_follows_usage: bool = Field(
        False,
        description="Let attempts use twice the tokens that nine of ten of this installation's "
        "newest proven attempts with the same model took, and BUDGET_TOKENS at most; as long as "
        "fewer than ten were proven, BUDGET_TOKENS.",
    )
    tool_timeout_s: float = Field(120.0, gt=0, description="Longest shell command, in seconds.")
    test_timeout_s: float = Field(600.0, gt=0, description="Longest run of the tests, in seconds.")
    attempts: int = Field(1, ge=1, le=16, description="Attempts per issue.")

    @field_validator("model_url", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        return split_list(value)

    @field_validator("model_url")
    @classmethod
    def _check_model_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_model_urls(value)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.model not in ("", "offline") and not self._urls_of(self.model):
            raise ValueError(
                f"{PREFIX}MODEL is {self.model!r}, which needs a server: set {PREFIX}MODEL_URL, "
                f"its url in {PREFIX}MODEL_SERVERS, or {PREFIX}MODEL=offline"
            )
        known = {*PROFILES, *self.model_profiles}
        for profile, server in self.model_servers.items():
            if profile not in known:
                raise ValueError(
                    f"{PREFIX}MODEL_SERVERS: there is no model profile {profile!r}; known are: "
                    f"{', '.join(sorted(known))}"
                )
            if not server.url and not self.model_url:
                raise ValueError(
                    f"{PREFIX}MODEL_SERVERS: {profile} has no url, and there is no "
                    f"{PREFIX}MODEL_URL. Set one of them"
                )
            if not server.url and server.has_key:
                raise ValueError(
                    f"{PREFIX}MODEL_SERVERS: {profile} has a key and no url. Give its url, or "
                    f"remove its key: {PREFIX}MODEL_URL has one of its own"
                )
        return self

    @property
    def profile(self) -> str:
        """The model profile in effect."""
        return self.model or ("k2-thinking" if self._urls_of("k2-thinking") else "offline")

    def with_model(self, profile: str) -> Self:
        """The settings with that profile in effect; the name of another one's model goes."""
        if profile == self.profile:
            return self
        return self.model_copy(update={"model": profile, "model_name": ""})

    def server_of(self, profile: str) -> ModelServer:
        """Where that profile is served. Its `url` is empty where no server is named for it."""
        own = self.model_servers.get(profile, ModelServer())
        if own.url:
            return own
        return ModelServer(
            url=self.model_url,
            name=own.name or (self.model_name if profile == self.profile else ""),
            warm_streams=own.warm_streams or self.model_warm_streams,
        )

    def has_own_server(self, profile: str) -> bool:
        """Whether it is served elsewhere than at `model_url`, and so with a key of its own."""
        return profile in self.model_servers and bool(self.model_servers[profile].url)

    def _urls_of(self, profile: str) -> tuple[str, ...]:
        return self.model_servers[profile].url if self.has_own_server(profile) else self.model_url

    @property
    def budget(self) -> Budget:
        """What one attempt may use."""
        return Budget(
            calls=self.budget_calls,
            calls_per_hypothesis=self.budget_calls_per_hypothesis,
            wall_s=self.budget_wall_minutes * 60,
            tokens=self.budget_tokens,
            tool_timeout_s=self.tool_timeout_s,
            test_timeout_s=self.test_timeout_s,
        )
