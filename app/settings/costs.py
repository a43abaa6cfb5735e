"""Settings about money: what the models cost, and how much may be spent."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from agent.evaluation.cost import Prices
from app.settings.base import PREFIX

BUDGETS = (
    "cost_per_run",
    "cost_per_run_most",
    "cost_per_month",
    "organisation_cost_per_month",
    "repository_cost_per_month",
)
"""The settings that bound what is spent."""
FREE = "offline"
"""The profile that asks no model: it needs no price."""


class CostSettings(BaseSettings):
    """Prices, and budgets in money. Set only the prices that you pay; none is assumed."""

    currency: str = Field(
        "",
        pattern=r"^([A-Z]{3})?$",
        description="Currency of all prices and budgets, as its three letters: EUR, USD. Without "
        "it and at least one price, nothing is said of money.",
    )
    model_prices: dict[str, Prices] = Field(
        default_factory=dict,
        description='Prices of model profiles as JSON, e.g. {"k2-thinking": {"prompt": 0.6, '
        '"cached": 0.15, "completion": 2.5}} for a million tokens each, and "gpu_hour" with '
        '"gpus_per_stream" for GPUs of your own; {} is free. A profile that is not named has the '
        "PRICE_… ones.",
    )
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
    cost_per_run: float = Field(
        0.0,
        ge=0,
        description="What a run may cost, all its attempts and rounds together; then it ends with "
        "what it has. 0: no limit. Repositories may ask for less.",
    )
    cost_per_run_most: float = Field(
        0.0,
        ge=0,
        description="What somebody who may give commands can raise that to, with `budget=` in a "
        "comment; 0: to COST_PER_RUN.",
    )
    cost_per_month: float = Field(
        0.0,
        ge=0,
        description="What all runs together may cost in a calendar month (UTC); then running ones "
        "end with what they have, and none begins before the next month. 0: no limit.",
    )
    organisation_cost_per_month: float = Field(
        0.0, ge=0, description="The same for the repositories of one organisation or user."
    )
    repository_cost_per_month: float = Field(
        0.0, ge=0, description="The same for one repository, which may ask for less."
    )
    cost_in_comments: bool = Field(
        True,
        description="Whether status comments and pull requests say what a run cost, where it has "
        "a price. Everybody who can read the repository reads them.",
    )

    @model_validator(mode="after")
    def _check_prices(self) -> Self:
        budgets = [name for name in BUDGETS if getattr(self, name)]
        if (self.model_prices or self.prices.known or budgets) and not self.currency:
            raise ValueError(
                f"there are prices or budgets without a currency: set {PREFIX}CURRENCY, for "
                "example to EUR"
            )
        if budgets and (unpriced := self._unpriced()):
            raise ValueError(
                f"{PREFIX}{budgets[0].upper()} cannot be kept without prices of the model "
                f"profile{'s' if len(unpriced) > 1 else ''} {', '.join(unpriced)}: set "
                f"{PREFIX}MODEL_PRICES and {PREFIX}CURRENCY, or take the budget out"
            )
        if budgets and (uncounted := self._uncounted()):
            raise ValueError(
                f"{PREFIX}{budgets[0].upper()} cannot be kept: of the model profile {uncounted} an "
                "hour of a GPU has a price, but not how many GPUs a request takes. Set "
                f"gpus_per_stream in {PREFIX}MODEL_PRICES, or {PREFIX}GPUS_PER_STREAM"
            )
        if self.cost_per_run_most and self.cost_per_run > self.cost_per_run_most:
            raise ValueError(f"{PREFIX}COST_PER_RUN is more than {PREFIX}COST_PER_RUN_MOST")
        return self

    def _unpriced(self) -> list[str]:
        """Profiles that runs may have here, and that have no price."""
        return [name for name in self._offered() if self.prices_of(name) is None]

    def _uncounted(self) -> str:
        """A profile whose GPUs have a price that never counts; empty: there is none."""
        priced = ((name, self.prices_of(name)) for name in self._offered())
        return next((n for n, p in priced if p and p.gpu_hour and not p.gpus_per_stream), "")

    def _offered(self) -> list[str]:
        """Profiles that runs may have here, without the one that is free."""
        offered: list[Any] = [getattr(self, "profile", ""), *getattr(self, "repo_models", ())]
        return list(dict.fromkeys(str(name) for name in offered if name and name != FREE))

    @property
    def prices(self) -> Prices:
        """The prices of profiles that have none of their own."""
        return Prices(
            prompt=self.price_prompt_tokens,
            cached=self.price_cached_tokens,
            completion=self.price_completion_tokens,
            gpu_hour=self.price_gpu_hour,
            gpus_per_stream=self.gpus_per_stream,
        )

    def prices_of(self, profile: str) -> Prices | None:
        """The prices of a model profile, which are zero if that was said; None: it has none."""
        own = self.model_prices.get(profile)
        return own if own is not None else self.prices if self.prices.known else None

    @property
    def prices_in_effect(self) -> Prices:
        """The prices of the model profile in effect; all zero: it has none."""
        return self.prices_of(str(getattr(self, "profile", ""))) or Prices()

    @property
    def counts_money(self) -> bool:
        """Whether anything has a price here."""
        return bool(self.currency) and (self.prices.known or bool(self.model_prices))
