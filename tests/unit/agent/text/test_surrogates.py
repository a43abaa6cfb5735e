"""Halves of characters in what a model writes."""

from __future__ import annotations

import json

from agent.journal.events import EVENT, HypothesisProposed, ModelTurned
from agent.model import ToolCall
from agent.models.stream import Assembly
from agent.text.surrogates import join_surrogates, join_surrogates_in
from agent.tools.registry import parse_call


def test_halves_that_belong_together_are_joined_and_others_replaced() -> None:
    assert join_surrogates("a\ud83d\ude00b") == "a😀b"
    assert join_surrogates("a\ud83d") == "a\ufffd"
    assert join_surrogates_in({"\ud800": ["x\udc00", 1, None]}) == {"\ufffd": ["x\ufffd", 1, None]}
    plain = "nothing to do"
    assert join_surrogates(plain) is plain


def test_a_character_that_a_server_sends_in_two_pieces_arrives_whole() -> None:
    assembly = Assembly()
    deltas = [
        {"content": "\ud83d", "reasoning_content": "\ude00"},
        {"content": "\ude00"},
        {"tool_calls": [{"index": 0, "id": "b:0", "function": {"name": "bash\ud83d"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"command": "\ud83d\ude00"}'}}]},
    ]
    for delta in deltas:
        chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        assembly.feed(f"data: {json.dumps(chunk)}\n\n".encode())
    assembly.feed(b"data: [DONE]\n\n")
    answer = assembly.finish()
    assert (answer.content, answer.reasoning) == ("😀", "\ufffd")
    [call] = answer.calls
    assert call.name == "bash\ufffd"
    turned = ModelTurned(reasoning=answer.reasoning, content=answer.content)
    assert EVENT.validate_json(EVENT.dump_json(turned)) == turned


def test_arguments_can_always_be_kept() -> None:
    written = '{"action": "propose", "claim": "\\ud800", "prediction": "p", "test": "t"}'
    parsed = parse_call(ToolCall(id="x", name="hypothesis", arguments=written))
    assert not isinstance(parsed, str)
    claim = parsed[1].model_dump()["claim"]
    proposed = HypothesisProposed(
        hypothesis="H1", claim=claim, prediction="p", test="t", snapshot="s"
    )
    assert b"\xef\xbf\xbd" in EVENT.dump_json(proposed)
