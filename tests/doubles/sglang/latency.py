"""How long a server would take: measured in virtual seconds unless it is told to be slow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hardware:
    """A row of the published figures."""

    name: str
    prefill_tokens_per_s: float
    """Tokens of new prompt read per second, all GPUs together (assumed, not published)."""
    decode_tokens_per_s: float
    """Tokens written per second in one stream."""


HARDWARE = {
    row.name: row
    for row in (
        Hardware("8xH200-int4", prefill_tokens_per_s=8_000, decode_tokens_per_s=37.5),
        Hardware("16xH100-fp8", prefill_tokens_per_s=6_000, decode_tokens_per_s=17.5),
        Hardware("8xB200-int4", prefill_tokens_per_s=14_000, decode_tokens_per_s=60.0),
    )
}


@dataclass(frozen=True)
class Latency:
    """Times of one request."""

    hardware: Hardware
    scale: float = 0.0
    """Real seconds per virtual second; 0 answers at once."""

    def first_token_s(self, uncached_tokens: int) -> float:
        """Virtual seconds until the first token."""
        return uncached_tokens / self.hardware.prefill_tokens_per_s

    def writing_s(self, tokens: int) -> float:
        """Virtual seconds for that many tokens."""
        return tokens / self.hardware.decode_tokens_per_s
