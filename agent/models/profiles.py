"""What is known of a server and its model, as data. See docs/models.md for the sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from agent.model import Record

KIMI_WINDOW = 262_144
"""Tokens of context that Kimi K2 Thinking was trained for."""
ANY_MODEL = "default"
"""Model id for servers that have one model and answer to any name."""


class ServerFlags(Record):
    """Words of the operator's launch command, named when a check fails."""

    tool_calls: str = "a tool-call parser"
    reasoning: str = "a reasoning parser"
    cache: str = "the report of cached tokens"
    window: str = "a longer context"
    cache_hits: str = "Leave the server's prefix cache on, and send a run to one server only."
    """What to do where cached tokens are reported, and are none: whole sentences."""


class Profile(Record):
    """How to speak with one kind of server about one model."""

    name: str
    model: str
    """Model id in requests, unless the user names another."""
    window: int = Field(default=KIMI_WINDOW, gt=0)
    """Context window, tokens."""
    temperature: float | None = None
    """None: the server's default."""
    top_p: float | None = None
    max_output_tokens: int = Field(default=32_000, gt=0)
    """Most tokens of one turn, thinking included."""
    min_output_tokens: int = Field(default=16_000, gt=0)
    """Fewest tokens that a turn is worth asking for: with less left the context is too long."""
    reasoning_fields: tuple[str, ...] = ("reasoning_content",)
    """Fields in which earlier reasoning is sent back; all known ones are read."""
    kimi_tokens: bool = False
    """The model writes Kimi K2's control tokens: ids are `functions.NAME:N`, leaks are parsed."""
    routing_header: str = "X-SMG-Routing-Key"
    """Carries the run's key for sticky routing; empty: not sent."""
    extra_body: Mapping[str, Any] = Field(default_factory=dict)
    """Further fields of each request."""
    flags: ServerFlags = ServerFlags()


_SGLANG_FLAGS = ServerFlags(
    tool_calls="--tool-call-parser kimi_k2",
    reasoning="--reasoning-parser kimi_k2",
    cache="--enable-cache-report",
    window="--context-length",
    cache_hits="Leave the prefix cache on (no --disable-radix-cache), and route by run: "
    "--policy manual --assignment-mode min_group.",
)
_VLLM_FLAGS = ServerFlags(
    tool_calls="--enable-auto-tool-choice --tool-call-parser kimi_k2",
    reasoning="--reasoning-parser kimi_k2",
    cache="--enable-prompt-tokens-details",
    window="--max-model-len",
    cache_hits="Leave the prefix cache on (no --no-enable-prefix-caching), and send a run to one "
    "server only.",
)
_LLAMA_CPP_FLAGS = ServerFlags(
    tool_calls="--jinja and, where the model's own chat template knows no tools, "
    "--chat-template-file",
    reasoning="--reasoning-format auto",
    cache="a release that reports them (usage.prompt_tokens_details)",
    window="--ctx-size",
    cache_hits="Leave --cache-prompt on, and give --parallel no more slots than there are runs.",
)

K2_THINKING = Profile(
    name="k2-thinking",
    model="moonshotai/Kimi-K2-Thinking",
    temperature=1.0,
    top_p=1.0,
    kimi_tokens=True,
    flags=_SGLANG_FLAGS,
)

PROFILES: Mapping[str, Profile] = {
    p.name: p
    for p in (
        K2_THINKING,
        K2_THINKING.model_copy(
            update={
                "name": "k2-thinking-nim",
                "model": "moonshotai/kimi-k2-thinking",
                "routing_header": "",
                "flags": ServerFlags(),
            }
        ),
        K2_THINKING.model_copy(
            update={
                "name": "vllm",
                # vLLM renamed the field in 0.11 and still takes the old name.
                "reasoning_fields": ("reasoning", "reasoning_content"),
                "flags": _VLLM_FLAGS,
            }
        ),
        # KTransformers is SGLang with other kernels: same parsers, a smaller default window.
        K2_THINKING.model_copy(update={"name": "ktransformers", "window": 131_072}),
        K2_THINKING.model_copy(
            update={
                "name": "moonshot",
                "model": "kimi-k2-thinking",
                "routing_header": "",
                "flags": ServerFlags(),
            }
        ),
        Profile(
            name="llama-cpp",
            model=ANY_MODEL,
            window=131_072,
            max_output_tokens=8_192,
            min_output_tokens=512,
            routing_header="",
            flags=_LLAMA_CPP_FLAGS,
        ),
        Profile(
            name="generic",
            model=ANY_MODEL,
            window=131_072,
            max_output_tokens=16_000,
            min_output_tokens=4_000,
            routing_header="",
        ),
    )
}
"""The profiles that come with Patchwright, by name; `k2-thinking` is the default."""


FITTING_PROFILES: Mapping[str, str] = {
    "sglang": "k2-thinking",
    "vllm": "vllm",
    "llamacpp": "llama-cpp",
}
"""What a server calls itself (`owned_by` in its list of models) → the profile for its kind."""


class BadProfile(ValueError):
    """A profile in the settings is wrong; the message says where."""


def profile_named(name: str, added: Mapping[str, Mapping[str, Any]] | None = None) -> Profile:
    """The profile of that name: one that the user added, else one that comes with Patchwright.

    An added profile is a table of fields over another profile, its `base` (`generic` if none is
    named): `{"mine": {"base": "k2-thinking", "window": 128000}}`. Raises `BadProfile`.
    """
    added = added or {}
    if name not in added:
        if name in PROFILES:
            return PROFILES[name]
        known = ", ".join(sorted({*PROFILES, *added}))
        raise BadProfile(f"There is no model profile {name!r}; known are: {known}.")
    fields = dict(added[name])
    base = str(fields.pop("base", "generic"))
    if base not in PROFILES:
        raise BadProfile(f"Model profile {name!r}: its base {base!r} is not a built-in one.")
    try:
        return Profile.model_validate({**PROFILES[base].model_dump(), **fields, "name": name})
    except ValidationError as error:
        where = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'profile'}: {e['msg']}" for e in error.errors()
        )
        raise BadProfile(f"Model profile {name!r}: {where}.") from error
