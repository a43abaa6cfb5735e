"""Assembly of a turn from a stream, however it is cut."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import AgentError
from agent.model import ToolSpec, Turn
from agent.models.kimi_tokens import has_tokens
from agent.models.normalize import turn_of
from agent.models.profiles import K2_THINKING, PROFILES
from agent.models.repetition import DRIFTING, drifts
from agent.models.stream import Answer, Assembly, EndlessRepetition, StreamBroken, StreamError
from tests.doubles.sglang import wire
from tests.doubles.sglang.answering import Parsing, cut

BASH = ToolSpec(
    name="bash",
    description="",
    parameters={"type": "object", "properties": {"command": {}}},
)
VIEW = ToolSpec(
    name="view",
    description="",
    parameters={"type": "object", "properties": {"path": {}}},
)
FUNCTIONS = [{"name": t.name, "parameters": t.parameters} for t in (BASH, VIEW)]


def sse(*chunks: object) -> bytes:
    return b"".join(wire.sse(chunk) for chunk in chunks) + wire.DONE


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def assembled(data: bytes, ends: list[int] | None = None) -> Answer:
    assembly = Assembly()
    cuts = [0, *sorted(min(e, len(data)) for e in ends or []), len(data)]
    for a, b in itertools.pairwise(cuts):
        assembly.feed(data[a:b])
    return assembly.finish()


WHOLE = sse(
    delta(role="assistant", content=""),
    delta(reasoning_content="Thin"),
    delta(reasoning_content="king é"),
    delta(content="Now."),
    delta(tool_calls=[{"index": 0, "id": "functions.bash:0", "function": {"name": "bash"}}]),
    delta(tool_calls=[{"index": 0, "id": None, "function": {"arguments": '{"command":'}}]),
    delta(tool_calls=[{"index": 1, "id": "functions.view:1", "function": {"name": "view"}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": '"ls"}'}}]),
    delta(tool_calls=[{"index": 1, "function": {"arguments": "{}"}}]),
    delta(finish="tool_calls"),
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    },
)


def test_pieces_become_one_answer() -> None:
    answer = assembled(WHOLE)
    assert (answer.reasoning, answer.content) == ("Thinking é", "Now.")
    assert [(c.id, c.name, c.arguments) for c in answer.calls] == [
        ("functions.bash:0", "bash", '{"command":"ls"}'),
        ("functions.view:1", "view", "{}"),
    ]
    assert answer.finish_reason == "tool_calls"
    assert (answer.usage.prompt_tokens, answer.usage.cached_tokens) == (9, 4)
    assert answer.cache_reported


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_any_line_end_and_every_cut(end: bytes) -> None:
    data = b": ping" + end + end + WHOLE.replace(b"\n", end)
    expected = assembled(WHOLE)
    for size in (1, 2, 3, 7):
        assert assembled(data, list(range(0, len(data), size))) == expected


def test_data_over_several_lines_is_one_event() -> None:
    data = b'event: x\ndata: {"choices":\ndata: [{"delta":{"content":"a"},"finish_reason":"stop"}'
    data += b"]}\n\n"
    assert assembled(data).content == "a"


def test_the_last_event_counts_without_its_blank_line() -> None:
    data = wire.sse(delta(content="a")) + b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}'
    assert assembled(data).content == "a"


def test_both_names_of_the_reasoning_are_read_once() -> None:
    assert assembled(sse(delta("stop", reasoning="a", reasoning_content="a"))).reasoning == "a"
    assert assembled(sse(delta("stop", reasoning="b"))).reasoning == "b"


def test_a_stream_that_ends_early_is_broken() -> None:
    with pytest.raises(StreamBroken, match="ended before"):
        assembled(wire.sse(delta(content="a")))
    with pytest.raises(StreamBroken):
        assembled(b"")


@pytest.mark.parametrize("data", [b"{oops", b"[1]", b"[" * 9_000, b"\xff"])
def test_what_is_no_json_object_is_broken(data: bytes) -> None:
    with pytest.raises(StreamBroken):
        assembled(b"data: " + data + b"\n\n" + WHOLE)


def test_an_error_inside_the_stream_is_raised_with_its_text() -> None:
    error = wire.error("Request waiting timeout reached.", 503)
    with pytest.raises(StreamError, match="waiting timeout") as caught:
        assembled(sse(delta(content="a"), {"error": error}))
    assert caught.value.error["code"] == 503


def test_an_event_without_end_is_cut_off() -> None:
    assembly = Assembly()
    with pytest.raises(StreamBroken, match="16 MB"):
        for _ in range(20):
            assembly.feed(b"data: " + b"x" * 2**20)


@pytest.mark.parametrize("field", ["reasoning_content", "content", "arguments"])
def test_repetition_is_cut_off_at_any_position(field: str) -> None:
    piece = "I should check this again. "
    assembly = Assembly()
    with pytest.raises(EndlessRepetition):
        for _ in range(2_000):
            fields = (
                {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
                if field == "arguments"
                else {field: piece}
            )
            assembly.feed(wire.sse(delta(**fields)))


@pytest.mark.parametrize("field", ["reasoning_content", "content"])
@pytest.mark.parametrize("share_of_new", [0.0, 0.3])
def test_prose_that_says_nearly_the_same_is_cut_off(field: str, share_of_new: float) -> None:
    rng = random.Random(5)
    words = [
        ("Wait,", "Hmm,", "Actually,", "But then,", "No,"),
        ("the parser", "this function", "the test", "that line"),
        ("may fail on", "does not handle", "looks wrong for", "could skip"),
        ("nested quotes.", "escaped quotes.", "an empty string.", "the last item."),
        ("I check it again.", "Let me read it once more.", "So I am not sure."),
    ]
    assembly, written = Assembly(), 0
    with pytest.raises(EndlessRepetition):
        while written < 20_000:
            piece = " ".join(rng.choice(part) for part in words) + f" ({written}) "
            if rng.random() < share_of_new:
                piece += " ".join(f"w{rng.choices('abcdefgh', k=5)}" for _ in range(5)) + ". "
            written += len(piece)
            assembly.feed(wire.sse(delta(**{field: piece})))
    assert written < 14_000


def test_real_prose_code_and_tables_are_no_repetition() -> None:
    root = Path(__file__).parents[4]
    texts = [p.read_text() for p in (*root.glob("docs/*.md"), *root.glob("agent/**/*.py"))]
    long = [text for text in texts if len(text) > DRIFTING]
    assert len(long) > 10
    assert [t[:80] for t in long if any(drifts(t[:n]) for n in range(8_000, len(t), 4_000))] == []
    assert not drifts("".join(f"| {i} | 0x{i:04x} | {i * 7} |\n" for i in range(2_000)))


def test_long_text_that_continues_is_not_repetition() -> None:
    text = "".join(f"line {i}: value {i * i}\n" for i in range(4_000))
    assert assembled(sse(*(delta(content=p) for p in cut(text, 50, "s")), delta("stop"))).content


def test_a_plain_completion_is_an_answer_too() -> None:
    assembly = Assembly()
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "r",
        "tool_calls": [{"id": "a", "function": {"name": "bash", "arguments": {"command": "ls"}}}],
    }
    assembly.take({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    answer = assembly.finish()
    assert (answer.reasoning, answer.calls[0].arguments) == ("r", '{"command": "ls"}')


# -- properties ---------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["a", "é", "\n", "<", "|", "{", "}", '"', "\\", "\r", "\u2028", "\x00", "data:", "🙂", "[DONE]"]
)
TEXT = st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=8).map("".join)
TOKENS = st.sampled_from(
    [
        "<think>", "</think>", "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>",
        "<|tool_call_begin|>", "<|tool_call_end|>", "<|tool_call_argument_begin|>",
        "functions.bash:0", "view:3", "7", "call_x", '{"command": "ls"}', '{"path": "x', "{}",
        "<|im_end|>", "<|tool_call",
    ]
)  # fmt: skip
RAW = st.lists(st.one_of(TOKENS, TEXT), max_size=12).map("".join)
ENDS = st.lists(st.integers(min_value=0, max_value=6_000), max_size=30)


def streamed(raw: str, calls: bool, reasoning: bool, finish: str) -> bytes:
    """The stream of a server with these parsers for what the model wrote."""
    parsing = Parsing("kimi_k2" if calls else "", "kimi_k2" if reasoning else "", FUNCTIONS)
    chunks: list[object] = [wire.text_chunk("x", "m", role="assistant", content="")]
    pieces = cut(raw, 5, raw)
    for number, piece in enumerate(pieces):
        said = parsing.feed(piece, last=number == len(pieces) - 1)
        if said.reasoning:
            chunks.append(wire.text_chunk("x", "m", reasoning=said.reasoning))
        if said.content:
            chunks.append(wire.text_chunk("x", "m", content=said.content))
        for call in said.calls:
            call_id = f"functions.{call.name}:{call.index}" if call.name else None
            chunks.append(wire.call_chunk("x", "m", call, call_id))
    chunks.append(wire.text_chunk("x", "m", finish=finish))
    chunks.append(wire.usage_chunk("x", "m", wire.usage(3, 2, 1)))
    return sse(*chunks)


def outcome(data: bytes, ends: list[int], profile: str = "k2-thinking") -> Turn | str:
    """The turn, or the name of our own error; anything else fails the test."""
    try:
        return turn_of(assembled(data, ends), PROFILES[profile], (BASH, VIEW))
    except AgentError as error:
        return f"{type(error).__name__}: {error}"


@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    raw=RAW,
    calls=st.booleans(),
    reasoning=st.booleans(),
    finish=st.sampled_from(["stop", "length", "abort"]),
    ends=ENDS,
)
def test_the_same_turn_comes_out_however_the_stream_is_cut(
    raw: str, calls: bool, reasoning: bool, finish: str, ends: list[int]
) -> None:
    data = streamed(raw.encode("utf-8", "replace").decode(), calls, reasoning, finish)
    whole = outcome(data, [])
    assert outcome(data, ends) == whole
    assert isinstance(whole, Turn)
    ids = [call.id for call in whole.tool_calls]
    assert len(ids) == len(set(ids))
    assert all(call.name for call in whole.tool_calls)
    assert not has_tokens(whole.content)
    assert not has_tokens(whole.reasoning)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "content", "tool_calls", "function", "arguments", "usage", "error",
             "index", "id", "name", "finish_reason", "message", "prompt_tokens_details"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(events=st.lists(st.one_of(JSON, st.binary(max_size=20)), max_size=6), ends=ENDS)
def test_any_bytes_give_a_turn_or_an_error_of_ours(events: list[Any], ends: list[int]) -> None:
    data = b"".join(
        e + b"\n" if isinstance(e, bytes) else b"data: " + json.dumps(e).encode() + b"\n\n"
        for e in events
    )
    assert outcome(data, ends) == outcome(data, [])


def test_profiles_differ_in_what_they_fix() -> None:
    raw = "<|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>{}<|tool_call_end|>"
    data = sse(delta("stop", content=raw))
    assert isinstance(fixed := outcome(data, []), Turn)
    assert fixed.tool_calls
    assert isinstance(plain := outcome(data, [], "generic"), Turn)
    assert plain.content == raw
    assert K2_THINKING.markup == "kimi_k2"
