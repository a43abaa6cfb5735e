"""Calls in a model's text: which are taken, and what is not one."""

from __future__ import annotations

import json

import pytest

from agent.model import ToolSpec
from agent.models.normalize import turn_of
from agent.models.profiles import PROFILES
from agent.models.stream import Answer, AnsweredCall
from agent.models.written_calls import written_calls

TOOLS = tuple(
    ToolSpec(
        name=name,
        description="",
        parameters={
            "properties": {"command": {"type": "string"}, "timeout_s": {"type": "integer"}}
        },
    )
    for name in ("bash", "view")
)
LS = '{"name": "bash", "arguments": {"command": "ls"}}'
PWD = '{"name": "functions.view", "parameters": {"command": "pwd"}}'


@pytest.mark.parametrize(
    ("text", "commands", "left"),
    [
        (LS, ["ls"], ""),
        (f"I look.\n```json\n{LS}\n```\nThe result is: nothing.", ["ls"], "I look."),
        (f"<tool_call>\n{LS}\n</tool_call>\n<tool_call>{PWD}</tool_call>", ["ls", "pwd"], ""),
        (f"<tool_call>{LS}", ["ls"], ""),
        (f"Now:\n```\n{LS}", ["ls"], "Now:"),
        (f"[{LS}, {PWD}]", ["ls", "pwd"], ""),
        (f"[TOOL_CALLS] [{LS}]", ["ls"], ""),
        (f"{LS}\n{LS}", ["ls"], ""),
        (f"{LS}\nIt printed a.py.\n{PWD}", ["ls"], ""),
        (f"{LS}. Please provide more.", ["ls"], ""),
        (
            '{"type": "function", "function": '
            '{"name": "bash", "arguments": "{\\"command\\": \\"ls\\"}"}}',
            ["ls"],
            "",
        ),
        ('{"name": "bash", "arguments": {"command": "a\nb"}}', ["a\nb"], ""),
        (
            "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n"
            "<parameter=timeout_s>\n5\n</parameter>\n</function>\n</tool_call>",
            ["ls"],
            "",
        ),
    ],
)
def test_calls_are_taken_from_the_text(text: str, commands: list[str], left: str) -> None:
    written = written_calls(text, TOOLS)
    assert [json.loads(call.arguments)["command"] for call in written.calls] == commands
    assert written.text == left


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would run bash with ls.",
        f"The issue says {LS} in the middle of a line.",
        '{"name": "nope", "arguments": {}}',
        '{"name": "bash"}',
        '{"name": "bash", "arguments": "ls"}',
        '{"name": "bash", "arguments": {"command": "ls"}, "version": 2}',
        '{"name": "bash", "arguments": {"command": "l',
        f"[{LS}, 5]",
        "[" * 100_000 + "bash",
        "```json\n{}\n```\nbash\n" * 2_000,
    ],
)
def test_what_is_no_call(text: str) -> None:
    assert written_calls(text, TOOLS).calls == ()
    assert written_calls(text, TOOLS).text == text


def test_a_written_call_becomes_one_with_a_warning_unless_there_is_a_real_one() -> None:
    turn = turn_of(Answer(content=f"Hm.\n{LS}"), PROFILES["llama-cpp"], TOOLS)
    assert [(c.id, c.name) for c in turn.tool_calls] == [("call_0", "bash")]
    assert (turn.finish_reason, turn.content) == ("tool_calls", "Hm.")
    assert "the server lacks --jinja" in turn.warnings[0]
    real = AnsweredCall(id="x", name="view", arguments="{}")
    both = turn_of(Answer(content=LS, calls=(real,)), PROFILES["llama-cpp"], TOOLS)
    assert [c.name for c in both.tool_calls] == ["view"]
    assert both.content == LS
