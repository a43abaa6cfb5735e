"""What is fixed in an answer: leaked tokens, missing names, ids."""

from __future__ import annotations

import json

import pytest

from agent.model import ToolSpec, Turn
from agent.models import kimi_tokens
from agent.models.normalize import is_empty, turn_of, unique_ids
from agent.models.profiles import K2_THINKING, PROFILES
from agent.models.stream import Answer, AnsweredCall

BASH = ToolSpec(
    name="bash",
    description="",
    parameters={"type": "object", "properties": {"command": {}, "timeout_s": {}}},
)
VIEW = ToolSpec(
    name="view", description="", parameters={"type": "object", "properties": {"path": {}}}
)
TOOLS = (BASH, VIEW)


def raw(call_id: str, arguments: str) -> str:
    return f"<|tool_call_begin|>{call_id}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"


def section(*calls: str) -> str:
    return f"<|tool_calls_section_begin|>{''.join(calls)}<|tool_calls_section_end|>"


def fixed(answer: Answer, profile: str = "k2-thinking") -> Turn:
    return turn_of(answer, PROFILES[profile], TOOLS)


def test_leaked_calls_become_calls_with_a_warning() -> None:
    text = "I look." + section(raw("functions.bash:0", '{"command":"ls"}'), raw("view:1", "{}"))
    turn = fixed(Answer(content=text))
    assert turn.content == "I look."
    assert [(c.id, c.name, c.arguments) for c in turn.tool_calls] == [
        ("functions.bash:0", "bash", '{"command":"ls"}'),
        ("functions.view:1", "view", "{}"),
    ]
    assert turn.finish_reason == "tool_calls"
    assert "lacks --tool-call-parser kimi_k2" in turn.warnings[0]


def test_without_parsers_thinking_and_calls_are_taken_apart() -> None:
    text = "<think>Hm.</think>Now." + section(raw("functions.bash:0", "{}"))
    turn = fixed(Answer(content=text))
    assert (turn.reasoning, turn.content, len(turn.tool_calls)) == ("Hm.", "Now.", 1)
    assert any("lacks --reasoning-parser kimi_k2" in w for w in turn.warnings)
    straight = fixed(Answer(content="<think>Hm." + section(raw("functions.bash:0", "{}"))))
    assert (straight.reasoning, straight.content) == ("Hm.", "")
    assert len(straight.tool_calls) == 1


def test_a_call_inside_the_reasoning_is_carried_out() -> None:
    turn = fixed(Answer(reasoning="I see." + section(raw("functions.view:0", '{"path":"a"}'))))
    assert turn.reasoning == "I see."
    assert [c.name for c in turn.tool_calls] == ["view"]
    assert "inside the reasoning" in turn.warnings[0]


def test_a_false_start_inside_the_reasoning_is_not_a_second_call() -> None:
    answer = Answer(
        reasoning="I see." + section(raw("functions.view:0", '{"path":"a"}')),
        calls=(AnsweredCall(id="functions.bash:0", name="bash", arguments="{}"),),
    )
    assert [c.name for c in fixed(answer).tool_calls] == ["bash"]


def test_a_call_that_came_both_ways_is_one() -> None:
    answer = Answer(
        content=section(raw("functions.bash:0", "{}"), raw("functions.view:1", "{}")),
        calls=(AnsweredCall(id="functions.bash:0", name="bash", arguments="{}"),),
    )
    assert [c.name for c in fixed(answer).tool_calls] == ["bash", "view"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (raw("7", '{"command":"ls"}'), [("bash", '{"command":"ls"}')]),
        (raw("7", '{"path":"x"}'), [("view", '{"path":"x"}')]),
        (raw("", '{"path":"x"}'), [("view", '{"path":"x"}')]),
        (raw("call_ab", '{"path":"x"}'), [("view", '{"path":"x"}')]),
        (raw("functions.a.b-c:3", "{}"), [("a.b-c", "{}")]),
        (raw("functions.bash:0", "{oops"), [("bash", "{oops")]),
        ("<|tool_call_begin|>functions.bash:0" + raw("view:1", "{}"), [("view", "{}")]),
        (raw("bash:0", '{"c":"<|tool_call_end|>"}'), [("bash", '{"c":"<|tool_call_end|>"}')]),
        ("<|tool_call_begin|>bash:0<|tool_call_argument_begin|>{\"comm", [("bash", '{"comm')]),
        ("<|tool_call_begin|>bash:0", []),
        ("no call at all <|im_end|>", []),
        (
            "<|tool_call_begin|>bash:0<|tool_call_argument_begin|>{} " + raw("view:1", "{}"),
            [("bash", "{}"), ("view", "{}")],
        ),
    ],
)  # fmt: skip
def test_raw_calls(text: str, expected: list[tuple[str, str]]) -> None:
    leak = kimi_tokens.parse(f"Before {text}", TOOLS)
    assert [(c.name, c.arguments) for c in leak.calls] == expected
    assert not kimi_tokens.has_tokens(leak.text)
    assert leak.text.startswith("Before ") or leak.text == "Before"


def test_tokens_made_by_taking_others_out_go_too() -> None:
    leak = kimi_tokens.parse("<|tool_call_<|im_end|>begin|> x", TOOLS)
    assert leak.text == " x"


def test_a_call_whose_tool_cannot_be_inferred_gets_an_unknown_name() -> None:
    turn = fixed(Answer(calls=(AnsweredCall(id="x", arguments='{"zzz":1}'),)))
    assert turn.tool_calls[0].name == "unnamed"
    named = fixed(Answer(calls=(AnsweredCall(id="x", arguments='{"path":"a"}'),)))
    assert named.tool_calls[0].name == "view"
    assert "without a name" in named.warnings[0]


def call(call_id: str, name: str = "bash") -> AnsweredCall:
    return AnsweredCall(id=call_id, name=name)


def test_ids_of_the_right_shape_stay() -> None:
    calls = [call("functions.bash:4"), call("functions.bash:5")]
    assert unique_ids(calls, set(), 4, markup="kimi_k2") == ["functions.bash:4", "functions.bash:5"]


def test_other_ids_count_on() -> None:
    calls = [call("call_x"), call(""), call("3"), call("functions.bash:4")]
    assert unique_ids(calls, {"functions.bash:6"}, 4, markup="kimi_k2") == [
        "functions.bash:4",
        "functions.bash:5",
        "functions.bash:7",
        "functions.bash:8",
    ]


def test_a_name_with_characters_that_ids_cannot_contain() -> None:
    (made,) = unique_ids([call("", "rm -rf /")], set(), 0, markup="kimi_k2")
    assert made == "functions.rm_-rf_:0"


def test_other_servers_ids_are_kept_unless_used_twice() -> None:
    calls = [call("call_x"), call("call_x"), call("")]
    assert unique_ids(calls, set(), 0, markup="") == ["call_x", "call_1", "call_2"]


def test_emptiness() -> None:
    assert is_empty(fixed(Answer(reasoning="Hm.", content=" \n")))
    assert not is_empty(fixed(Answer(content="x")))
    # The budget ran out in the middle of thinking: the loop hears of it.
    assert not is_empty(fixed(Answer(reasoning="Hm.", finish_reason="length")))


def test_a_stop_with_calls_is_a_call() -> None:
    answer = Answer(calls=(call("functions.bash:0"),), finish_reason="stop")
    assert fixed(answer).finish_reason == "tool_calls"
    assert fixed(Answer(content="x", finish_reason="tool_calls")).finish_reason == "stop"
    assert "ended the generation" in fixed(Answer(finish_reason="abort")).warnings[0]


def test_inference_follows_the_keys() -> None:
    assert kimi_tokens.infer_name(json.dumps({"command": 1}), TOOLS) == "bash"
    assert kimi_tokens.infer_name("not json", TOOLS) == ""
    assert kimi_tokens.infer_name("[1]", TOOLS) == ""
    assert kimi_tokens.infer_name("not json", (VIEW,)) == "view"
    assert K2_THINKING.flags.tool_calls == "--tool-call-parser kimi_k2"
