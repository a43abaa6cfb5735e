"""Context cuts and the messages that a journal folds to."""

from dataclasses import replace

import pytest

from agent.decisions.context_cut import (
    KEEP_RECENT,
    SHORTEST_TURN,
    high_water,
    low_water,
    plan_cut,
)
from agent.journal.events import AttemptStarted, ModelTurned, NoteAdded, ToolFinished
from agent.journal.state import AttemptState, fold, step
from agent.model import Message, Picture, ToolCall, Usage
from bench.context_cuts import Case, run

WINDOW = 10_000


def conversation(turns: int, size: int = 1500, reasoning: str = "think") -> AttemptState:
    state = fold(
        [
            AttemptStarted(
                model="m",
                prompt_version="1",
                base_commit="c",
                system_prompt="system",
                task_prompt="task",
                test_command="pytest",
            )
        ]
    )
    for i in range(turns):
        call = ToolCall(id=f"functions.bash:{i}", name="bash", arguments='{"command": "ls"}')
        chars = sum(len(m.content) + len(m.reasoning) for m in state.messages)
        usage = Usage(prompt_tokens=chars // 4, completion_tokens=10)
        turned = ModelTurned(reasoning=reasoning, tool_calls=(call,), usage=usage)
        output = f"out {i}\n" + "x" * size
        done = ToolFinished(
            call_id=call.id, name="bash", status="ok", output=output, log_id=f"bash:{i}"
        )
        state = fold([turned, done], state)
    return state


def shown(number: int) -> Picture:
    name = f"attached:image-{number}"
    return Picture(id=name, name="a", width=1000, height=700, size=9)


def with_pictures(state: AttemptState) -> AttemptState:
    """The same conversation, with two images after the task."""
    task, rest = state.messages[:2], state.messages[2:]
    images = Message(role="user", content="Images:", pictures=(shown(1), shown(2)))
    return replace(state, messages=(*task, images, *rest))


def test_images_go_first_and_all_of_them() -> None:
    state = with_pictures(conversation(25))
    planned = plan_cut(state, WINDOW)
    assert planned is not None
    assert planned.pictures == ("attached:image-1", "attached:image-2")
    after = step(state, planned)
    assert not any(m.pictures for m in after.messages)
    assert "log tool" in after.messages[2].content
    assert after.messages[:2] == state.messages[:2]
    again = plan_cut(after, WINDOW, force=True)
    assert again is None or again.pictures == ()


def test_images_count_so_that_less_else_has_to_go() -> None:
    plain, state = conversation(25), with_pictures(conversation(25))
    tokens = sum(shown(n).tokens for n in (1, 2))
    counted = replace(state, prompt_tokens=plain.prompt_tokens + tokens)
    cut_plain, cut_shown = plan_cut(plain, WINDOW), plan_cut(counted, WINDOW)
    assert cut_plain is not None
    assert cut_shown is not None
    assert len(cut_shown.stubs) <= len(cut_plain.stubs) + 1


def test_a_refused_prompt_loses_its_images_before_its_last_output() -> None:
    state = with_pictures(conversation(1))
    planned = plan_cut(state, WINDOW, force=True)
    assert planned is not None
    assert (planned.stubs, planned.blanked) == ({}, ())
    assert len(planned.pictures) == 2


def pairs_are_whole(state: AttemptState) -> bool:
    wanted: list[str] = []
    for message in state.messages:
        if message.role == "assistant":
            if wanted:
                return False
            wanted = [c.id for c in message.tool_calls]
        elif message.role == "tool":
            if message.tool_call_id not in wanted:
                return False
            wanted.remove(message.tool_call_id)
    return not wanted


def test_no_cut_below_the_high_water_mark():
    assert plan_cut(conversation(5), WINDOW) is None


def test_a_cut_goes_down_to_the_low_water_mark_and_keeps_pairs_and_recent_outputs():
    state = conversation(25)
    assert state.prompt_tokens > 0.75 * WINDOW
    planned = plan_cut(state, WINDOW)
    assert planned is not None
    after = step(state, planned)
    assert pairs_are_whole(after)
    before_chars = sum(len(m.content) for m in state.messages)
    after_chars = sum(len(m.content) for m in after.messages)
    assert after_chars / before_chars * state.prompt_tokens <= 0.45 * WINDOW
    outputs = [m for m in after.messages if m.role == "tool"]
    assert all("x" * 100 in m.content for m in outputs[-KEEP_RECENT:])
    assert "log bash:0" in outputs[0].content
    assert plan_cut(after, WINDOW) is None, "a cut resets the count until the server counts again"


@pytest.mark.parametrize(
    ("window", "high", "low"),
    [
        (10_000, 7_500, 4_000),
        (131_072, 107_072, 48_000),
        (196_608, 172_032, 49_152),
        (262_144, 229_376, 65_536),
        (1_048_576, 917_504, 262_144),
    ],
)
def test_marks_by_the_window(window: int, high: int, low: int):
    assert (high_water(window), low_water(window)) == (high, low)
    assert window - high_water(window) >= min(SHORTEST_TURN, window / 4)


def test_where_the_calls_left_fit_there_is_no_cut():
    window = 262_144
    state = conversation(105, size=9_000)
    assert high_water(window) < state.prompt_tokens < window - SHORTEST_TURN
    per_call = state.prompt_tokens / 105
    room = window - SHORTEST_TURN - state.prompt_tokens
    assert plan_cut(state, window, calls_left=int(0.9 * room / per_call)) is None
    assert plan_cut(state, window, calls_left=int(1.2 * room / per_call) + 1) is not None
    assert plan_cut(state, window) is not None
    # The server has the last word.
    assert plan_cut(state, window, calls_left=0, force=True) is not None


def test_the_prefix_up_to_the_first_cut_output_is_unchanged():
    state = conversation(25)
    planned = plan_cut(state, WINDOW)
    assert planned is not None
    after = step(state, planned)
    assert after.messages[:3] == state.messages[:3]
    assert after.messages[-1].role == "user"
    assert "Hypotheses" in after.messages[-1].content


def test_reasoning_goes_only_when_outputs_are_not_enough():
    state = conversation(30, size=50, reasoning="r" * 1500)
    planned = plan_cut(state, WINDOW)
    assert planned is not None
    assert planned.blanked
    after = step(state, planned)
    assert pairs_are_whole(after)
    assert plan_cut(conversation(25), WINDOW).blanked == ()


def test_thinking_that_is_preserved_goes_only_where_outputs_leave_too_much():
    state = conversation(30, size=900, reasoning="r" * 500)
    assert plan_cut(state, WINDOW).blanked
    planned = plan_cut(state, WINDOW, preserves_thinking=True)
    assert planned is not None
    assert not planned.blanked
    after = sum(len(m.content) + len(m.reasoning) for m in step(state, planned).messages)
    before = sum(len(m.content) + len(m.reasoning) for m in state.messages)
    assert after / before * state.prompt_tokens <= 0.65 * WINDOW
    mostly_thinking = conversation(30, size=50, reasoning="r" * 1500)
    assert plan_cut(mostly_thinking, WINDOW, preserves_thinking=True).blanked


def test_a_forced_cut_reaches_recent_outputs_but_never_the_last():
    state = conversation(5, size=20_000)
    planned = plan_cut(state, WINDOW, force=True)
    assert planned is not None
    assert "functions.bash:4" not in planned.stubs
    assert "functions.bash:3" in planned.stubs


def test_one_output_that_alone_is_too_long_is_cut_when_nothing_else_is_left():
    state = conversation(1, size=200_000, reasoning="")
    planned = plan_cut(state, WINDOW, force=True)
    assert planned is not None
    if "functions.bash:0" not in planned.stubs:
        planned = plan_cut(step(state, planned), WINDOW, force=True)
        assert planned is not None
    assert "functions.bash:0" in planned.stubs
    assert pairs_are_whole(step(state, planned))


def test_turns_without_calls_are_not_sent_back():
    state = conversation(2)
    after = fold(
        [ModelTurned(content="hm", kept=False), NoteAdded(source="loop", text="go on")], state
    )
    assert [m.role for m in after.messages[len(state.messages) :]] == ["user"]
    assert after.last_words == "hm"


@pytest.mark.parametrize("preserves", [False, True])
def test_a_window_of_196_608_keeps_99_per_cent_of_300_turns_cached(preserves: bool):
    seen = run(Case(196_608, preserves, longer=1.16), seed=1)
    assert seen.cached >= 0.99
    assert 1 <= seen.cuts <= 2
