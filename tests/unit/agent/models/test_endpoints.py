"""Which server a run uses; and profiles from the settings."""

from __future__ import annotations

import pytest

from agent.models.endpoints import BadAddress, Endpoints, api_url, server_url
from agent.models.openai_compat import OpenAICompatModel
from agent.models.profiles import PROFILES, BadProfile, profile_named

URLS = ["http://a:1", "http://b:1/", "http://c:1/v1"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_addresses() -> None:
    assert api_url("http://h:30000") == api_url("http://h:30000/v1/") == "http://h:30000/v1"
    assert api_url("https://h/openai/api") == "https://h/openai/api"
    assert server_url("http://h:30000/v1") == "http://h:30000"
    for wrong in ("", "h:30000", "ftp://h", "http://", "http://[x", "http://h:99999999"):
        with pytest.raises(BadAddress):
            api_url(wrong)
    with pytest.raises(BadAddress):
        Endpoints([])


def test_runs_are_spread_and_stay() -> None:
    endpoints = Endpoints(URLS)
    homes = {f"run-{i}": endpoints.choose(f"run-{i}") for i in range(9)}
    assert sorted(list(homes.values()).count(url) for url in endpoints.urls) == [3, 3, 3]
    assert homes == {key: endpoints.choose(key) for key in homes}


def test_runs_of_different_processes_are_spread_too() -> None:
    chosen = [Endpoints(URLS).choose(f"run-{i}") for i in range(300)]
    assert min(chosen.count(url) for url in Endpoints(URLS).urls) > 70


def test_a_run_leaves_a_server_that_is_down_and_does_not_come_back() -> None:
    clock = Clock()
    endpoints = Endpoints(URLS, clock)
    home = endpoints.choose("run")
    endpoints.mark_down(home)
    other = endpoints.choose("run")
    assert other != home
    clock.now = 6.0
    assert endpoints.is_up(home)
    assert endpoints.is_suspect(home)
    assert endpoints.choose("run") == other
    endpoints.mark_up(home)
    assert not endpoints.is_suspect(home)


def test_the_pause_grows_and_ends() -> None:
    clock = Clock()
    endpoints = Endpoints(URLS[:1], clock)
    (url,) = endpoints.urls
    pauses = []
    for _ in range(6):
        endpoints.mark_down(url)
        begin = clock.now
        while not endpoints.is_up(url):
            clock.now += 1.0
        pauses.append(clock.now - begin)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_with_all_down_the_one_that_is_back_first_is_tried() -> None:
    clock = Clock()
    endpoints = Endpoints(URLS, clock)
    for url in endpoints.urls:
        endpoints.mark_down(url)
        clock.now += 1.0
    assert endpoints.choose("run") == endpoints.urls[0]


def test_load_counts_requests_but_not_finished_runs() -> None:
    endpoints = Endpoints(URLS[:2])
    first = endpoints.choose("one")
    endpoints.release("one")
    endpoints.release("one")
    endpoints.request_started(first)
    assert endpoints.choose("two") != first
    endpoints.request_ended(first)


def test_profiles_by_name() -> None:
    assert profile_named("k2-thinking") is PROFILES["k2-thinking"]
    assert {p.model for p in PROFILES.values() if p.server == "sglang"} == {
        "moonshotai/Kimi-K2-Thinking", "moonshotai/Kimi-K2.5", "moonshotai/Kimi-K2.6",
        "moonshotai/Kimi-K2.7-Code", "moonshotai/Kimi-K3",
    }  # fmt: skip
    assert all(p.name == name for name, p in PROFILES.items())
    assert all(p.max_output_tokens >= p.min_output_tokens for p in PROFILES.values())
    with pytest.raises(BadProfile, match="known are: generic, k2-thinking"):
        profile_named("gpt")


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_fits_its_model(name: str) -> None:
    profile = PROFILES[name]
    k3, preserving = "K3" in profile.model.upper(), ("K2.6", "K2.7", "K3")
    if "K2" in profile.model.upper() or k3:
        assert profile.markup == ("kimi_k3" if k3 else "kimi_k2")
        assert profile.sees_images == ("thinking" not in profile.model.lower())
        preserves = any(model in profile.model.upper() for model in preserving)
        assert profile.reasoning_history == ("all" if preserves else "since_last_answer")
        assert bool(profile.reasoning_efforts) == k3
    client = OpenAICompatModel(profile, URLS)
    assert client.preserves_thinking == (profile.reasoning_history == "all")
    assert client.sees_images == profile.sees_images
    if profile.server in ("sglang", "vllm", "ktransformers"):
        parser = f"-parser {profile.markup}"
        assert parser in profile.flags.tool_calls
        assert parser in profile.flags.reasoning


def test_an_effort_that_the_model_does_not_know_is_refused() -> None:
    assert profile_named("x", {"x": {"base": "k3", "reasoning_effort": "low"}})
    with pytest.raises(BadProfile, match="'medium': known are low, high, max"):
        profile_named("x", {"x": {"base": "k3", "reasoning_effort": "medium"}})


def test_a_profile_of_the_users_own() -> None:
    mine = {"base": "k2-thinking", "window": 128_000, "extra_body": {"top_k": 5}}
    profile = profile_named("mine", {"mine": mine})
    assert (profile.name, profile.window, profile.temperature) == ("mine", 128_000, 1.0)
    assert profile.extra_body == {"top_k": 5}
    assert profile_named("vllm", {"mine": mine}) is PROFILES["vllm"]
    assert profile_named("plain", {"plain": {"model": "m"}}).reasoning_fields


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"window": -1}, "window"),
        ({"windows": 1}, "windows"),
        ({"base": "nothing"}, "'nothing'"),
    ],
)
def test_a_wrong_profile_says_where(fields: dict[str, object], words: str) -> None:
    with pytest.raises(BadProfile, match=words):
        profile_named("mine", {"mine": fields})
