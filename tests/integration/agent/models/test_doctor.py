"""The examination of a server, against the stand-in with each flag missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from agent.models.doctor import Endpoint, check_endpoint
from agent.models.findings import Finding
from agent.models.http import Timeouts
from agent.models.profiles import K2_THINKING, PROFILES, Profile
from tests.doubles.sglang.chaos import Chaos
from tests.doubles.sglang.prompts import TEMPLATES
from tests.doubles.sglang.server import Flags, Server, StandIn
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
    policy = more.pop("policy", SUMS)
    async with serving(StandIn(policy, flags, **more).app) as url:
        secret = SecretStr(key) if key else None
        return await check_endpoint(Endpoint(profile=profile, base_urls=(url,), api_key=secret))


SERVED = {
    name: Flags(model=PROFILES[name].model, template=name, context_length=PROFILES[name].window)
    for name in TEMPLATES
}


@pytest.mark.parametrize("name", sorted(SERVED))
async def test_a_server_that_fits_passes_all(name: str) -> None:
    findings = await examined(SERVED[name], PROFILES[name])
    assert [f.name for f in findings if not f.ok] == []
    named = {f.name: f for f in findings}
    assert named["several turns"].detail == "4 turns with results."
    all_of_it = "all of it" in named["earlier thinking"].detail
    assert all_of_it == (PROFILES[name].reasoning_history == "all")
    assert ("images are seen" in named) == PROFILES[name].sees_images


def faults(findings: list[Finding]) -> dict[str, str]:
    return {f.name: f.text for f in findings if not f.ok}


async def test_k3_behind_the_parsers_of_k2_is_named() -> None:
    found = faults(await examined(replace(SERVED["k3"], parsers="kimi_k2"), PROFILES["k3"]))
    assert "raw tokens of Kimi K3" in found["tool calls are parsed"]
    assert "--tool-call-parser kimi_k3" in found["tool calls are parsed"]
    assert "--reasoning-parser kimi_k3" in found["reasoning is separate"]
    assert "window" not in found


async def test_k3_behind_k2_thinkings_profile_is_named() -> None:
    flags = replace(SERVED["k3"], parsers="kimi_k2", model=K2_THINKING.model)
    found = faults(await examined(flags))
    assert "its model writes the tokens of Kimi K3" in found["profile"]
    assert "Choose the profile k3" in found["profile"]


async def test_k2_7_without_preserved_thinking_is_named() -> None:
    flags = replace(SERVED["k2.7-code"], template="k2.5")
    found = faults(await examined(flags, PROFILES["k2.7-code"]))
    assert set(found) == {"earlier thinking"}
    assert "moonshotai/Kimi-K2.7-Code is to see all of it" in found["earlier thinking"]
    assert "no --chat-template" in found["earlier thinking"]


async def test_another_model_than_the_profiles_is_named() -> None:
    found = faults(await examined(SERVED["k2.7-code"], PROFILES["k2.5"]))
    assert "it serves moonshotai/Kimi-K2.7-Code" in found["profile"]
    assert "Choose the profile k2.7-code" in found["profile"]
    assert "keeps all thinking" in found["earlier thinking"]
    assert "lists moonshotai/Kimi-K2.7-Code" in found["model is served"]


async def test_a_text_only_server_with_images_is_named() -> None:
    flags = replace(SERVED["k2.6"], language_model_only=True)
    found = faults(await examined(flags, PROFILES["k2.6"]))
    assert set(found) == {"images are seen"}
    assert "without --language-model-only" in found["images are seen"]
    blind = PROFILES["k2.6"].model_copy(update={"sees_images": False})
    assert faults(await examined(flags, blind)) == {}


async def test_a_wrong_window_is_named_also_where_the_list_has_none() -> None:
    flags = replace(SERVED["k3"], context_length=131_072)
    for hidden in (False, True):
        found = faults(await examined(replace(flags, hides_window=hidden), PROFILES["k3"]))
        assert set(found) == {"window"}
        assert "131072 tokens; the profile counts on 1048576" in found["window"]
        assert "--context-length 1048576" in found["window"]


async def test_turns_that_are_lost_after_results_are_named() -> None:
    lost = scripted(
        Say("I use the tool.", "", (Call.of("add", a=2, b=3),)),
        Say("Once more.", "", (Call.of("add", a=40, b=2),)),
        Say("All of it is thinking, the call too."),
    )
    findings = await examined(policy=lost)
    assert set(faults(findings)) == {"several turns"}
    assert "Turn 3 came back with neither" in faults(findings)["several turns"]
    assert "start the router without parsers" in faults(findings)["several turns"]


async def test_thinking_that_a_router_drops_is_named() -> None:
    flags = replace(SERVED["k2.6"], drops_thinking=True)
    found = faults(await examined(flags, PROFILES["k2.6"]))
    assert "let no router drop reasoning_content" in found["earlier thinking"]


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


async def test_vllm_without_its_tool_flags_is_named() -> None:
    flags = Flags(server="vllm", tool_call_parser=False)
    found = faults(await examined(flags, PROFILES["vllm"]))
    assert "--enable-auto-tool-choice --tool-call-parser kimi_k2" in found["answers"]


@pytest.mark.parametrize(
    ("server", "profile"),
    [("vllm", "vllm"), ("nim", "k2-thinking-nim"), ("ktransformers", "ktransformers")],
)
async def test_other_servers_that_fit_pass_all(server: Server, profile: str) -> None:
    known = PROFILES[profile]
    flags = Flags(server=server, model=known.model, context_length=known.window)
    assert faults(await examined(flags, known)) == {}


async def test_another_kind_of_server_is_named() -> None:
    flags = replace(SERVED["k3"], server="vllm")
    found = faults(await examined(flags, PROFILES["k3"]))
    assert "The server says that it is vllm" in found["profile"]
    assert "Choose the profile k3-vllm" in found["profile"]
