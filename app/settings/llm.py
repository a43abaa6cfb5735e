"""Settings about models: which to ask and where, what an attempt may use, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from agent.evaluation.cost import Prices
from agent.task import Budget
from app.settings.base import PREFIX, check_url


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
        "", description="Name of the model on the server, if not the profile's."
    )
    model_api_key: SecretStr = Field(SecretStr(""), description="Key for the model server.")
    model_api_key_file: Path | None = Field(
        None, description="File with the key for the model server."
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
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("model_url")
    @classmethod
    def _check_model_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_url(url, ("http", "https")) for url in value)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.model not in ("", "offline") and not self.model_url:
            raise ValueError(
                f"{PREFIX}MODEL is {self.model!r}, which needs a server: set {PREFIX}MODEL_URL, "
                f"or {PREFIX}MODEL=offline"
            )
        return self

    @property
    def profile(self) -> str:
        """The model profile in effect."""
        return self.model or ("k2-thinking" if self.model_url else "offline")

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


class PriceSettings(BaseSettings):
    """Prices, in any one currency; evaluation reports and statistics count in them.

    Set only those that you pay.
    """

    price_prompt_tokens: float = Field(
        0.0, ge=0, description="Price per million prompt tokens that no cache served."
    )
    price_cached_tokens: float = Field(
        0.0, ge=0, description="Price per million prompt tokens served from the server's cache."
    )
    price_completion_tokens: float = Field(
        0.0, ge=0, description="Price per million tokens that the model wrote."
    )
    price_gpu_hour: float = Field(0.0, ge=0, description="Price of one GPU per hour.")
    gpus_per_stream: float = Field(
        0.0,
        ge=0,
        description="GPUs divided by the requests that they serve in parallel, to count GPU "
        "seconds: 0.5 for 8 GPUs that serve 16.",
    )

    @property
    def prices(self) -> Prices:
        """The prices as the evaluation counts in them."""
        return Prices(
            prompt=self.price_prompt_tokens,
            cached=self.price_cached_tokens,
            completion=self.price_completion_tokens,
            gpu_hour=self.price_gpu_hour,
            gpus_per_stream=self.gpus_per_stream,
        )
