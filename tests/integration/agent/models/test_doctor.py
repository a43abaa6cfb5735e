"""The examination of a server, against the stand-in with each flag missing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from agent.models.doctor import Endpoint, Finding, check_endpoint
from agent.models.http import Timeouts
from agent.models.profiles import K2_THINKING, PROFILES, Profile
from tests.doubles.sglang.chaos import Chaos
from tests.doubles.sglang.server import Flags, StandIn
from tests.doubles.sglang.serving import free_port, serving
from tests.doubles.sglang.turns import Call, Say, scripted

SUMS = scripted(
    Say("I use the tool.", "", (Call.of("add", a=2, b=3),)),
    Say("Once more.", "", (Call.of("add", a=40, b=2),)),
)


async def examined(
    flags: Flags | None = None,
    profile: Profile = K2_THINKING,
    key: str = "",
    **more: Any,
) -> list[Finding]:
    async with serving(StandIn(SUMS, flags, **more).app) as url:
        secret = SecretStr(key) if key else None
        return await check_endpoint(Endpoint(profile=profile, base_urls=(url,), api_key=secret))


async def test_a_server_that_fits_passes_all() -> None:
    findings = await examined()
    assert [f.name for f in findings if not f.ok] == []
    assert len(findings) == 7


@pytest.mark.parametrize(
    ("missing", "flag"),
    [
        ({"tool_call_parser": False}, "--tool-call-parser kimi_k2"),
        ({"reasoning_parser": False}, "--reasoning-parser kimi_k2"),
        ({"enable_cache_report": False}, "--enable-cache-report"),
        ({"context_length": 128_000}, "--context-length 262144"),
    ],
)
async def test_a_missing_flag_is_named_and_nothing_else(missing: dict[str, Any], flag: str) -> None:
    findings = await examined(Flags(**missing))
    assert [f.name for f in findings if not f.ok and flag not in f.fix] == []
    assert [f for f in findings if not f.ok and flag in f.fix]


async def test_ids_of_another_shape_are_named() -> None:
    findings = await examined(chaos=Chaos(share=1.0, kinds=["foreign_ids"]))
    (bad,) = [f for f in findings if not f.ok]
    assert bad.name == "call ids are in order"
    assert "--tool-call-parser kimi_k2" in bad.fix


async def test_the_flags_are_those_of_the_servers_kind() -> None:
    findings = await examined(Flags(tool_call_parser=False), PROFILES["vllm"])
    assert any("--enable-auto-tool-choice" in f.fix for f in findings)


async def test_llama_cpp_is_recognised_and_its_window_read() -> None:
    flags = Flags(llama_cpp=True, context_length=4_096, model="qwen.gguf")
    found = {f.name: f for f in await examined(flags)}
    assert "Choose the profile llama-cpp" in found["profile"].fix
    assert "it lists qwen.gguf" in found["model is served"].detail
    assert found["window"].detail == "4096 tokens; the profile counts on 262144."
    profile = PROFILES["llama-cpp"].model_copy(update={"model": "qwen.gguf", "window": 4_096})
    found = {f.name: f for f in await examined(flags, profile)}
    assert [f.name for f in found.values() if not f.ok] == []
    assert "profile" not in found
    larger = {f.name: f for f in await examined(flags, PROFILES["llama-cpp"])}
    assert "--ctx-size 131072" in larger["window"].fix
    assert larger["model is served"].text == "qwen.gguf, whatever name is asked for."


async def test_a_call_in_the_text_is_explained_with_the_models_own_words() -> None:
    flags = Flags(llama_cpp=True, context_length=262_144)
    chaos = Chaos(share=1.0, kinds=["written_call"])
    found = {f.name: f for f in await examined(flags, PROFILES["llama-cpp"], chaos=chaos)}
    assert "“```json" in found["tool calls are parsed"].detail
    assert '"name": "add"' in found["tool calls are parsed"].detail
    assert "--jinja" in found["tool calls are parsed"].fix
    assert found["reasoning goes back"].ok
    chaos = Chaos(share=1.0, kinds=["length"])
    found = {f.name: f for f in await examined(flags, PROFILES["generic"], chaos=chaos)}
    assert not found["tool calls are parsed"].ok


async def test_a_wrong_key_and_a_server_that_is_not_there() -> None:
    (finding,) = await examined(Flags(api_key="right"), key="wrong-one")
    assert not finding.ok
    assert "API key" in finding.fix
    assert "wrong-one" not in finding.detail
    for address in (f"http://127.0.0.1:{free_port()}", "not-an-address", "http://[oops"):
        nowhere = Endpoint(profile=K2_THINKING, base_urls=(address,))
        (finding,) = await check_endpoint(nowhere, Timeouts(connect_s=2))
        assert not finding.ok
        assert finding.fix in finding.text


async def test_a_server_that_only_fails_is_one_finding() -> None:
    (finding,) = await examined(chaos=Chaos(share=1.0, kinds=["500"]))
    assert not finding.ok
    assert "Internal server error" in finding.detail
