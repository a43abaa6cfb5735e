"""What is known of a server and its model, as data. See docs/models.md for the sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from agent.model import Record

KIMI_WINDOW = 262_144
"""Tokens of context that Kimi K2 Thinking and its successors up to K2.7 were trained for."""
K3_WINDOW = 1_048_576
"""Tokens of context of Kimi K3 (docs_new/cookbook/autoregressive/Moonshotai/Kimi-K3.mdx)."""
ANY_MODEL = "default"
"""Model id for servers that have one model and answer to any name."""

Server = Literal["sglang", "vllm", "ktransformers", "nim", "moonshot", "llama-cpp", ""]
"""Kind of server; empty: any that speaks the protocol."""
Markup = Literal["kimi_k2", "kimi_k3", ""]
"""Control tokens that a model writes its calls and thinking in; empty: none that is known."""
ReasoningHistory = Literal["since_last_answer", "all", "none"]
"""Which earlier thinking the model's chat template renders, and so which is sent.

`since_last_answer`: that of messages after the last assistant message without tool calls, so
that such a message must not be kept in the middle of a run. `all`: that of every assistant
message. `none`: the model has no thinking, or its server wants none back.
"""


class ServerFlags(Record):
    """Words of the operator's launch command, named when a check fails."""

    tool_calls: str = "a tool-call parser"
    reasoning: str = "a reasoning parser"
    cache: str = "the report of cached tokens"
    window: str = "a longer context"
    cache_hits: str = "Leave the server's prefix cache on, and send a run to one server only."
    """What to do where cached tokens are reported, and are none: whole sentences."""
    images: str = "Serve a model with a vision encoder, or set the profile's sees_images to false."
    """What to do where the server refuses an image: whole sentences."""


class Profile(Record):
    """How to speak with one kind of server about one model."""

    name: str
    model: str
    """Model id in requests, unless the user names another."""
    server: Server = ""
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
    reasoning_history: ReasoningHistory = "since_last_answer"
    reasoning_efforts: tuple[str, ...] = ()
    """Levels of thinking that the model knows; empty: it has none."""
    reasoning_effort: str = ""
    """The level to ask for; empty: the model's default.

    Kimi K3 has it rendered before all messages: a run that changes it between two turns loses
    its whole cached prefix.
    """
    sees_images: bool = False
    """Whether the model takes images beside text."""
    markup: Markup = ""
    """With `kimi_k2`, ids are `functions.NAME:N`; with either, leaked tokens are parsed."""
    routing_header: str = "X-SMG-Routing-Key"
    """Carries the run's key for sticky routing; empty: not sent."""
    extra_body: Mapping[str, Any] = Field(default_factory=dict)
    """Further fields of each request."""
    flags: ServerFlags = ServerFlags()

    @model_validator(mode="after")
    def _knows_its_effort(self) -> Profile:
        if self.reasoning_effort and self.reasoning_effort not in self.reasoning_efforts:
            known = ", ".join(self.reasoning_efforts) or "none"
            raise ValueError(f"reasoning_effort {self.reasoning_effort!r}: known are {known}")
        return self


def _sglang_flags(parser: str) -> ServerFlags:
    return ServerFlags(
        tool_calls=f"--tool-call-parser {parser}",
        reasoning=f"--reasoning-parser {parser}",
        cache="--enable-cache-report",
        window="--context-length",
        cache_hits="Leave the prefix cache on (no --disable-radix-cache), and route by run: "
        "--policy manual --assignment-mode min_group.",
        images="Start the server without --language-model-only, or set the profile's sees_images "
        "to false.",
    )


def _vllm_flags(parser: str) -> ServerFlags:
    return ServerFlags(
        tool_calls=f"--enable-auto-tool-choice --tool-call-parser {parser}",
        reasoning=f"--reasoning-parser {parser}",
        cache="--enable-prompt-tokens-details",
        window="--max-model-len",
        cache_hits="Leave the prefix cache on (no --no-enable-prefix-caching), and send a run to "
        "one server only.",
        images="Start the server without --language-model-only and without an image limit of 0 "
        "in --limit-mm-per-prompt, or set the profile's sees_images to false.",
    )


_LLAMA_CPP_FLAGS = ServerFlags(
    tool_calls="--jinja and, where the model's own chat template knows no tools, "
    "--chat-template-file",
    reasoning="--reasoning-format auto",
    cache="a release that reports them (usage.prompt_tokens_details)",
    window="--ctx-size",
    cache_hits="Leave --cache-prompt on, and give --parallel no more slots than there are runs.",
    images="Start the server with --mmproj, or set the profile's sees_images to false.",
)

K2_THINKING = Profile(
    name="k2-thinking",
    model="moonshotai/Kimi-K2-Thinking",
    server="sglang",
    temperature=1.0,
    top_p=1.0,
    markup="kimi_k2",
    flags=_sglang_flags("kimi_k2"),
)
# Kimi-K2.5.mdx: the architecture and parsers of K2, images, thinking unless
# chat_template_kwargs.thinking is false. Its template has no switch that keeps thinking, as
# radixark/miles found (miles/utils/chat_template_utils/tito_tokenizer.py).
K2_5 = K2_THINKING.model_copy(
    update={"name": "k2.5", "model": "moonshotai/Kimi-K2.5", "top_p": 0.95, "sees_images": True}
)
# Kimi-K2.6.mdx: temperature 1.0 and top_p 0.95 for thinking. The template has the switch
# preserve_thinking, and the tokenizer leaves it off (apply_chat_template of tokenization_kimi.py).
# 98,304 tokens is the most that Moonshot gave one turn in its own evaluations.
K2_6 = K2_5.model_copy(
    update={
        "name": "k2.6",
        "model": "moonshotai/Kimi-K2.6",
        "max_output_tokens": 98_304,
        "reasoning_history": "all",
        "extra_body": {"chat_template_kwargs": {"preserve_thinking": True}},
    }
)
# Kimi-K2.7-Code.mdx: thinking and preserved thinking cannot be switched off.
K2_7_CODE = K2_6.model_copy(
    update={"name": "k2.7-code", "model": "moonshotai/Kimi-K2.7-Code", "extra_body": {}}
)
# Kimi-K3.mdx: always thinking, parsers kimi_k3, effort low, high or max (the default), temperature
# and top_p fixed by the model. Moonshot's API gives a turn 131,072 tokens unless asked otherwise.
K3 = Profile(
    name="k3",
    model="moonshotai/Kimi-K3",
    server="sglang",
    window=K3_WINDOW,
    temperature=1.0,
    top_p=0.95,
    max_output_tokens=131_072,
    min_output_tokens=32_000,
    reasoning_history="all",
    reasoning_efforts=("low", "high", "max"),
    sees_images=True,
    markup="kimi_k3",
    flags=_sglang_flags("kimi_k3"),
)

_PLAIN = {"routing_header": "", "flags": ServerFlags()}


def _on_vllm(profile: Profile, name: str) -> Profile:
    # vLLM renamed the field in 0.11 and still takes the old name.
    fields = ("reasoning", "reasoning_content")
    flags = _vllm_flags(profile.markup)
    return profile.model_copy(
        update={"name": name, "server": "vllm", "reasoning_fields": fields, "flags": flags}
    )


def _on_ktransformers(profile: Profile, name: str) -> Profile:
    # KTransformers is SGLang with other kernels: same parsers, a smaller default window.
    return profile.model_copy(update={"name": name, "server": "ktransformers", "window": 131_072})


def _on_nim(profile: Profile, name: str, model: str) -> Profile:
    # NIM LLM 2 is vLLM, some images SGLang (docs.nvidia.com/nim/large-language-models).
    fields = ("reasoning", "reasoning_content")
    changed = {"name": name, "model": model, "server": "nim", "reasoning_fields": fields}
    return profile.model_copy(update={**changed, **_PLAIN})


def _at_moonshot(profile: Profile, name: str, model: str, **body: Any) -> Profile:
    """Moonshot's own API, which takes no sampling for its models of today but their own."""
    fixed = {} if profile.name == K2_THINKING.name else {"temperature": None, "top_p": None}
    changed = {"name": name, "model": model, "server": "moonshot", "extra_body": body}
    return profile.model_copy(update={**changed, **fixed, **_PLAIN})


PROFILES: Mapping[str, Profile] = {
    p.name: p
    for p in (
        K2_THINKING,
        _on_nim(K2_THINKING, "k2-thinking-nim", "moonshotai/kimi-k2-thinking"),
        _on_vllm(K2_THINKING, "vllm"),
        _on_ktransformers(K2_THINKING, "ktransformers"),
        _at_moonshot(K2_THINKING, "moonshot", "kimi-k2-thinking"),
        K2_5,
        _on_vllm(K2_5, "k2.5-vllm"),
        _on_ktransformers(K2_5, "k2.5-ktransformers"),
        _on_nim(K2_5, "k2.5-nim", "moonshotai/kimi-k2.5"),
        _at_moonshot(K2_5, "k2.5-moonshot", "kimi-k2.5"),
        K2_6,
        _on_vllm(K2_6, "k2.6-vllm"),
        _on_nim(K2_6, "k2.6-nim", "moonshotai/kimi-k2.6"),
        # platform.kimi.ai/docs/guide/use-kimi-k2-thinking-model: history is ignored otherwise.
        _at_moonshot(
            K2_6, "k2.6-moonshot", "kimi-k2.6", thinking={"type": "enabled", "keep": "all"}
        ),
        K2_7_CODE,
        _on_vllm(K2_7_CODE, "k2.7-code-vllm"),
        _at_moonshot(K2_7_CODE, "k2.7-code-moonshot", "kimi-k2.7-code"),
        K3,
        _on_vllm(K3, "k3-vllm"),
        _at_moonshot(K3, "k3-moonshot", "kimi-k3"),
        Profile(
            name="llama-cpp",
            model=ANY_MODEL,
            server="llama-cpp",
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


_SERVERS: Mapping[str, Server] = {"sglang": "sglang", "vllm": "vllm", "llamacpp": "llama-cpp"}
"""What a server calls itself (`owned_by` in its list of models) → its kind."""
_WITHIN: Mapping[Server, tuple[Server, ...]] = {
    "ktransformers": ("sglang",),
    "nim": ("vllm", "sglang"),
}
"""Kinds that call themselves by the name of the server that is in them."""
_FAMILY = re.compile(r"k2[._-]?thinking|k2[._]5|k2[._]6|k2[._]7|\bk3(?![\d._])", re.IGNORECASE)


def family(model: str) -> str:
    """What tells the Kimi models apart in a model's id; empty for others."""
    found = _FAMILY.search(model)
    return re.sub("[._-]", "", found.group().lower()) if found else ""


def fitting_profile(owner: str, model: str, profile: Profile) -> str:
    """The profile that fits a server better, by its own words and its model's id; empty: none.

    A profile without a kind of server, and one for a model that is not known, fits any.
    """
    kind, seen = _SERVERS.get(owner, ""), family(model)
    wanted = profile.server
    if kind in _WITHIN.get(wanted, ()) or not kind or not wanted:
        kind = wanted
    own = family(profile.model)
    if not own or not seen:
        seen = own
    if (kind, seen) == (wanted, own):
        return ""
    fits = (p.name for p in PROFILES.values() if (p.server, family(p.model)) == (kind, seen))
    plain = (p.name for p in PROFILES.values() if p.server == kind)
    return next(fits, "") or next(plain, "")


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
