"""A model on a server, and what its memory leaves for conversations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.operations.capacity.hardware import HARDWARE, SPEEDS, Hardware, Speed
from app.operations.capacity.models import GB, MODELS, ServedModel
from app.operations.capacity.workload import Workload

STORE_GB_PER_S = 12.0
"""From another machine's memory to one GPU, by RDMA: half of 200 Gb/s. Assumed."""


class NoRecipe(ValueError):
    """There is no such model or hardware, or no recipe for both; the message names what exists."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How the server is set up."""

    model: ServedModel
    hardware: Hardware
    speed: Speed
    kv_bytes: int = 2
    """Bytes per number in the KV cache: 2 for bfloat16, 1 for `--kv-cache-dtype fp8_e4m3`."""
    attention_groups: int = 1
    """`--attn-dp-size`: each group keeps the caches of its own streams. 1: all GPUs keep all."""
    host_ratio: float = 0.0
    """`--hicache-ratio`: host memory for caches, as a multiple of the GPUs'. 0: no HiCache."""
    store_gb: float = 0.0
    """A server's part of a Mooncake store, in GB of caches."""
    prefill_servers: int = 0
    """Prefill and decode apart: so many servers read the prompts. 0: each server does both."""
    decode_servers: int = 0
    speculative: float = 1.0
    """How many times faster a draft model makes a stream."""

    @property
    def tokens_per_s(self) -> float:
        """Written tokens per second in one stream."""
        return self.speed.tokens_per_s * self.speculative

    @property
    def servers(self) -> int:
        """Servers that work together as one."""
        return max(1, self.prefill_servers + self.decode_servers)

    @property
    def gpus(self) -> int:
        """GPUs of all of them."""
        return self.servers * self.hardware.gpus

    @property
    def name(self) -> str:
        """The model and its hardware."""
        return f"{self.model.name} {self.hardware.name}"

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes that one token takes of each GPU's memory."""
        return self.model.kv_bytes_per_token(self.kv_bytes) / self.speed.context_parallel


@dataclass(frozen=True, slots=True)
class Pools:
    """What fits into the memory of one server."""

    tokens: float
    """Tokens of KV cache on the GPUs."""
    states: float = float("inf")
    """States of linear attention on the GPUs."""
    host_tokens: float = 0.0
    """Tokens of KV cache behind them: in host memory and in the store."""


def serving(
    model: str,
    hardware: str,
    *,
    tokens_per_s: float = 0.0,
    prefill_tokens_per_s: float = 0.0,
    streams: int = 0,
    kv_bytes: int = 0,
    groups: int = 1,
) -> Serving:
    """A server by names, with measured figures in place of the known ones where given.

    Raises `NoRecipe`.
    """
    for kind, name, known in (("model", model, MODELS), ("hardware", hardware, HARDWARE)):
        if name not in known:
            raise NoRecipe(f"there is no {kind} {name!r}; known are {', '.join(known)}")
    row, on = MODELS[model], HARDWARE[hardware]
    if (row.family, hardware) not in SPEEDS:
        fitting = ", ".join(hardware_for(model))
        raise NoRecipe(f"no recipe is known for {model} on {hardware}; there are {fitting}")
    if groups < 1 or on.gpus % groups or (groups > 1 and not row.attention_gb):
        raise NoRecipe(f"{model} on {hardware}: {on.gpus} GPUs do not make {groups} groups")
    speed = SPEEDS[row.family, hardware]
    speed = replace(
        speed,
        streams=streams or speed.streams,
        prefill_tokens_per_s=prefill_tokens_per_s or speed.prefill_tokens_per_s,
    )
    if tokens_per_s:
        speed = replace(speed, slow_tokens_per_s=tokens_per_s, fast_tokens_per_s=tokens_per_s)
    return Serving(row, on, speed, kv_bytes or speed.kv_bytes, groups)


def fitted(work: Workload, one: Serving) -> Workload:
    """The work within the model's window; a window of 0 asks for all of it."""
    return replace(work, window=min(work.window or one.model.window, one.model.window))


def hardware_for(model: str) -> list[str]:
    """Names of the servers for which a recipe of this model is known."""
    return [name for family, name in SPEEDS if family == MODELS[model].family]


def room_per_gpu(one: Serving) -> float:
    """Bytes of each GPU that are left for caches."""
    row, model = one.hardware, one.model
    copies = model.attention_gb * (one.attention_groups - 1) / row.gpus
    free = row.gpu_gb * one.speed.static_share - one.speed.reserved_gb
    return max(0.0, (free - model.weights_gb / row.gpus - copies) * GB)


def pools(one: Serving, context: float) -> Pools:
    """What fits, if a stream holds `context` tokens on average.

    The latent has no heads to share out, so tensor parallelism repeats it on each GPU: the pool is
    one GPU's, for each attention group. Linear attention's states take their part of it, in the
    proportion in which streams of that length need both (`--mamba-full-memory-ratio`).
    """
    room, state = room_per_gpu(one), one.model.state
    token = one.kv_bytes_per_token
    if state is None:
        tokens = one.attention_groups * room / token
        states = float("inf")
    else:
        stream = context * token + state.running_slots * state.slot_bytes(one.hardware.gpus)
        tokens = room / stream * context
        states = room / stream * state.running_slots
    stored = one.store_gb * GB / one.model.kv_bytes_per_token(one.kv_bytes)
    return Pools(tokens, states, one.host_ratio * tokens + stored)


def load_tokens_per_s(one: Serving) -> float:
    """Tokens of KV cache that come back to the GPUs in a second."""
    store_is_used = one.store_gb > 0
    speed = STORE_GB_PER_S if store_is_used else one.hardware.host_gb_per_s
    return min(speed, one.hardware.host_gb_per_s) * GB / one.kv_bytes_per_token


def send_tokens_per_s(one: Serving) -> float:
    """Tokens of KV cache that go from prefill to decode in a second: each GPU sends its own."""
    return STORE_GB_PER_S * GB / one.kv_bytes_per_token
