"""The model that a run gets from the settings: profiles, patience, shared servers."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from agent.errors import ModelAway
from agent.model import Message
from agent.models.openai_compat import OpenAICompatModel
from app.llm.factory import make_model, profile_of, routing_key
from app.publishing.facts import FACTS_LOG, ReportPreferences
from app.server.bootstrap import build, warm_streams
from app.settings.base import SettingsError
from app.settings.loading import load
from app.settings.schema import PREFIX, Settings
from app.storage.store import SqlStore
from sandbox.docker.engine import DockerEngine
from tests.support.runs.stored import trigger

MINE = {"mine": {"base": "k2-thinking", "model": "k2", "window": 128_000}}


def test_a_profile_of_ones_own_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}MODEL", "mine")
    monkeypatch.setenv(f"{PREFIX}MODEL_URL", "http://h:1")
    monkeypatch.setenv(f"{PREFIX}MODEL_PROFILES", json.dumps(MINE))
    monkeypatch.setenv(f"{PREFIX}MODEL_OVERRIDES", '{"temperature": 0.5}')
    profile = profile_of(load())
    assert (profile.name, profile.model, profile.window) == ("mine", "k2", 128_000)
    assert (profile.temperature, profile.markup) == (0.5, "kimi_k2")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "k2"}, "no model profile 'k2'; known are: .*mine"),
        ({"model": "k2", "model_overrides": {"window": 1}}, "no model profile 'k2'"),
        ({"model": "mine", "model_overrides": {"window": 0}}, "'mine': window"),
        ({"model": "mine", "model_profiles": {"mine": {"bas": "vllm"}}}, "'mine': bas"),
    ],
)
def test_a_wrong_profile_is_refused_by_name(settings: dict[str, object], words: str) -> None:
    values = {"model_url": ("http://h:1",), "model_profiles": MINE, **settings}
    with pytest.raises(SettingsError, match=words):
        profile_of(Settings(**values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "settings", "fixing", "looking"),
    [
        ("k3", {}, "", ""),
        ("k3", {"model_effort": "high"}, "high", "high"),
        ("k3", {"model_effort_looking": "low"}, "", "low"),
        ("k3", {"model_effort": "max", "model_effort_looking": "low"}, "max", "low"),
        ("high", {"model_effort": "max"}, "high", "high"),
        ("high", {"model_effort": "max", "model_effort_looking": "low"}, "high", "low"),
        ("k2-thinking", {"model_effort": "max", "model_effort_looking": "low"}, "", ""),
    ],
)
def test_thinking_by_what_a_conversation_is_for(
    model: str, settings: dict[str, str], fixing: str, looking: str
) -> None:
    own = {"high": {"base": "k3", "reasoning_effort": "high"}}
    given = {"model_url": ("http://h:1",), "model_profiles": own, **settings}
    known = Settings(model=model, **given)  # type: ignore[arg-type]
    assert profile_of(known).reasoning_effort == fixing
    assert profile_of(known, looking=True).reasoning_effort == looking


def test_a_level_that_the_model_has_not_is_refused() -> None:
    known = Settings(model="k3", model_url=("http://h:1",), model_effort_looking="lwo")
    assert profile_of(known).reasoning_effort == ""
    with pytest.raises(SettingsError, match="'lwo': known are low, high, max"):
        profile_of(known, looking=True)


def remote(settings: Settings, run_id: str, seed: int = 0) -> OpenAICompatModel:
    model = make_model(settings, run_id=run_id, seed=seed)
    assert isinstance(model, OpenAICompatModel)
    return model


SEVERAL = {
    "model": "k2.5",
    "model_url": "http://small:1",
    "model_api_key": "for-small",
    "model_name": "our-k2.5",
    "repo_models": ("k3", "k2.6", "k2-thinking"),
    "model_servers": {
        "k3": {"url": "http://big:1, http://big:2", "api_key": "for-big", "warm_streams": 12},
        "k2.6": {"url": ["http://keyless:1"], "name": "our-k2.6"},
    },
}


@pytest.mark.parametrize(
    ("profile", "host", "key", "name"),
    [
        ("k2.5", "small", "Bearer for-small", "our-k2.5"),
        ("k3", "big", "Bearer for-big", "moonshotai/Kimi-K3"),
        ("k2.6", "keyless", None, "our-k2.6"),
        ("k2-thinking", "small", "Bearer for-small", "moonshotai/Kimi-K2-Thinking"),
    ],
)
async def test_each_profile_has_its_own_servers_key_and_name(
    profile: str, host: str, key: str | None, name: str
) -> None:
    settings = Settings(**SEVERAL, model_patience_s=0.0)  # type: ignore[arg-type]
    model = remote(settings.with_model(profile), "run-0")
    requests: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(503, text="away")

    headers = model._client.headers
    await model._client.aclose()
    model._client = httpx.AsyncClient(transport=httpx.MockTransport(note), headers=headers)
    with pytest.raises(ModelAway, match=f"^{profile}: "):
        await model.turn([Message(role="user", content="hello")], ())
    asked = [request for request in requests if request.method == "POST"]
    assert {request.url.host for request in requests} == {host}
    assert {request.headers.get("authorization") for request in asked} == {key}
    assert {json.loads(request.content)["model"] for request in asked} == {name}
    await model.close()


def test_room_is_minded_for_each_endpoint(tmp_path: Path) -> None:
    settings = Settings(**SEVERAL, state_dir=tmp_path)  # type: ignore[arg-type]
    store = SqlStore(settings.database)
    found = warm_streams(settings, store)
    assert set(found) == {"k2.5", "k3", "k2.6", "k2-thinking"}
    assert found["k2.5"] is found["k2-thinking"]
    assert len({id(warm) for warm in found.values()}) == 3
    unknown = {"repo_models": ("k2.55",), "model_servers": {}}
    with pytest.raises(SettingsError, match=r"no model profile 'k2\.55'"):
        warm_streams(Settings(**{**SEVERAL, **unknown}), store)  # type: ignore[arg-type]
    # The bound of one endpoint is none of another's, and no attempt of an endpoint passes it.
    only_k3 = {"model": "k3", "repo_models": ("vllm",), "model_name": ""}
    other = warm_streams(Settings(**{**SEVERAL, **only_k3}), store)  # type: ignore[arg-type]
    assert set(other) == {"k3"}  # vLLM's metrics do not tell
    store.close()


async def asked(model: OpenAICompatModel, seen: dict[str, list[str]], answer: int) -> None:
    """One turn at servers that note who came and fail with `answer`."""

    def note(request: httpx.Request) -> httpx.Response:
        seen.setdefault(request.headers["x-smg-routing-key"], []).append(request.url.host)
        return httpx.Response(answer, text="away")

    await model._client.aclose()
    model._client = httpx.AsyncClient(transport=httpx.MockTransport(note))
    with pytest.raises(ModelAway):
        await model.turn([Message(role="user", content="hello")], ())


async def test_runs_of_one_process_share_what_is_known_of_the_servers() -> None:
    urls = ("http://one:1", "http://two:1", "http://three:1")
    settings = Settings(model="k2-thinking", model_url=urls, model_patience_s=0.0)
    seen: dict[str, list[str]] = {}
    models = [remote(settings, f"run-{i}") for i in range(3)]
    models.append(remote(settings, "run-0", seed=1))
    await asked(models[0], seen, 503)
    (first,) = set(seen["run-0"][:1])
    for model in models[1:]:
        await asked(model, seen, 503)
    # Each failure is known to the next run: it begins elsewhere.
    assert seen["run-1"][0] != first
    assert len({seen[key][0] for key in ("run-0", "run-1", "run-2")}) == 3
    assert routing_key("run-0", 1) in seen
    for model in models:
        await model.close()


async def test_the_patience_is_the_settings() -> None:
    settings = Settings(model="k2-thinking", model_url=("http://patient:1",), model_patience_s=0.0)
    seen: dict[str, list[str]] = {}
    model = remote(settings, "run-0")
    await asked(model, seen, 503)
    assert len(seen["run-0"]) == 1
    await model.close()


@pytest.mark.parametrize(
    ("preferences", "name"), [(ReportPreferences(model="mine"), "mine/k2"), (None, "k2-thinking/")]
)
async def test_a_run_gets_the_model_that_its_repository_chose(
    tmp_path: Path, preferences: ReportPreferences | None, name: str
) -> None:
    settings = Settings(
        state_dir=tmp_path, model_url=("http://h:1",), model_profiles=MINE, repo_models=("mine",)
    )
    store = SqlStore(settings.database)
    run_id = store.accept("d1", "issues", trigger(), model="k2-thinking").run_id
    if preferences:
        store.put_log(run_id, FACTS_LOG, preferences.model_dump_json().encode())
    services = build(settings, store, DockerEngine("unix:///nonexistent/docker.sock"))
    model = services.make_model(run_id, 0, no_news, False)
    assert model.name.startswith(name)
    assert isinstance(model, OpenAICompatModel)
    await model.close()
    store.close()


@pytest.mark.parametrize(
    ("attempt", "name"), [(1, "mine/"), (2, "mine/"), (3, "k2-thinking/"), (9, "k2-thinking/")]
)
async def test_each_attempt_has_the_model_of_its_rung(
    tmp_path: Path, attempt: int, name: str
) -> None:
    settings = Settings(
        state_dir=tmp_path, model_url=("http://h:1",), model_profiles=MINE, repo_models=("mine",)
    )
    store = SqlStore(settings.database)
    run_id = store.accept("d1", "issues", trigger(), model="k2-thinking").run_id
    preferences = ReportPreferences(model="mine", ladder=("mine", "k2-thinking"), attempts=2)
    store.put_log(run_id, FACTS_LOG, preferences.model_dump_json().encode())
    services = build(settings, store, DockerEngine("unix:///nonexistent/docker.sock"))
    model = services.make_model(run_id, attempt - 1, no_news, False)
    assert model.name.startswith(name)
    await model.close()
    store.close()


async def no_news(_reason: str, _seconds: float) -> None:
    """Nobody waits."""
