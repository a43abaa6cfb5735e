"""The client and its servers: away, several, of other kinds, and their keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from agent.errors import ModelAway, ModelRefused
from agent.models.doctor import Endpoint, check_endpoint
from agent.models.openai_compat import OpenAICompatModel
from agent.models.profiles import K2_THINKING, PROFILES
from agent.models.retry import Patience
from tests.doubles.sglang.chaos import Chaos
from tests.doubles.sglang.rig import END, LOOK, START, TOOLS, grown, rig
from tests.doubles.sglang.server import Flags, StandIn
from tests.doubles.sglang.serving import free_port, serving
from tests.doubles.sglang.turns import scripted


async def test_a_server_that_is_away_is_waited_for_and_then_given_up() -> None:
    async with rig(scripted(END)) as r:
        model = r.model([f"http://127.0.0.1:{free_port()}"])
        with pytest.raises(ModelAway, match=r"cannot be reached.*waited 600 s"):
            await model.turn(START, TOOLS)
        assert sum(r.slept) == pytest.approx(600.0)
        assert len(r.waits) == len(r.slept)
        assert "cannot be reached" in r.waits[0][0]
        await model.close()


async def test_a_server_that_comes_back_in_time_is_used() -> None:
    chaos = Chaos(share=1.0, kinds=["503"])
    async with rig(scripted(END), chaos=chaos) as r:
        model = r.model()

        async def sleep(seconds: float) -> None:
            r.now += seconds
            if r.now > 300:
                chaos.share = 0.0

        model._sleep = sleep
        turn = await model.turn(START, TOOLS)
        assert turn.content == "All done."
        assert any("request queue is full" in reason for reason, _ in r.waits)
        await model.close()


async def test_a_wrong_key_is_refused_and_never_shown() -> None:
    async with rig(scripted(END), Flags(api_key="right")) as r:
        model = r.model(api_key=SecretStr("wrong-secret"))
        with pytest.raises(ModelRefused, match="refused the API key") as caught:
            await model.turn(START, TOOLS)
        assert "wrong-secret" not in str(caught.value)
        assert "wrong-secret" not in repr(vars(model))
        await model.close()
        model = r.model(api_key=SecretStr("right"))
        assert (await model.turn(START, TOOLS)).content == "All done."
        await model.close()


async def test_a_key_that_no_header_can_hold_is_refused_unseen() -> None:
    async with rig(scripted(END)) as r:
        for key in ("se\ncret", "secrét"):
            model = r.model(api_key=SecretStr(key))
            with pytest.raises(ModelRefused, match="line break") as caught:
                await model.turn(START, TOOLS)
            assert "cr" not in str(caught.value)
            (finding,) = await check_endpoint(
                Endpoint(profile=K2_THINKING, base_urls=(r.url,), api_key=SecretStr(key))
            )
            assert not finding.ok
            await model.close()
        model = r.model(api_key=SecretStr("good\n"), routing_key="rün 1\n")
        assert (await model.turn(START, TOOLS)).content == "All done."
        assert list(r.server.seen.keys) == ["r%C3%BCn%201%0A"]
        await model.close()


async def test_a_run_keeps_its_server_and_moves_when_it_dies() -> None:
    policy = scripted(LOOK, LOOK, LOOK, END)
    async with rig(policy) as one, rig(policy) as two:
        gone = StandIn(policy)
        async with serving(gone.app) as url:
            urls = [one.url, two.url, url]
            models = [one.model(urls, routing_key=f"run-{i}") for i in range(6)]
            shared = models[0]._endpoints
            for model in models:
                model._endpoints = shared
            turns = [await model.turn(START, TOOLS) for model in models]
            counts = [s.seen.requests for s in (one.server, two.server, gone)]
            assert counts == [2, 2, 2]
            for model, turn in zip(models, turns, strict=True):
                await model.turn(grown(START, turn), TOOLS)
            assert all(set(s.seen.keys.values()) == {2} for s in (one.server, two.server, gone))
        for model, turn in zip(models, turns, strict=True):
            again = await model.turn(grown(START, turn), TOOLS)
            assert again.tool_calls
        assert one.server.seen.requests + two.server.seen.requests == 8 + 6
        assert one.slept == []
        for model in models:
            await model.close()


@pytest.mark.parametrize("name", sorted(PROFILES))
async def test_every_profile_works_with_a_plain_server(name: str) -> None:
    async with rig(scripted(LOOK, END)) as r:
        model = r.model(profile=PROFILES[name])
        turn = await model.turn(START, TOOLS)
        assert (await model.turn(grown(START, turn), TOOLS)).content == "All done."
        assert r.server.seen.refusals == []
        await model.close()


async def test_one_connection_serves_all_turns() -> None:
    async with rig(scripted(LOOK, LOOK, LOOK, END)) as r:
        model, messages = r.model(), START
        for _ in range(4):
            messages = grown(messages, await model.turn(messages, TOOLS))
        assert len(r.server.seen.connections) == 1
        await model.close()


@asynccontextmanager
async def answering(*answers: Response) -> AsyncIterator[tuple[OpenAICompatModel, list[int]]]:
    """A model at a server that gives these answers in turn, the last one again and again."""
    asked: list[int] = []

    async def answer(_: Request) -> Response:
        asked.append(1)
        return answers[min(len(asked), len(answers)) - 1]

    app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])

    async def sleep(_: float) -> None:
        return None

    async with serving(app) as url:
        model = OpenAICompatModel(PROFILES["generic"], [url], sleep=sleep)
        yield model, asked
        await model.close()


async def test_a_server_that_does_not_stream_is_understood() -> None:
    whole = {
        "choices": [{"message": {"content": "hi", "reasoning": "r"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }
    async with answering(JSONResponse(whole)) as (model, _):
        turn = await model.turn(START, TOOLS)
        assert (turn.content, turn.reasoning, turn.usage.prompt_tokens) == ("hi", "r", 5)


async def test_an_error_with_status_200_is_an_error() -> None:
    error = JSONResponse({"error": {"message": "no such model", "code": 404}})
    async with answering(error) as (model, asked):
        with pytest.raises(ModelRefused, match="no such model"):
            await model.turn(START, TOOLS)
        assert len(asked) == 1


async def test_what_is_no_answer_at_all_is_given_up() -> None:
    async with answering(HTMLResponse("<p>Welcome to nginx!")) as (model, asked):
        with pytest.raises(ModelAway, match="ended before"):
            await model.turn(START, TOOLS)
        assert len(asked) == Patience().retries + 1
