"""The client against every fault of server and model, over real HTTP."""

from __future__ import annotations

import json
import random

import pytest

from agent.errors import ContextTooLong, ModelError, ModelRefused
from agent.model import Message
from agent.models.profiles import K2_THINKING, PROFILES
from agent.models.retry import Patience
from tests.doubles.sglang.chaos import KINDS, PASSING, Chaos
from tests.doubles.sglang.rig import END, LOOK, START, TOOLS, grown, rig
from tests.doubles.sglang.server import Flags
from tests.doubles.sglang.turns import Call, Say, scripted

FAULTS = [*PASSING, "stall"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_passing_fault_is_tried_again(fault: str) -> None:
    faulty = Say(LOOK.reasoning, LOOK.content, LOOK.calls, fault=fault)
    async with rig(scripted(faulty, END)) as r:
        model = r.model()
        turn = await model.turn(START, TOOLS)
        assert [call.name for call in turn.tool_calls] == ["bash"]
        assert turn.reasoning == "I look first."
        assert any("Asked 2 times" in warning for warning in turn.warnings)
        assert r.server.seen.requests == 2
        assert r.server.seen.faults == {fault: 1}
        assert bool(r.waits) == (fault in ("429", "503", "stream_error"))
        # Nothing was appended for the attempt that failed.
        assert len(r.server.seen.bodies[-1]["messages"]) == 2
        await model.close()


async def test_the_server_says_when_to_come_back() -> None:
    async with rig(scripted(Say(content="x", fault="429"))) as r:
        model = r.model()
        await model.turn(START, TOOLS)
        assert 1.0 <= r.slept[0] < 2.0
        await model.close()


@pytest.mark.parametrize(
    ("fault", "names", "warning"),
    [
        ("leaked_tokens", ["bash"], "the server lacks --tool-call-parser kimi_k2"),
        ("call_in_reasoning", ["bash"], ""),
        ("bare_counter", ["bash"], ""),
        ("foreign_ids", ["bash"], "renamed"),
        ("several_calls", ["bash", "bash"], ""),
        ("written_call", ["bash"], "wrote its tool call into the text"),
        ("tagged_call", ["bash"], "wrote its tool call into the text"),
        ("unknown_tool", ["no_such_tool"], ""),
        ("bad_schema", ["bash"], ""),
    ],
)
async def test_a_models_slip_is_fixed_or_passed_on(
    fault: str, names: list[str], warning: str
) -> None:
    faulty = Say(LOOK.reasoning, LOOK.content, LOOK.calls, fault=fault)
    async with rig(scripted(faulty, END)) as r:
        model = r.model()
        turn = await model.turn(START, TOOLS)
        assert [call.name for call in turn.tool_calls] == names
        assert [call.id for call in turn.tool_calls] == [
            f"functions.{name}:{i}" for i, name in enumerate(names)
        ]
        assert warning in " ".join(turn.warnings)
        last = await model.turn(grown(START, turn), TOOLS)
        assert last.content == "All done."
        assert r.server.seen.refusals == []
        await model.close()


async def test_a_leak_is_told_once() -> None:
    async with rig(scripted(LOOK, LOOK, END), Flags(tool_call_parser=False)) as r:
        model = r.model()
        first = await model.turn(START, TOOLS)
        second = await model.turn(grown(START, first), TOOLS)
        assert len(first.warnings) == 1
        assert second.warnings == ()
        assert second.tool_calls[0].id == "functions.bash:1"
        assert "<|" not in first.content + first.reasoning
        await model.close()


async def test_ids_used_twice_become_unique() -> None:
    twice = Say("r", "", (*LOOK.calls, *LOOK.calls), fault="duplicate_ids")
    again = Say("r2", "", LOOK.calls, fault="duplicate_ids")
    async with rig(scripted(twice, again, END)) as r:
        model = r.model()
        first = await model.turn(START, TOOLS)
        assert [call.id for call in first.tool_calls] == ["functions.bash:0", "functions.bash:1"]
        messages = grown(START, first)
        second = await model.turn(messages, TOOLS)
        assert [call.id for call in second.tool_calls] == ["functions.bash:2"]
        await model.turn(grown(messages, second), TOOLS)
        assert r.server.seen.refusals == []
        await model.close()


@pytest.mark.parametrize(
    ("fault", "finish"), [("truncated_arguments", "tool_calls"), ("length", "length")]
)
async def test_cut_arguments_are_passed_on_and_can_be_sent_back(fault: str, finish: str) -> None:
    faulty = Say(LOOK.reasoning, LOOK.content, LOOK.calls, fault=fault)
    async with rig(scripted(faulty, END)) as r:
        model = r.model()
        turn = await model.turn(START, TOOLS)
        assert turn.finish_reason == finish
        with pytest.raises(ValueError):
            json.loads(turn.tool_calls[0].arguments)
        last = await model.turn(grown(START, turn, "not valid JSON"), TOOLS)
        assert last.content == "All done."
        assert r.server.seen.refusals == []
        await model.close()


async def test_an_empty_turn_is_given_at_last_with_a_warning() -> None:
    async with rig(scripted(Say(reasoning="Hm."))) as r:
        model = r.model(patience=Patience(bad_turns=2))
        turn = await model.turn(START, TOOLS)
        assert (turn.content, turn.tool_calls, turn.reasoning) == ("", (), "Hm.")
        assert any("neither text nor a tool call" in w for w in turn.warnings)
        assert r.server.seen.requests == 3
        assert r.slept == []
        await model.close()


async def test_endless_repetition_is_an_error_after_retries() -> None:
    endless = Say(reasoning="I should check this again. " * 3_000)
    async with rig(scripted(endless)) as r:
        model = r.model(patience=Patience(bad_turns=1))
        with pytest.raises(ModelError, match="repeated itself"):
            await model.turn(START, TOOLS)
        assert r.server.seen.requests == 2
        await model.close()


async def test_too_long_is_told_apart_and_a_smaller_answer_is_asked_for() -> None:
    small = K2_THINKING.model_copy(update={"min_output_tokens": 1_000, "max_output_tokens": 5_000})
    async with rig(scripted(END), Flags(context_length=4_000)) as r:
        model = r.model(profile=small)
        assert (await model.turn(START, TOOLS)).content == "All done."
        assert r.server.seen.bodies[-1]["max_tokens"] < 4_000
        # The server's word is remembered: the next turn fits at once.
        assert model.window == 4_000
        await model.turn(START, TOOLS)
        assert len(r.server.seen.refusals) == 1
        long = (*START, Message(role="user", content="x" * 17_000))
        with pytest.raises(ContextTooLong, match="longer than the model's context length"):
            await model.turn(long, TOOLS)
        crowded = (*START, Message(role="user", content="x" * 14_000))
        with pytest.raises(ContextTooLong, match="Requested token count exceeds"):
            await model.turn(crowded, TOOLS)
        await model.close()


async def test_llama_cpp_says_its_window_when_it_refuses_or_cuts() -> None:
    flags = Flags(llama_cpp=True, context_length=400)
    profile = PROFILES["llama-cpp"]
    long = (*START, Message(role="user", content="x" * 2_000))
    async with rig(scripted(END), flags) as r:
        model = r.model(profile=profile)
        with pytest.raises(ContextTooLong, match="exceeds the available context size"):
            await model.turn(long, TOOLS)
        assert model.window == 400
        assert r.server.seen.requests == 1
        await model.close()
    async with rig(scripted(Say(content="word " * 800)), flags) as r:
        model = r.model(profile=profile)
        turn = await model.turn(START, TOOLS)
        assert turn.finish_reason == "length"
        assert model.window == 400
        await model.close()


async def test_a_broken_conversation_is_refused_in_the_servers_words() -> None:
    async with rig(scripted(LOOK)) as r:
        model = r.model()
        turn = await model.turn(START, TOOLS)
        with pytest.raises(ModelRefused, match="have no tool message answering them"):
            await model.turn((*grown(START, turn)[:-1], Message(role="user", content="?")), TOOLS)
        assert r.server.seen.requests == 2
        await model.close()


async def test_every_fault_at_once_leaves_the_conversation_whole() -> None:
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    kinds = [kind for kind in KINDS if kind != "stall"]
    turns = [Say("Think.", "", (Call.of("bash", command=f"cmd {i}"),)) for i in range(120)]
    chaos = Chaos(seed, 0.5, kinds)
    async with rig(scripted(*turns, END), chaos=chaos) as r:
        model, messages = r.model(patience=Patience(retries=50, bad_turns=50)), START
        for _ in range(120):
            turn = await model.turn(messages, TOOLS)
            if turn.tool_calls:
                messages = grown(messages, turn, "<|im_end|> output")
        assert r.server.seen.refusals == []
        ids = [call.id for message in messages for call in message.tool_calls]
        assert len(ids) == len(set(ids)) >= 100
        assert len(chaos.done) >= 10
        await model.close()
