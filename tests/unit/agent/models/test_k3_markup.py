"""Kimi K3's channels in answers of servers without its parsers."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import Turn
from agent.models import k3_markup, kimi_tokens
from agent.models.normalize import turn_of
from agent.models.profiles import PROFILES
from agent.models.stream import Answer, AnsweredCall
from tests.doubles.sglang import k3_detectors as k3
from tests.doubles.sglang.prompts import TEMPLATES
from tests.doubles.sglang.rig import TOOLS
from tests.doubles.sglang.turns import Call, Say

LS = Call.of("bash", command='echo "a" & ls <|x|>', timeout_s=3)
RAW = Say("I look.", "Looking.", (LS,)).tokens(0, TEMPLATES["k3"])


def turned(answer: Answer) -> Turn:
    return turn_of(answer, PROFILES["k3"], TOOLS, {"bash:0"}, 1)


def test_an_answer_in_raw_channels_is_read_and_the_flags_are_named() -> None:
    turn = turned(Answer(content=RAW))
    assert (turn.reasoning, turn.content) == ("I look.", "Looking.")
    (call,) = turn.tool_calls
    assert (call.id, call.name) == ("bash:1", "bash")
    assert json.loads(call.arguments) == json.loads(LS.arguments)
    told = " ".join(turn.warnings)
    assert "--reasoning-parser kimi_k3" in told
    assert "--tool-call-parser kimi_k3" in told


def test_a_call_inside_the_reasoning_is_taken_from_there() -> None:
    raw = f"Hm. {k3.written([('view', json.dumps({'path': 'a.py'}))])}"
    turn = turned(Answer(reasoning=raw))
    assert [call.name for call in turn.tool_calls] == ["view"]
    assert turn.reasoning.strip() == "Hm."
    real = AnsweredCall(id="bash:7", name="bash", arguments="{}")
    assert [c.id for c in turned(Answer(reasoning=raw, calls=(real,))).tool_calls] == ["bash:7"]


@pytest.mark.parametrize("end", ["<|open|>argu", '<|open|>argument key="command"', "ls -"])
def test_a_call_that_is_cut_off_is_given_as_it_is(end: str) -> None:
    raw = f'{k3.TOOLS_OPEN}<|open|>call tool="bash" index="1"<|sep|>{end}'
    (call,) = turned(Answer(content=raw, finish_reason="length")).tool_calls
    assert call.name == "bash"
    with pytest.raises(ValueError):
        json.loads(call.arguments)


def test_arguments_that_are_no_object_come_as_they_were_written() -> None:
    raw = k3.written([("bash", "[1]"), ("bash", "{bad")])
    assert [c.arguments for c in k3_markup.parse(raw).calls] == ["[1]", "{bad"]


def test_other_models_text_stays() -> None:
    text = f"Docs: {k3.THINK_OPEN}"
    assert turn_of(Answer(content=text), PROFILES["generic"], TOOLS).content == text


@pytest.mark.parametrize(
    "text",
    [
        "<|" * 20_000 + "sep|>" * 20_000,
        '<|open|>call tool="a"<|sep|>'
        + '<|open|>argument key="k"<|sep|>' * 5_000
        + k3_markup.CALL_END,
    ],
)
def test_an_answer_that_is_made_to_be_slow_is_not(text: str) -> None:
    started = time.process_time()
    assert not k3_markup.has_tokens(k3_markup.parse(text).text)
    assert time.process_time() - started < 1.0


def test_nested_tokens_of_kimi_k2_are_not_slow_either() -> None:
    started = time.process_time()
    text = "<|" * 20_000 + "im_end|>" * 20_000
    assert not kimi_tokens.has_tokens(kimi_tokens.parse(text, TOOLS).text)
    assert time.process_time() - started < 1.0


PARTS = st.sampled_from(
    ["<|open|>", "<|close|>", "<|sep|>", "think", "call", ' tool="bash"', "<|open|>call", "x", "<"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=12))
def test_no_marker_is_left_in_any_text(parts: list[str]) -> None:
    assert not k3_markup.has_tokens(k3_markup.parse("".join(parts)).text)
