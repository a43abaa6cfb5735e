"""The models as a server's memory sees them. Sources of each figure: docs/capacity.md.

Units: bytes, gigabytes of 10^9 bytes, tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.models.profiles import KIMI_WINDOW

GB = 1e9


@dataclass(frozen=True, slots=True)
class RecurrentState:
    """What linear attention keeps of a conversation: as much for a short one as for a long one."""

    layers: int
    heads: int
    head_dim: int
    conv_kernel: int
    number_bytes: int = 4
    """Of the state itself (`--mamba-ssm-dtype`); the convolution's is always bfloat16."""
    running_slots: int = 5
    """States that a running request holds (`--mamba-radix-cache-strategy extra_buffer`)."""

    def slot_bytes(self, gpus: int) -> float:
        """Bytes of one state on each GPU: tensor parallelism shares its heads out."""
        heads = self.heads / gpus
        state = heads * self.head_dim**2 * self.number_bytes
        convolution = (self.conv_kernel - 1) * 3 * heads * self.head_dim * 2
        return self.layers * (state + convolution)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that a server holds."""

    name: str
    """As the model profile is called."""
    model: str
    family: str
    """Models of one family have the same speed."""
    weights_gb: float
    mla_layers: int
    """Layers of multi-head latent attention: each keeps a token's latent and rotary key."""
    window: int = KIMI_WINDOW
    kv_lora_rank: int = 512
    qk_rope_dim: int = 64
    state: RecurrentState | None = None
    """None: all layers keep tokens."""
    attention_gb: float = 0.0
    """Attention weights, of which each attention group holds a copy."""
    written: float = 1.0
    """Tokens that it writes in a turn, as a multiple of K2 Thinking's and K2.6's."""

    def kv_bytes_per_token(self, number_bytes: int = 2) -> int:
        """Bytes of KV cache for one token."""
        return self.mla_layers * (self.kv_lora_rank + self.qk_rope_dim) * number_bytes


def _attention_gb() -> float:
    """K2's attention weights in bfloat16, which INT4 leaves alone."""
    hidden, heads, q_rank, nope, rope, value, rank = 7168, 64, 1536, 128, 64, 128, 512
    query = hidden * q_rank + q_rank * heads * (nope + rope)
    expand = rank * heads * (nope + value)
    return 61 * (query + hidden * (rank + rope) + expand + heads * value * hidden) * 2 / GB


K2_ATTENTION_GB = _attention_gb()


def _k2(name: str, model: str, weights_gb: float, written: float = 1.0) -> ServedModel:
    return ServedModel(
        name, model, "k2", weights_gb, 61, attention_gb=K2_ATTENTION_GB, written=written
    )


MODELS = {
    row.name: row
    for row in (
        _k2("k2-thinking", "moonshotai/Kimi-K2-Thinking", 594),
        _k2("k2.5", "moonshotai/Kimi-K2.5", 595),
        _k2("k2.6", "moonshotai/Kimi-K2.6", 595),
        _k2("k2.7-code", "moonshotai/Kimi-K2.7-Code", 595, written=0.7),
        ServedModel(
            "k3",
            "moonshotai/Kimi-K3",
            "k3",
            1_560,
            24,
            window=1_048_576,
            state=RecurrentState(layers=69, heads=96, head_dim=128, conv_kernel=4),
        ),
    )
}
"""The models by name of their profiles."""
