"""Settings of what work costs: evaluation reports and statistics count in these."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from agent.evaluation.cost import Prices


class PriceSettings(BaseSettings):
    """Prices, in any one currency. Set only those that you pay."""

    price_prompt_tokens: float = Field(
        0.0, ge=0, description="Price of a million prompt tokens that no cache served."
    )
    price_cached_tokens: float = Field(
        0.0, ge=0, description="Price of a million prompt tokens that the server had in its cache."
    )
    price_completion_tokens: float = Field(
        0.0, ge=0, description="Price of a million tokens that the model wrote."
    )
    price_gpu_hour: float = Field(0.0, ge=0, description="Price of one GPU for one hour.")
    gpus_per_stream: float = Field(
        0.0,
        ge=0,
        description="GPUs over the requests that they serve side by side, to count GPU seconds: "
        "0.5 for 8 GPUs that serve 16.",
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
