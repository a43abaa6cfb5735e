"""Lists of models, as servers give them."""

from __future__ import annotations

import httpx
import pytest

from agent.models.served import chosen_model, list_models, served_models


@pytest.mark.parametrize(
    ("listing", "windows"),
    [
        ({"data": [{"id": "a", "max_model_len": 5}, {"id": "b", "meta": {"n_ctx": 6}}]}, [5, 6]),
        ({"data": [{"id": "a", "max_context_length": 7, "aliases": ["c", 1]}]}, [7]),
        ({"data": [{"id": "a", "meta": None, "aliases": "x"}, {"name": "b"}, 5]}, [None]),
        ({"data": {"id": "a"}}, []),
        ([], []),
    ],
)
def test_lists_of_models(listing: object, windows: list[int | None]) -> None:
    assert [card.window for card in served_models(listing)] == windows


def test_a_server_with_one_model_gives_it_for_any_name() -> None:
    two = served_models({"data": [{"id": "a", "aliases": ["b"]}, {"id": "c"}]})
    assert [chosen_model(two, name) for name in ("b", "c", "x")] == [two[0], two[1], None]
    assert chosen_model(two[:1], "x") is two[0]
    assert chosen_model((), "x") is None


async def test_the_list_is_asked_for_again_where_the_connection_was_closed() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) == 1:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return httpx.Response(200, json={"data": [{"id": "m", "meta": {"n_ctx": 4096}}]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        served = await list_models(client, "http://model/v1")
    assert [model.window for model in served] == [4096]
