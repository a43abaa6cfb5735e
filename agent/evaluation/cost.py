"""What work costs: by tokens, by GPU time, as the operator's prices say."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent.model import Money, Record, Usage

_MILLION = 1_000_000
_HOUR_S = 3600.0

Price = Annotated[float, Field(ge=0)]


class Prices(Record):
    """Prices in one currency, whichever the operator counts in; all zero: unknown."""

    prompt: Price = 0.0
    """Of a million prompt tokens that no cache served."""
    cached: Price = 0.0
    """Of a million prompt tokens that the server had in its cache."""
    completion: Price = 0.0
    """Of a million written tokens."""
    gpu_hour: Price = 0.0
    """Of one GPU for one hour."""
    gpus_per_stream: Price = 0.0
    """GPUs over the requests that they serve side by side: 8 GPUs with 16 streams are 0.5."""

    @property
    def known(self) -> bool:
        """Whether anything has a price."""
        return any((self.prompt, self.cached, self.completion, self.gpu_hour))


def gpu_seconds(model_s: float, prices: Prices) -> float:
    """GPU seconds for `model_s` seconds of the model's answers."""
    return model_s * prices.gpus_per_stream


def cost(usage: Usage, model_s: float, prices: Prices) -> float:
    """What tokens and GPU time cost together; set only the prices that you pay."""
    fresh = max(0, usage.prompt_tokens - usage.cached_tokens)
    tokens = (
        fresh * prices.prompt
        + usage.cached_tokens * prices.cached
        + usage.completion_tokens * prices.completion
    ) / _MILLION
    return tokens + gpu_seconds(model_s, prices) * prices.gpu_hour / _HOUR_S


def paid(usage: Usage, model_s: float, prices: Prices, currency: str) -> Money:
    """What one turn cost, to the millionth."""
    return Money(amount=round(cost(usage, model_s, prices), 6), currency=currency)
