"""Servers: GPUs that hold a model once, and how fast each family of models runs on them.

Memory and bandwidth are the makers' nominal figures. Sources: docs/capacity.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Basis = Literal["published", "measured", "assumed"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """One server (a *cluster* in the sense of GPUs that hold the model once)."""

    name: str
    gpus: int
    gpu_gb: float
    """Memory of one GPU, the maker's nominal figure."""
    host_gb_per_s: float = 25.0
    """From host memory to one GPU, of which HiCache gets half of PCIe 5.0's 50. Assumed."""


HARDWARE = {
    row.name: row
    for row in (
        Hardware("8xH200", 8, 141),
        Hardware("2x8xH200", 16, 141),
        Hardware("16xH100", 16, 80),
        Hardware("8xB200", 8, 180),
        Hardware("2x8xB200", 16, 180),
        Hardware("8xB300", 8, 288),
        Hardware("4xGB300", 4, 288, 200.0),
        Hardware("2x4xGB300", 8, 288, 200.0),
        Hardware("4xMI300X", 4, 192),
        Hardware("4xMI355X", 4, 288),
        Hardware("8xMI355X", 8, 288),
    )
}
"""Servers by name."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a family of models runs on a server, and how its memory is divided."""

    slow_tokens_per_s: float
    fast_tokens_per_s: float
    """Written tokens per second in one stream: both ends of what is known."""
    prefill_tokens_per_s: float
    """New prompt tokens read per second, all GPUs together. Assumed: measure yours."""
    streams: int
    """Requests under way at once that keep that speed. Assumed: measure yours."""
    basis: Basis
    """Of the written tokens per second."""
    static_share: float = 0.88
    """Share of GPU memory for weights and caches: `--mem-fraction-static`."""
    kv_bytes: int = 2
    """Bytes per number in the KV cache, unless asked otherwise."""
    context_parallel: int = 1
    """`--dcp-size`: GPUs that share one token's KV cache out among them."""
    reserved_gb: float = 0.0
    """Of each GPU, for what is neither weights nor caches."""

    @property
    def tokens_per_s(self) -> float:
        """The middle of the range."""
        return (self.slow_tokens_per_s + self.fast_tokens_per_s) / 2


SPEEDS = {
    ("k2", "8xH200"): Speed(30, 45, 8_000, 16, "published"),
    ("k2", "2x8xH200"): Speed(30, 45, 12_000, 24, "assumed"),
    ("k2", "16xH100"): Speed(15, 20, 6_000, 16, "published"),
    ("k2", "8xB200"): Speed(45, 75, 14_000, 16, "assumed"),
    ("k2", "8xB300"): Speed(45, 75, 14_000, 16, "assumed"),
    ("k2", "4xGB300"): Speed(30, 45, 8_000, 16, "assumed"),
    ("k2", "4xMI300X"): Speed(5, 18, 3_000, 16, "assumed", static_share=0.8, kv_bytes=1),
    ("k2", "4xMI355X"): Speed(5, 28, 4_000, 16, "measured", static_share=0.8, kv_bytes=1),
    ("k3", "2x8xH200"): Speed(12, 20, 6_000, 32, "assumed", static_share=0.9, reserved_gb=6),
    ("k3", "2x8xB200"): Speed(18, 24, 8_000, 32, "measured", static_share=0.85,
                              context_parallel=16, reserved_gb=6),
    ("k3", "8xB300"): Speed(18, 24, 8_000, 32, "assumed", static_share=0.85,
                            context_parallel=8, reserved_gb=6),
    ("k3", "2x4xGB300"): Speed(18, 24, 8_000, 32, "measured", static_share=0.85,
                               context_parallel=8, reserved_gb=6),
    ("k3", "8xMI355X"): Speed(10, 20, 5_000, 32, "assumed", static_share=0.85, reserved_gb=6),
}  # fmt: skip
"""By family of models and server; where there is no row, no recipe is known."""
